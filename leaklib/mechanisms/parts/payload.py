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


def noise_scale(update: Update, mechanism: Mechanism) -> float:
    """The sensitivity that the noise of ``mechanism`` is to hide.

    ValueError for an update without one, which noise would not protect, and for one that carries BatchNorm
    statistics, which would travel without noise.
    """
    name = type(mechanism).__name__
    if update.sensitivity is None:
        raise ValueError(
            f"{name} needs an update of bounded sensitivity, got one without: clip first, with "
            f"Chain((ClipNorm(...), {name}(...))) or FedSGD(max_grad_norm=...)"
        )
    if update.statistics is not None:
        raise ValueError(
            f"{name} protects the update alone, and BatchNorm statistics travel along without noise: share "
            f"without reveal_statistics"
        )
    return update.sensitivity


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
