"""An attacker who does not know what was done to the update, or does not care.

Entries that were not sent count as zeros, signs as gradients. Many a defense by compression was measured
against this attacker, which says more about the attacker than about the defense.

Chapter: 8.
"""

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
