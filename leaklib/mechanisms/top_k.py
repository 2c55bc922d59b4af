"""Sparsification: only the largest entries are sent, with their positions.

    sent_i = g_i if |g_i| is among the k largest of the whole update, else 0

What is not sent is not zero, it is smaller than everything that was: an attacker who compares the kept
entries as they are, and the others with that limit, loses far less than the compression suggests.

Source: Aji, Heafield, "Sparse Communication for Distributed Gradient Descent", EMNLP 2017; Lin, Han, Mao,
Wang, Dally, "Deep Gradient Compression", ICLR 2018. Differs: without the memory of what was left out, which
needs several rounds.
Chapter: 9.
"""

from dataclasses import dataclass, replace
from math import ceil, log2

import torch
from torch import Tensor

from leaklib.fields import Proportion
from leaklib.mechanisms.parts.base import MechanismBase, Payload, send
from leaklib.named import flatten, unflatten
from leaklib.types import Objective, Tensors, Update


@dataclass(frozen=True)
class TopK(MechanismBase):
    """Send the ``fraction`` of entries that are largest in magnitude over all tensors together, at least one.

    Of equal entries the first ones are sent, in the order of the parameters.
    """

    fraction: Proportion = 0.01

    def kept(self, entries: int) -> int:
        """How many of so many entries are sent."""
        return max(1, round(self.fraction * entries))

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        flat = flatten(update.tensors)
        largest = flat.abs().argsort(descending=True, stable=True)[: self.kept(len(flat))]
        sparse = torch.zeros_like(flat)
        sparse[largest] = flat[largest]
        return send(update, unflatten(sparse, update.tensors), self)

    def encode(self, payload: Payload) -> Payload:
        """Fewer values, and where they stand: an index each, or one bit per entry if that is shorter."""
        values = self.kept(payload.entries)
        positions = min(values * ceil(log2(payload.entries)), payload.entries)
        return replace(payload, values=min(values, payload.values), side=payload.side + positions)

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        """The objective between kept entries, and of the others what exceeds the smallest kept one."""
        kept = {name: observed[name] != 0 for name in candidate}
        smallest = [observed[name].abs().where(mask, torch.inf).min() for name, mask in kept.items()]
        limit = torch.stack(smallest).min()
        beyond = {n: t.where(kept[n], t - t.clamp(-limit, limit)) for n, t in candidate.items()}
        return objective(beyond, observed)
