"""What the parties of every protocol do alike: clients seal for one another, servers take each message once.

Chapters: 11, 13, 14.
"""

from collections.abc import Container
from hashlib import sha256
from operator import attrgetter
from typing import Any

from leaklib.aggregation.crypto.primitives import seal, unseal
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.parts.codec import AnyMessage


class Party:
    """Client ``number`` in the round that ``session`` names: nothing sealed in one holds in another.

    All its secrets come from ``stream``, which no other party has.
    """

    def __init__(self, number: int, session: bytes, *, stream: Stream) -> None:
        self.number, self._session, self._stream = number, session, stream
        self._channels: dict[int, bytes] = {}  # the keys that it has agreed on with others
        self._public: dict[int, bytes] = {}  # everyone's public keys, its own among them, as it knows them
        self._phase = -1  # the last that it took part in

    def _seal(self, other: int, plain: bytes) -> bytes:
        return seal(self._channels[other], plain, self._header(self.number, other), stream=self._stream)

    def _unseal(self, sender: int, sealed: bytes) -> bytes:
        return unseal(self._channels[sender], sealed, self._header(sender, self.number))

    def _header(self, sender: int, recipient: int) -> bytes:
        """What a sealed message is bound to: two who know other keys of each other cannot read it."""
        known = b"".join(self._public.get(who, b"") for who in (sender, recipient))
        who = f"client {sender} > client {recipient}"
        return f"{self._session.hex()} {sha256(known).hexdigest()} {who}".encode()

    def _refusal(self, what: str) -> ValueError:
        return ValueError(f"client {self.number} {what}: refused")


class Inbox(dict[Any, AnyMessage]):
    """What a server has got of one kind, by who sent it, or by whatever else ``key`` reads from a message."""

    def __init__(self, allowed: Container[Any], *key: str) -> None:
        super().__init__()
        self._allowed, self._key = allowed, attrgetter(*key or ["client"])
        self.closed = False

    def close(self) -> "Inbox[AnyMessage]":
        """Take no more. What a server has said of its messages so far then stays true."""
        self.closed = True
        return self

    def put(self, message: AnyMessage) -> None:
        """Keep it. ValueError if it comes too late, from someone who is not ``allowed``, or came before."""
        key, kind = self._key(message), type(message).__name__
        who = " for ".join(map(str, key if isinstance(key, tuple) else (key,)))
        if key not in self._allowed:
            raise ValueError(f"the server expects no {kind} of client {who}: refused")
        if key in self:
            raise ValueError(f"the server has the {kind} of client {who} already: refused")
        if self.closed:
            raise ValueError(f"the server takes no {kind} of client {who} any more, it is too late: refused")
        self[key] = message
