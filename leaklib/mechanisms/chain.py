"""Several mechanisms, one after the other.

An attacker compares through all of them: the first mechanism's comparison applied to the second's, and so on.
Chapter: 8.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from leaklib.mechanisms.parts.payload import Message, send
from leaklib.types import Mechanism, Objective, Tensors, Update


@runtime_checkable
class Encoder(Mechanism, Protocol):
    """A mechanism that can say what it makes of a message's size."""

    def encode(self, message: Message) -> Message: ...


@dataclass(frozen=True)
class Chain:
    """The ``mechanisms`` in this order; none leaves the update as it is."""

    mechanisms: tuple[Encoder, ...] = ()

    def __call__(self, update: Update, *, generator: torch.Generator) -> Update:
        sent = update
        for mechanism in self.mechanisms:
            sent = mechanism(replace(sent, mechanism=update.mechanism), generator=generator)
        return send(update, sent.tensors, self, sensitivity=sent.sensitivity)

    def encode(self, message: Message) -> Message:
        for mechanism in self.mechanisms:
            message = mechanism.encode(message)
        return message

    def bits_sent(self, update: Update) -> int:
        """What the last mechanism sends of what the ones before it left."""
        return self.encode(Message.plain(update)).total

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        for mechanism in reversed(self.mechanisms):
            objective = partial(mechanism.distance, objective=objective)
        return objective(candidate, observed)
