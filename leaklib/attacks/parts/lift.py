"""Groups of one label: explained by more pictures than they have, and rounded to as many.

An update is the sum of what each example puts into it. Of the n examples of one label, with mean m and
deviations d_i, a smooth network leaves

    Σ_i G(m + d_i) = n G(m) + ½ G″(m) [Σ_i d_i d_iᵀ] + ⅙ G‴(m) [Σ_i d_i ⊗ d_i ⊗ d_i] + …

so most of it says what the mean is, some of it which deviations there are, and little which belong together.
Second moments have no sign and no rotation: two pictures can swap their halves along a wall, and a search
that goes downhill seldom moves one. More pictures, each counting for less, can have the same moments and
room to unwind. They are rounded by their moments: the mean; the n − 1 leading principal deviations, for n
pictures have no more; and a rotation. In units of their size n pictures around their mean are the corners of
a regular simplex, always, and the third moment says how it lies.

Source: over-parametrised phase retrieval as in McRae, arXiv 2505.02636, from which comes that the room helps.
Chapter: 8.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import AnyInputs, AnyTargets, Inputs, Labels, Tensors, Update

STARTS, TURNS = 8, 40  # of the rotation: random ones, and steps from each
DAMPING = 2.0  # of these steps: of three pictures they overshoot by as much


def weighted(weights: Float[Tensor, "examples"], logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy summed over examples, each times its weight."""
    return (cross_entropy(logits, labels, reduction="none") * weights).sum()


@dataclass(frozen=True, eq=False)
class WeightedStep:
    """One gradient of the losses of examples, each with a weight of its own, plus ``rest``, of others."""

    weights: Float[Tensor, "examples"]
    rest: Tensors | None = None

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        weights = self.weights.to(inputs)
        found = FedSGD(loss=partial(weighted, weights))(model, inputs, labels, lanes=lanes)
        if self.rest is None:
            return found
        return {name: tensor + self.rest[name] for name, tensor in found.items()}


def moments(
    pictures: Inputs,
) -> tuple[Tensor, Float64[Tensor, "pictures deviations"], Float64[Tensor, "deviations"], Tensor]:
    """Mean, whitened coordinates, sizes (descending) and directions of the principal deviations.

    Picture j is mean + Σ_k coordinates[j, k] · sizes[k] · directions[k]. Sizes are root mean squares over the
    pictures, in units of the distance of two pictures.
    """
    flat = pictures.flatten(1).double()
    mean = flat.mean(0)
    left, sizes, directions = torch.linalg.svd(flat - mean, full_matrices=False)
    root = len(flat) ** 0.5
    return mean, left * root, sizes / root, directions


def spectrum(pictures: Inputs) -> tuple[float, ...]:
    """The sizes of their principal deviations, descending."""
    return tuple(moments(pictures)[2].tolist())


def simplex(corners: int) -> Float64[Tensor, "corners corners-1"]:
    """A regular simplex with mean 0 and covariance 1."""
    ones = torch.ones(corners, 1, dtype=torch.float64)
    frame = torch.linalg.qr(torch.cat([ones, torch.eye(corners, corners - 1, dtype=torch.float64)], 1)).Q
    return frame[:, 1:] * corners**0.5


def turned(
    points: Float64[Tensor, "points k"], corners: Float64[Tensor, "corners k"], starts: int = STARTS
) -> Float64[Tensor, "corners k"]:
    """``corners`` turned (or mirrored) so that their third moment is most like that of ``points``.

    Maximises Σ_ij ⟨p_j, R c_i⟩³ over orthogonal R: in turns the derivative, damped, and the R nearest to it.
    """
    k = corners.shape[1]
    if k == 1:  # two can only change places
        return corners
    noise = torch.randn(starts, k, k, generator=generator(0, "rotation"), dtype=torch.float64)
    turn = torch.linalg.qr(noise.to(points.device)).Q
    for _ in range(TURNS):
        pull = (corners @ turn @ points.T).square() @ points
        wanted = corners.T @ pull
        size = (wanted * turn).sum((1, 2), keepdim=True).abs() / k
        left, _, right = torch.linalg.svd(wanted + DAMPING * size * turn)
        turn = left @ right
    likeness = (corners @ turn @ points.T).pow(3).sum((1, 2))
    return corners @ turn[likeness.argmax()]


def rounded(pictures: Inputs, count: int, starts: int = STARTS) -> Tensor:
    """``count`` pictures with the moments of ``pictures``, of which there are at least as many."""
    if len(pictures) == count:
        return pictures
    mean, points, sizes, directions = moments(pictures)
    kept = count - 1
    corners = turned(points[:, :kept], simplex(count), starts)
    found = mean + corners * sizes[:kept] @ directions[:kept]
    return found.view(count, *pictures.shape[1:]).to(pictures)


@dataclass(frozen=True)
class Groups:
    """The examples of each label, ``extra`` pictures more where they are several. ``labels`` are sorted."""

    labels: Labels
    extra: int

    @cached_property
    def classes(self) -> Labels:
        """The labels that occur, each once."""
        return self.labels.unique_consecutive()

    @cached_property
    def counts(self) -> list[int]:
        """How many examples have each of them."""
        return self.labels.unique_consecutive(return_counts=True)[1].tolist()

    @property
    def repeated(self) -> bool:
        """Whether any label occurs twice."""
        return len(self.counts) < len(self.labels)

    @cached_property
    def sizes(self) -> list[int]:
        """How many pictures explain them."""
        return [count + self.extra if count > 1 else 1 for count in self.counts]

    def lifted(self, update: Update) -> Update:
        """The update as if it came from that many pictures, each counting for less."""
        pairs = zip(self.counts, self.sizes, strict=True)
        shares = [count / size / len(self.labels) for count, size in pairs]
        labels = self.classes.repeat_interleave(torch.tensor(self.sizes, device=self.classes.device))
        weights = torch.tensor(shares, dtype=torch.float64).repeat_interleave(torch.tensor(self.sizes))
        return replace(update, num_examples=len(labels), labels=labels, step=WeightedStep(weights))

    def alone(self, which: int, model: nn.Module, update: Update, others: Inputs) -> Update:
        """The same of one label, while the examples of the other labels are ``others``."""
        size, total = self.sizes[which], len(self.labels)
        label, own = self.classes[which], self.labels == self.classes[which]
        even = torch.full((len(others),), 1 / total, dtype=torch.float64)
        rest = WeightedStep(even)(model, others, self.labels[~own]) if len(others) else None
        weights = torch.full((size,), self.counts[which] / size / total, dtype=torch.float64)
        return replace(update, num_examples=size, labels=label.repeat(size), step=WeightedStep(weights, rest))

    def around(self, which: int) -> list[int]:
        """How many examples come before those of this label, how many they are, and how many come after."""
        before = sum(self.counts[:which])
        return [before, self.counts[which], len(self.labels) - before - self.counts[which]]

    def rounded(self, pictures: Inputs, starts: int = STARTS) -> Tensor:
        """As many pictures as there are examples, in the order of ``labels``."""
        pairs = zip(pictures.split(self.sizes), self.counts, strict=True)
        return torch.cat([rounded(group, count, starts) for group, count in pairs])
