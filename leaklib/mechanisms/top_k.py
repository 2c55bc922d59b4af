"""Sparsification: only the largest entries are sent, with their positions.

    sent_i = g_i if |g_i| is among the k largest of the whole update, else 0

What is not sent is not zero, it is smaller than everything that was: an attacker who compares the kept
entries as they are, and the others with that limit, loses far less than the compression suggests.

Source: Aji, Heafield, "Sparse Communication for Distributed Gradient Descent", EMNLP 2017; Lin, Han, Mao,
Wang, Dally, "Deep Gradient Compression", ICLR 2018. Differs: without the memory of what was left out, which
needs several rounds.
Chapter: 8.
"""

from dataclasses import dataclass, replace
from math import ceil, log2

import torch
from torch import Tensor

from leaklib.mechanisms.parts.payload import Message, send
from leaklib.types import Objective, Tensors, Update


@dataclass(frozen=True)
class TopK:
    """Send the ``fraction`` of entries that are largest in magnitude over all tensors together, at least one.

    Of equal entries the first ones are sent, in the order of the parameters.
    """

    fraction: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be above 0 and at most 1, got {self.fraction}")

    def kept(self, entries: int) -> int:
        """How many of so many entries are sent."""
        return max(1, round(self.fraction * entries))

    def __call__(self, update: Update, *, generator: torch.Generator) -> Update:
        flat = torch.cat([tensor.reshape(-1) for tensor in update.tensors.values()])
        largest = flat.abs().argsort(descending=True, stable=True)[: self.kept(len(flat))]
        sparse = torch.zeros_like(flat)
        sparse[largest] = flat[largest]
        parts = sparse.split([tensor.numel() for tensor in update.tensors.values()])
        shaped = zip(update.tensors.items(), parts, strict=True)
        return send(update, {name: part.view_as(tensor) for (name, tensor), part in shaped}, self)

    def encode(self, message: Message) -> Message:
        """Fewer values, and where they stand: an index each, or one bit per entry if that is shorter."""
        values = self.kept(message.entries)
        positions = min(values * ceil(log2(message.entries)), message.entries)
        return replace(message, values=min(values, message.values), side=message.side + positions)

    def bits_sent(self, update: Update) -> int:
        """The values with the bits of their float type, and their positions."""
        return self.encode(Message.plain(update)).total

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        """The objective between kept entries, and of the others what exceeds the smallest kept one."""
        kept = {name: observed[name] != 0 for name in candidate}
        limit = torch.stack([
            observed[name].abs().where(mask, torch.inf).min() for name, mask in kept.items()
        ]).min()  # fmt: skip
        return objective(
            {n: t.where(kept[n], t - t.clamp(-limit, limit)) for n, t in candidate.items()}, observed
        )
