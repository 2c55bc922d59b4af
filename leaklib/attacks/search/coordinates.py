"""Coordinates in which a search for pictures is easier, and L-BFGS in them.

A search knows nothing of curvature when it begins, and moves all its unknowns alike. Pictures are not like
that: the larger a detail, the stronger it is. And of several examples with one label the update shows their
mean at first sight and their deviations from it hardly. So

    x = C (m + REACH · (z − m)),   m the mean of each group of z,

where C scales the cosines of k half waves across a picture by 1 / (1 + FALL · k).

Chapter: 8.
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from leaklib.attacks.search.optimizers import LBFGS

FALL = 0.15  # how soon the amplitudes of natural pictures fall with frequency
REACH = 3.0  # how much further a step moves deviations than means: more, and the first steps go astray


class Coordinates:
    """Of pictures of ``shape``, channels × height × width, in groups of ``sizes``."""

    def __init__(self, sizes: list[int], shape: tuple[int, ...]) -> None:
        self.sizes, self.shape = sizes, (sum(sizes), *shape)
        high, wide = shape[1:]
        self.down, self.across = cosines(high), cosines(wide)
        waves = (torch.arange(high)[:, None].square() + torch.arange(wide).square()).sqrt()
        amplitude = 1 / (1 + FALL * waves)
        self.amplitude = amplitude / amplitude.square().mean().sqrt()

    def scaled(self, point: Tensor, reach: float, power: int) -> Tensor:
        """The flat pictures at flat ``point``, whose deviations reach so far; with ``power`` -1 the way back.

        The matrix is symmetric: it takes gradients in pictures to gradients in coordinates, too.
        """
        down, across, amplitude = (x.to(point) for x in (self.down, self.across, self.amplitude))
        waves = down @ point.view(self.shape) @ across.T * amplitude**power
        groups = (down.T @ waves @ across).split(self.sizes)
        pairs = [(group, group.mean(0, keepdim=True)) for group in groups]
        return torch.cat([mean + reach**power * (group - mean) for group, mean in pairs]).flatten()


def cosines(length: int) -> Float64[Tensor, "length length"]:
    """The orthonormal discrete cosine transform: row k has k half waves."""
    k = torch.arange(length, dtype=torch.float64)
    rows = torch.cos(math.pi * k[:, None] * (k + 0.5) / length) * math.sqrt(2 / length)
    rows[0] /= math.sqrt(2)
    return rows


class ScaledLBFGS:
    """``LBFGS`` in ``Coordinates``: with a reach of 1 for ``warm`` steps, until means are known roughly."""

    def __init__(self, point: Tensor, coordinates: Coordinates, warm: int = 0) -> None:
        self.point, self.coordinates, self.warm = point, coordinates, warm
        self._begin(1.0 if warm else REACH)

    @torch.no_grad()
    def step(self) -> None:
        """Move the point along the quasi-Newton direction."""
        gradient = self.point.grad
        assert gradient is not None
        self.inner.grad = self.coordinates.scaled(gradient, self.reach, 1)
        before = self.inner.clone()
        self.optimizer.step()
        if self.optimizer.count == 0:
            self.inner.add_(self.inner - before, alpha=2**self.idle - 1)
            self.idle += 1
        self.point.copy_(self.coordinates.scaled(self.inner, self.reach, 1))
        self.warm -= 1
        if self.warm == 0:
            self._begin(REACH)

    def _begin(self, reach: float) -> None:
        self.idle = 0  # steps that told nothing of the curvature: each goes twice as far as the last
        self.reach, self.inner = reach, self.coordinates.scaled(self.point.detach(), reach, -1)
        self.optimizer = LBFGS(self.inner)
