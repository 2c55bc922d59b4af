"""What travels between clients and server: a wire that counts it, and a clock for the work.

Chapter: 10.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from time import thread_time
from typing import Any, Protocol, TypeVar, runtime_checkable

from leaklib.types import Cost


@dataclass(frozen=True)
class Sent:
    """One message: in which phase, by whom to whom (None is the server), of what kind, in how many bytes."""

    phase: IntEnum
    sender: int | None
    recipient: int | None
    kind: str
    size: int


NAME = 4  # bytes of a client's name


@runtime_checkable
class Message(Protocol):
    """Anything that travels."""

    def encode(self) -> bytes: ...

    @classmethod
    def decode(cls, data: bytes) -> Any: ...


def check_length(kind: type, data: bytes, *lengths: int) -> None:
    """ValueError unless ``data`` has one of ``lengths``."""
    if len(data) not in lengths:
        expected = " or ".join(map(str, lengths))
        raise ValueError(
            f"{kind.__name__}: expected {expected} bytes, got {len(data)}: cut or damaged, refused"
        )


AnyMessage = TypeVar("AnyMessage", bound=Message)


@dataclass
class Wire:
    """Carries messages as bytes, and remembers each in ``log``."""

    log: list[Sent] = field(default_factory=list)

    def carry(
        self, phase: IntEnum, sender: int | None, recipient: int | None, message: AnyMessage
    ) -> AnyMessage:
        """What the recipient reads from the bytes that the sender wrote."""
        data = message.encode()
        self.log.append(Sent(phase, sender, recipient, type(message).__name__, len(data)))
        return type(message).decode(data)


@dataclass
class Clock:
    """Processor seconds of each client, and of the server (None), as everyone works in this one thread."""

    seconds: dict[int | None, float] = field(default_factory=dict)

    @contextmanager
    def of(self, who: int | None) -> Iterator[None]:
        """What happens within is ``who``'s work."""
        start = thread_time()
        yield
        self.seconds[who] = self.seconds.get(who, 0.0) + thread_time() - start


def tally(wire: Wire, clock: Clock, rounds: int, clients: int) -> Cost:
    """Messages and bytes from the log, and the clients' and the server's processor time."""
    up = sum(sent.size for sent in wire.log if sent.recipient is None)
    down = sum(sent.size for sent in wire.log if sent.sender is None)
    server = clock.seconds.get(None, 0.0)
    return Cost(
        rounds,
        len(wire.log),
        -(-up // clients),
        -(-down // clients),
        (sum(clock.seconds.values()) - server) / clients,
        server,
    )
