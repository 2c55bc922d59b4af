"""Several mechanisms, one after the other.

An attacker compares through all of them: the first mechanism's comparison applied to the second's, and so on.
Chapter: 9.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from leaklib.fields import Range
from leaklib.mechanisms.gaussian import ClipNorm
from leaklib.mechanisms.parts.base import MechanismBase, Payload, draws, send
from leaklib.types import Objective, Tensors, Update

# Within a chain a mechanism's bits depend on what is left to send, which only its ``encode`` is told.
BASED = Range("mechanisms on top of MechanismBase", lambda ms: all(isinstance(m, MechanismBase) for m in ms))


@dataclass(frozen=True)
class Chain(MechanismBase):
    """The ``mechanisms`` in this order; none leaves the update as it is."""

    mechanisms: Annotated[tuple[MechanismBase, ...], BASED] = ()

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        sent, generator = update, draws(update, generator)
        for mechanism in self.mechanisms:
            sent = mechanism(replace(sent, mechanism=update.mechanism), generator=generator)
        return send(update, sent.tensors, self, sensitivity=sent.sensitivity)

    def encode(self, payload: Payload) -> Payload:
        """What the last mechanism sends of what the ones before it left."""
        for mechanism in self.mechanisms:
            payload = mechanism.encode(payload)
        return payload

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        for mechanism in reversed(self.mechanisms):
            objective = partial(mechanism.distance, objective=objective)
        return objective(candidate, observed)

    def noise_floor(self, update: Update) -> float:
        """The last mechanism's if the others clip; otherwise 0, since what several lose does not add up."""
        clips = [m for m in self.mechanisms[:-1] if isinstance(m, ClipNorm)]
        if len(clips) + 1 != len(self.mechanisms):
            return 0.0
        if clips:
            update = replace(update, sensitivity=float(clips[-1].max_norm))
        return self.mechanisms[-1].noise_floor(update)
