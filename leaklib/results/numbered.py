"""Pictures with a label each: batches in which no label occurs twice, however large.

Chapter: 7.
"""

from dataclasses import dataclass

import torch

from leaklib.data import Data, Photos
from leaklib.types import Batch


@dataclass(frozen=True)
class Numbered:
    """``data``, picture i of a batch in class i: for networks with at least as many classes."""

    data: Data = Photos()

    def batch(self, client: int, size: int) -> Batch:
        """The batch of ``data`` for this client, with labels 0 to size - 1."""
        return Batch(self.data.batch(client, size).inputs, torch.arange(size))
