"""What the clients of every protocol do alike: seal for one another, and refuse.

Chapters: 10, 11.
"""

import torch

from leaklib.aggregation.crypto.primitives import seal, unseal


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
