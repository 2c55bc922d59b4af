"""How far two updates are apart: the distances that attacks minimise, as plain functions.

Source: squared error, Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019. Differs: it is divided by
the squared norm of the observed update, so that the same number means the same on every network.
Chapter: 2, 4.
"""

import torch
from torch import Tensor

from leaklib.types import Tensors


def flatten(tensors: Tensors) -> Tensor:
    """All tensors as one vector, in their own order."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()])


def squared_error(candidate: Tensors, observed: Tensors) -> Tensor:
    """‖candidate − observed‖² / ‖observed‖², a scalar ≥ 0: 0 is a perfect match, 1 what all zeros score."""
    target = flatten({name: observed[name] for name in candidate})
    return (flatten(candidate) - target).square().sum() / target.square().sum()
