"""How far two updates are apart, and how unlikely a guess is before any update is seen.

Distances compare two updates, priors judge guesses alone. Both are plain functions; an attack adds them up.

Source: squared error, Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019; cosine distance and total
variation, Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients", NeurIPS 2020; the prior
on BatchNorm statistics and group consistency, Yin et al., "See through Gradients", CVPR 2021.
Differs: every distance is relative to the observed update, so that the same number means the same on every
network; the prior on statistics is relative to each channel's own spread; group consistency takes the mean of
the group as it is, without registering the pictures on each other first.
Chapters: 2, 3, 5, 6.
"""

import torch
from torch import Tensor, nn

from leaklib.client import batch_norm_statistics
from leaklib.named import flatten
from leaklib.types import Tensors


def squared_error(candidate: Tensors, observed: Tensors) -> Tensor:
    """‖candidate − observed‖² / ‖observed‖², a scalar ≥ 0: 0 is a perfect match, 1 what all zeros score."""
    target = flatten({name: observed[name] for name in candidate})
    return (flatten(candidate) - target).square().sum() / target.square().sum()


def cosine_distance(candidate: Tensors, observed: Tensors) -> Tensor:
    """1 − cos of the angle between the two updates, a scalar in [0, 2]; blind to their lengths.

    Computed as half the squared distance of the two unit vectors. That is the same number, but it keeps its
    digits where the angle is small: in float32 one minus the cosine ends at 6e-8.
    """
    ours = _inverse_norm(list(candidate.values()))
    theirs = _inverse_norm([observed[name] for name in candidate])
    # Tensor by tensor: on wide networks one long vector would cost a quarter of the evaluation.
    misses = [(t * ours - observed[name] * theirs).square().sum() for name, t in candidate.items()]
    return torch.stack(misses).sum() / 2


def _inverse_norm(tensors: list[Tensor]) -> Tensor:
    """One over the L2 norm of all tensors together; for zeros a large finite number."""
    square = torch.stack([tensor.square().sum() for tensor in tensors]).sum()
    return square.clamp_min(torch.finfo(square.dtype).tiny).rsqrt()


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, down plus across; ``images`` is lanes×N×C×H×W."""
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().flatten(1).mean(1)
    across = (images[..., :, 1:] - images[..., :, :-1]).abs().flatten(1).mean(1)
    return down + across


def batch_norm_prior(model: nn.Module, images: Tensor, statistics: Tensors) -> Tensor:
    """How far the statistics of ``images``, N×C×H×W, are from the given ones, at every BatchNorm layer.

    ``statistics`` holds mean and variance of each layer's input, 2×channels, as ``batch_norm_statistics``
    gives them. A scalar ≥ 0: squared differences of the means in units of the variance, and of the logarithms
    of the variances, averaged over channels and layers.
    """
    found = batch_norm_statistics(model, images)
    misses = []
    for name, (mean, variance) in statistics.items():
        # Dead channels have no variance; a floor keeps them from drowning the others.
        floor = 1e-3 * variance.mean() + torch.finfo(variance.dtype).tiny
        shift = (found[name][0] - mean).square() / (variance + floor)
        spread = ((found[name][1] + floor) / (variance + floor)).log().square()
        misses.append(shift.mean() + spread.mean())
    return torch.stack(misses).mean()


def group_consistency(images: Tensor) -> Tensor:
    """Mean squared distance of each lane from the mean of all lanes, for lanes×N×C×H×W; one per lane."""
    return (images - images.mean(0, keepdim=True)).square().flatten(1).mean(1)
