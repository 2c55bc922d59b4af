"""Takes the sizes from the diagonal, and loses the signs."""

import torch


def pair_from(total, scatter):
    deviation = (scatter.diag() / 2).sqrt()
    return torch.stack([total / 2 + deviation, total / 2 - deviation])
