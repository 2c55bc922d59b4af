"""Multi-Krum: which updates to trust, judged by their distances alone.

Each update's score is the sum of its squared distances to the n − A − 2 nearest others. An outlier is far
from nearly all, so its score is large. The m best are kept.

Source: Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine Learning with Adversaries: Byzantine Tolerant
Gradient Descent", NeurIPS 2017, section 4 and, for m > 1, section 6.
Chapters: 13, 14.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def squared_distances(vectors: Float[Tensor, "clients entries"]) -> Float[Tensor, "clients clients"]:
    """Between all pairs, from their differences."""
    return torch.stack([(vectors - one).square().sum(1) for one in vectors])


def multi_krum(distances: Float[Tensor, "clients clients"], byzantine: int, selected: int) -> tuple[int, ...]:
    """The places of the ``selected`` clients with the smallest scores, in rising order.

    ``distances`` are squared. ValueError if there are fewer than ``byzantine`` + 3 clients, or than selected.
    """
    n = len(distances)
    if n < byzantine + 3 or n < selected:
        least = max(byzantine + 3, selected)
        wanted = f"at least {least} clients to select {selected}, {byzantine} Byzantine ones among them"
        raise ValueError(f"multi-Krum needs {wanted}, got {n}")
    # The nearest of all is the client itself, at distance zero.
    scores = distances.sort(1).values[:, : n - byzantine - 1].sum(1)
    return tuple(sorted(scores.argsort(stable=True)[:selected].tolist()))
