"""What travels between clients and server: a wire that counts it, and phases, with a clock for the work.

Chapters: 11, 13, 14.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from time import thread_time
from typing import Any, Generic, TypeVar
from zlib import crc32

from leaklib.aggregation.parts.codec import AnyMessage, Message
from leaklib.types import Cost

Client = TypeVar("Client")
Server = TypeVar("Server")
CHECK = 4  # bytes of a checksum
Who = int | None
"""A client, or the server, which is None."""


@dataclass(frozen=True)
class Sent:
    """One message: in which phase, by whom to whom, of what kind, in how many bytes."""

    phase: IntEnum
    sender: Who
    recipient: Who
    kind: str
    size: int


def frame(data: bytes) -> bytes:
    """``data`` with its CRC32, which no flipped bit leaves right."""
    return data + crc32(data).to_bytes(CHECK, "little")


@dataclass
class Wire:
    """Carries messages as bytes, and remembers each in ``log``.

    A checksum finds what was damaged on the way, as that of any transport does. Sizes leave it out, like all
    that transport adds. It is no protection against someone who changes messages on purpose.
    """

    log: list[Sent] = field(default_factory=list)

    def carry(self, phase: IntEnum, sender: Who, recipient: Who, message: AnyMessage) -> AnyMessage:
        """What the recipient reads from the bytes that the sender wrote.

        ValueError, saying which message, if these were damaged, or name another client as their sender.
        """
        kind, data = type(message), message.encode()
        self.log.append(Sent(phase, sender, recipient, kind.__name__, len(data)))
        came = self.transport(frame(data))
        try:
            if frame(came[:-CHECK]) != came:
                raise ValueError("the checksum is another: damaged on the way")
            read = kind.decode(came[:-CHECK])
            if recipient is None and read.author not in (sender, None):
                raise ValueError(f"it names client {read.author} as its sender")
        except ValueError as error:
            one, other = ("the server" if who is None else f"client {who}" for who in (sender, recipient))
            what = f"the {kind.__name__} from {one} to {other} in {phase.name}"
            raise ValueError(f"{what} is refused: {error}") from error
        return read

    def transport(self, sent: bytes) -> bytes:
        """What arrives of a frame: here, what was sent."""
        return sent


@dataclass
class Exchange(Generic[Client, Server]):
    """The parties of one round, what has travelled between them, and how long each has worked.

    ``seconds`` of each client, and of the server, are processor time, as everyone works in this one thread.
    """

    clients: dict[int, Client]
    server: Server
    wire: Wire = field(default_factory=Wire)
    seconds: dict[Who, float] = field(default_factory=dict)

    @contextmanager
    def work_of(self, who: Who) -> Iterator[None]:
        """What happens within is ``who``'s work."""
        start = thread_time()
        yield
        self.seconds[who] = self.seconds.get(who, 0.0) + thread_time() - start

    def phase(
        self,
        phase: IntEnum,
        present: Collection[int],
        answer: Callable[[Client, list[Any]], Message | list[Any]],
        receive: Callable[[Any], None],
        tell: Callable[[int], Iterable[Message]] = lambda name: (),
    ) -> None:
        """Each client that is ``present`` hears what the server has to ``tell`` it, and answers it.

        ``answer`` makes one message or several of the client and what it has heard, ``receive`` takes one in
        at the server. One client after the other.
        """
        for name in present:
            with self.work_of(None):
                told = list(tell(name))
            with self.work_of(name):
                heard = [self.wire.carry(phase, None, name, message) for message in told]
                said = answer(self.clients[name], heard)
                said = said if isinstance(said, list) else [said]
                sent = [self.wire.carry(phase, name, None, message) for message in said]
            with self.work_of(None):
                for message in sent:
                    receive(message)

    def cost(self) -> Cost:
        """Phases, messages and bytes from the log, and the clients' and the server's processor time."""
        log, n = self.wire.log, len(self.clients)
        up = sum(sent.size for sent in log if sent.recipient is None)
        down = sum(sent.size for sent in log if sent.sender is None)
        server = self.seconds.get(None, 0.0)
        clients = (sum(self.seconds.values()) - server) / n
        return Cost(len({sent.phase for sent in log}), len(log), -(-up // n), -(-down // n), clients, server)
