"""The mechanism that does nothing: plaintext updates, the baseline of every comparison."""

from dataclasses import dataclass

import torch

from leaklib.mechanisms.parts.base import MechanismBase
from leaklib.types import Update


@dataclass(frozen=True)
class Identity(MechanismBase):
    """Send the update as it is."""

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        return update
