"""Attackers around an attack: one who knows less than the protocol says, and one who computes better.

The naive one does not know what was done to the update, or does not care: entries that were not sent count as
zeros, signs as gradients. Many a defense by compression was measured against this attacker, which says more
about the attacker than about the defense.

The precise one computes in float64, whatever the client used. Rounding in the attack's own arithmetic is no
wall: on networks as badly conditioned as LeNet it is what an attack in float32 ends at, long before the
update's information does.

Chapter: 9.
"""

import copy
from dataclasses import dataclass, replace

import torch
from torch import nn

from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.parts.base import AttackBase
from leaklib.types import Attack, Callback, Reconstruction, Update


@dataclass(frozen=True)
class Naive(AttackBase):
    """``attack`` as if the client had sent what it computed.

    The ``loss`` of the result is that attacker's own: it compares with the entries as they came.
    """

    attack: Attack = InvertingGradients()

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        return self.attack(model, replace(update, mechanism=None), generator=generator, callback=callback)


@dataclass(frozen=True)
class Precise(AttackBase):
    """``attack`` on the same numbers, computed in float64; the inputs come back in the model's type."""

    attack: Attack = InvertingGradients()

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        dtype = next(model.parameters()).dtype
        doubled = replace(update, tensors={name: tensor.double() for name, tensor in update.tensors.items()})
        found = self.attack(copy.deepcopy(model).double(), doubled, generator=generator, callback=callback)
        return replace(found, inputs=found.inputs.to(dtype)) if found.inputs.is_floating_point() else found
