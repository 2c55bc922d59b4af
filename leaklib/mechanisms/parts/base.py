"""What mechanisms share: the base with its defaults, what travels in bits, and how it is handed over.

    total = values · bits of each + side information (scales, positions)

Compressors in a row change one after the other how many values there are and how many bits each takes.
Chapter: 9.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from leaklib.client import check_finite
from leaklib.fields import Checked
from leaklib.rng import given
from leaklib.types import Mechanism, Objective, Tensors, Update

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


class MechanismBase(Checked):
    """A mechanism is a frozen dataclass on top of this one: the ranges of its fields, and ``__call__``.

    Unless it says otherwise it sends as many bits as before, and updates are compared as they are.
    """

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        """What the client sends: ``send(update, tensors, self)`` with the new tensors."""
        raise NotImplementedError(f"{type(self).__name__} is a mechanism without __call__: give it one")

    def encode(self, payload: Payload) -> Payload:
        """What is left of ``payload`` in size: as much as before, unless a mechanism compresses."""
        return payload

    def bits_sent(self, update: Update) -> int:
        """All bits of an update of this size. What ``encode`` says decides, alone and within a ``Chain``."""
        return self.encode(Payload.plain(update)).total

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        """The objective as it is; of squared differences, that is the likelihood of Gaussian noise."""
        return objective(candidate, observed)

    def noise_floor(self, update: Update) -> float:
        """What ``distance`` of squares is expected to be between the true batch and ``update``, as sent.

        From public knowledge alone. A guess that scores less explains what the mechanism added, too. 0 where
        the true batch scores 0, and where nobody can say without it.
        """
        return 0.0


def draws(update: Update, generator: torch.Generator | None) -> torch.Generator:
    """``generator``, or seed 0's for this client: the same noise from two would cancel in a difference."""
    return given(generator, f"mechanism of client {update.client}")


def noise_scale(update: Update, mechanism: Mechanism) -> float:
    """The sensitivity that the noise of ``mechanism`` is to hide.

    ValueError for an update without one, which noise would not protect, for one with NaN or infinite
    entries, and for one that carries BatchNorm statistics, which would travel without noise.
    """
    name = type(mechanism).__name__
    if update.sensitivity is None:
        clip = f"clip first, with Chain((ClipNorm(...), {name}(...))) or FedSGD(max_grad_norm=...)"
        raise ValueError(f"{name} needs an update of bounded sensitivity, got one without: {clip}")
    if update.statistics is not None:
        bare = "BatchNorm statistics travel along without noise: share without reveal_statistics"
        raise ValueError(f"{name} protects the update alone, and {bare}")
    check_finite(update.tensors, update.client)
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
        chain = "put both into one Chain, so that the update says what was done to it"
        raise ValueError(f"the update has been through {update.mechanism} already: {chain}")
    return replace(update, tensors=tensors, mechanism=mechanism, sensitivity=sensitivity)
