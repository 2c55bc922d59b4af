"""No protocol at all: the server reads every client's update."""

from dataclasses import dataclass

import torch

from leaklib.aggregation.parts.pooled import bytes_sent
from leaklib.types import Cost, Update, View


@dataclass(frozen=True)
class Plain:
    """The server sees each update by itself."""

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View:
        return View(updates, cost=Cost(1, len(updates), bytes_sent(updates), 0))
