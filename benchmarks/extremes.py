"""The two ends of the spectrum where the whole of it is too much: Golub–Kahan–Lanczos on the gradient map.

Each step costs one product J v (forward mode) and one Jᵀ u (reverse mode), whatever the number of unknowns.
After k steps the singular values of a k×k bidiagonal matrix approach J's from inside: the largest is at most
σ₁ and soon close, the smallest is at least σ_d and close only if the spectrum is short.

Source: Golub and Kahan, "Calculating the Singular Values and Pseudo-Inverse of a Matrix", SIAM Journal on
Numerical Analysis 2(2), 1965. Differs: every new vector is orthogonalised against all earlier ones.
Chapter: 3.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from leaklib.attacks.parts.base import check_update
from leaklib.attacks.search.jacobian import GradientMap, Pass, pixels
from leaklib.rng import given
from leaklib.types import Inputs, Labels, Update


@dataclass(frozen=True, eq=False)
class Extremes:
    """What is certain about both ends of J's spectrum.

    A singular value of J lies within ``largest_error`` of ``largest``, and one within ``smallest_error`` of
    ``smallest``. The batch can move along ``direction``, of length 1, at the price of ``smallest`` in the
    update: so σ_d is at most ``smallest``, and the condition number at least ``condition_at_least``.
    """

    largest: float
    largest_error: float
    smallest: float
    smallest_error: float
    direction: Float64[Tensor, "batch ..."]

    @property
    def condition_at_least(self) -> float:
        """A lower bound of σ₁ / σ_d."""
        return self.largest / self.smallest if self.smallest > 0 else torch.inf


def extremes(
    model: nn.Module,
    update: Update,
    inputs: Inputs,
    labels: Labels,
    *,
    generator: torch.Generator | None = None,
    steps: int = 50,
    progress: Pass | None = None,
) -> Extremes:
    """Bounds on σ₁ and σ_d at the batch ``inputs``, ``labels`` behind ``update``, from ``steps`` products.

    The labels count as known. The first vector comes from ``generator``, seed 0 if there is none. Memory:
    ``steps`` vectors of the update's and of the batch's size. ``progress`` is called with the steps done, and
    with all.
    """
    check_update(model, update)
    gradient = GradientMap(model, update, labels)
    unknowns, inputs = inputs.numel(), update.to_pictures(pixels(inputs))
    steps = min(steps, unknowns, gradient.equations)
    v = torch.randn(unknowns, generator=given(generator, "extremes"), dtype=torch.float64).to(gradient.device)
    v, right, left, alphas, betas = v / v.norm(), [], [], [], []
    for step in range(steps):
        right.append(v)
        u, alpha = _new(gradient.push(inputs, v.view(1, *inputs.shape))[0], left)
        left.append(u)
        v, beta = _new(gradient.pull(inputs, u).flatten(), right)
        alphas.append(alpha)
        betas.append(beta)
        if progress is not None:
            progress(step + 1, steps)
        if beta <= torch.finfo(torch.float64).eps * alphas[0] or alpha == 0:
            break  # the vectors so far span a subspace that J maps to itself: the values are exact
    diagonal, above = (torch.tensor(numbers, dtype=torch.float64) for numbers in (alphas, betas[:-1]))
    p, values, q = torch.linalg.svd(diagonal.diag() + above.diag(1))
    errors = betas[-1] * p[-1].abs()
    direction = (torch.stack(right).T @ q[-1].to(gradient.device)).view(inputs.shape)
    return Extremes(values[0].item(), errors[0].item(), values[-1].item(), errors[-1].item(), direction)


def _new(vector: Tensor, earlier: list[Tensor]) -> tuple[Tensor, float]:
    """``vector`` without its part in the span of ``earlier``, at length 1, and the length it had."""
    if earlier:
        basis = torch.stack(earlier)
        for _ in range(2):  # once is not enough in floating point
            vector = vector - basis.T @ (basis @ vector)
    length = vector.norm().item()
    return (vector / length if length > 0 else vector), length
