"""The mechanism that does nothing: plaintext updates, the baseline of every comparison."""

from dataclasses import dataclass

import torch
from torch import Tensor

from leaklib.mechanisms.parts.payload import Message
from leaklib.types import Objective, Tensors, Update


@dataclass(frozen=True)
class Identity:
    """Send the update as it is."""

    def __call__(self, update: Update, *, generator: torch.Generator) -> Update:
        return update

    def encode(self, message: Message) -> Message:
        return message

    def bits_sent(self, update: Update) -> int:
        """Every entry with all the bits of its float type."""
        return self.encode(Message.plain(update)).total

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        return objective(candidate, observed)
