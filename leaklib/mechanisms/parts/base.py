"""What a mechanism is unless it says otherwise: as many bits as before, and updates compared as they are."""

import torch
from torch import Tensor

from leaklib.fields import Checked
from leaklib.mechanisms.parts.payload import Payload
from leaklib.types import Objective, Tensors, Update


class MechanismBase(Checked):
    """A mechanism is a frozen dataclass on top of this one: the ranges of its fields, and ``__call__``."""

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
