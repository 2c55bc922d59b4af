"""What travels from client to server, as numbers of bits, and how a mechanism hands it over.

    total = values · bits of each + side information (scales, positions)

Compressors in a row change one after the other how many values there are and how many bits each takes.
Chapter: 8.
"""

from dataclasses import dataclass, replace

import torch

from leaklib.types import Mechanism, Tensors, Update

SCALE = 32  # bits of a scale that travels along: a float32


@dataclass(frozen=True)
class Payload:
    """The size of what is sent for ``entries`` numbers in ``tensors`` tensors."""

    entries: int
    tensors: int
    values: int
    bits_each: int
    side: int = 0

    @classmethod
    def plain(cls, update: Update) -> "Payload":
        """Every entry of ``update`` with the bits of its float type."""
        sizes = [tensor.numel() for tensor in update.tensors.values()]
        bits = max(torch.finfo(tensor.dtype).bits for tensor in update.tensors.values())
        return cls(sum(sizes), len(sizes), sum(sizes), bits)

    @property
    def total(self) -> int:
        """All bits together."""
        return self.values * self.bits_each + self.side


def send(
    update: Update, tensors: Tensors, mechanism: Mechanism, *, sensitivity: float | None = None
) -> Update:
    """``update`` with other ``tensors``, and the note of what made them.

    Its ``sensitivity`` was that of the old ones: only a mechanism that clips knows the new.

    ValueError if another mechanism did something to it before: an attacker who learns of the last one alone
    would draw wrong conclusions.
    """
    if update.mechanism is not None:
        raise ValueError(
            f"the update has been through {update.mechanism} already: put both into one Chain, "
            f"so that the update says what was done to it"
        )
    return replace(update, tensors=tensors, mechanism=mechanism, sensitivity=sensitivity)
