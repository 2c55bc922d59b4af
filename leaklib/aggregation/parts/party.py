"""What the parties of every protocol do alike: clients seal for one another, servers take each message once.

Chapters: 10, 11.
"""

from collections.abc import Container
from typing import Any

import torch

from leaklib.aggregation.crypto.primitives import seal, unseal
from leaklib.aggregation.parts.codec import AnyMessage


class Party:
    """Client ``number`` in the round that ``session`` names: nothing sealed in one holds in another."""

    def __init__(self, number: int, session: bytes, *, generator: torch.Generator) -> None:
        self.number, self._session, self._generator = number, session, generator
        self._channels: dict[int, bytes] = {}  # the keys that it has agreed on with others

    def _seal(self, other: int, plain: bytes) -> bytes:
        return seal(self._channels[other], plain, self._header(self.number, other), generator=self._generator)

    def _unseal(self, sender: int, sealed: bytes) -> bytes:
        return unseal(self._channels[sender], sealed, self._header(sender, self.number))

    def _header(self, sender: int, recipient: int) -> bytes:
        return f"{self._session.hex()} {sender}>{recipient}".encode()

    def _refusal(self, what: str) -> ValueError:
        return ValueError(f"client {self.number} {what}: refused")


def put(into: dict[Any, AnyMessage], key: Any, message: AnyMessage, allowed: Container[Any]) -> None:
    """Keep ``message`` under ``key``, who sent it. ValueError if that is not ``allowed``, or came before."""
    kind, who = type(message).__name__, " for ".join(map(str, key if isinstance(key, tuple) else (key,)))
    if key not in allowed:
        raise ValueError(f"the server expects no {kind} of client {who}: refused")
    if key in into:
        raise ValueError(f"the server has the {kind} of client {who} already: refused")
    into[key] = message
