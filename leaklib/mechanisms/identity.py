"""The mechanism that does nothing: plaintext updates, the baseline of every comparison."""

from dataclasses import dataclass

import torch

from leaklib.types import Update


@dataclass(frozen=True)
class Identity:
    """Send the update as it is."""

    def __call__(self, update: Update, *, generator: torch.Generator) -> Update:
        return update
