"""What every attack does before its own part: check the update, and take seed 0 where no generator came."""

import torch
from torch import nn

from leaklib.attacks.parts.checks import check_update
from leaklib.fields import Checked
from leaklib.rng import given
from leaklib.types import Callback, Reconstruction, Update


class AttackBase(Checked):
    """An attack is a frozen dataclass on top of this one: the ranges of its fields, and ``reconstruct``."""

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Reconstruction:
        check_update(model, update)
        return self.reconstruct(model, update, given(generator, "attack"), callback)

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        """The attack itself, on an update that fits the model. A closed form ignores the last two."""
        raise NotImplementedError(f"{type(self).__name__} is an attack without reconstruct: give it one")
