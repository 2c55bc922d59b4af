"""Can this update be inverted at all? The Jacobian of the gradient map decides.

    J = ∂G/∂x at the true batch, with singular values σ₁ ≥ … ≥ σ_d

Rank d: the batch is isolated among those with its update. Rank below d: a whole surface of batches shares it.
With noise of standard deviation s on every number, no unbiased attack has a mean squared error below
s² Σ 1/σᵢ² / d; with a Gaussian prior of variance τ² on every pixel it is Σ 1/(σᵢ²/s² + 1/τ²) / d for a linear
map.

Source: the bound on unbiased attacks is Cramér and Rao's, for gradients as in Hannun, Guo, van der Maaten,
"Measuring Data Leakage in Machine-Learning Models with Fisher Information", UAI 2021.
Chapter: 4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from leaklib.attacks.parts.base import check_update
from leaklib.attacks.search.jacobian import GradientMap, Pass, pixels
from leaklib.fields import Positive, check
from leaklib.identifiability.counting import Bound, counting_bounds
from leaklib.types import Inputs, Labels, Update

MEMORY = 1 << 30  # bytes of J that are held at once


@dataclass(frozen=True, eq=False)
class Identifiability:
    """What the Jacobian of the gradient map at one batch says about inverting its update.

    ``bounds`` are the counting bounds, the last one on the batch itself. ``factor`` is R of J = QR, with J's
    singular values and null space: unknowns × unknowns, fewer rows if there are fewer equations.
    """

    unknowns: int
    equations: int
    bounds: tuple[Bound, ...]
    singular_values: Float64[Tensor, "n"]
    factor: Float64[Tensor, "n unknowns"]
    shape: torch.Size

    @property
    def counting_bound(self) -> int:
        """No weights and no picture give a higher rank."""
        return self.bounds[-1].rank

    @property
    def tolerance(self) -> float:
        """Singular values up to here may be nothing but rounding: equations · ε · σ₁, as NumPy has it."""
        return self.equations * torch.finfo(torch.float64).eps * self.singular_values[0].item()

    @property
    def rank(self) -> int:
        """How many singular values are above the tolerance."""
        return int((self.singular_values > self.tolerance).sum())

    @property
    def gap(self) -> float:
        """The smallest singular value that counts, over the next one, or over the tolerance if all count.

        What the rank rests on: at a gap of ten thousand it is beyond doubt, at ten it is a matter of taste.
        """
        if self.rank == 0:
            return math.nan
        rest = self.singular_values[self.rank :].tolist() or [self.tolerance]
        return self.singular_values[self.rank - 1].item() / max(rest[0], torch.finfo(torch.float64).tiny)

    @property
    def identifiable(self) -> bool:
        """Whether the batch is isolated: every small change of it changes the update, to first order."""
        return self.rank == self.unknowns

    @property
    def condition_number(self) -> float:
        """σ₁ / σ_d: how much worse the worst direction is than the best; inf if not identifiable."""
        spectrum = self.singular_values
        return (spectrum[0] / spectrum[-1]).item() if self.identifiable else math.inf

    def predicted_psnr(self, noise_std: float, *, prior_std: float | None = None) -> float:
        """The best PSNR in dB that is to be expected with Gaussian noise on every number of the update.

        Without a prior: of unbiased attacks, -inf if not identifiable. With one, where the gradient map is
        linear over the prior's range: of the best linear attack if pixels are uncorrelated with standard
        deviation ``prior_std``, and of every attack if they are Gaussian as well. Where ``identifiability``
        was given the noise, ``noise_std`` counts in units of it.
        """
        check("noise_std", noise_std, Positive)
        check("prior_std", prior_std, Positive | None)
        precision = (self.singular_values / noise_std).square()
        precision = torch.cat([precision, precision.new_zeros(self.unknowns - len(precision))])
        if prior_std is not None:
            precision = precision + prior_std**-2
        elif not self.identifiable:
            return -math.inf
        return -10 * precision.reciprocal().mean().log10().item()

    def null_space(self) -> Float64[Tensor, "nullity batch ..."]:
        """Orthonormal directions in which the batch can move and the update, to first order, does not."""
        basis = torch.linalg.svd(self.factor)[2]
        return basis[self.rank :].view(-1, *self.shape)


def identifiability(
    model: nn.Module,
    update: Update,
    inputs: Inputs,
    labels: Labels,
    *,
    noise: Mapping[str, float] | None = None,
    memory: int = MEMORY,
    progress: Pass | None = None,
) -> Identifiability:
    """The full analysis at the batch ``inputs`` (N×C×H×W), ``labels`` that ``update`` comes from.

    J is per unit of pictures in [0, 1], whatever the update's bounds. The labels count as known. ``noise`` is
    the standard deviation on each tensor of the update, where it is not the same on all. J is held in pieces
    of ``memory`` bytes, each of which costs one pass of forward mode over all columns; R takes as much again
    as unknowns² numbers do. ``progress`` is called with how many columns are done, and of how many.
    """
    check_update(model, update)
    expected = (update.num_examples, *update.input_shape)
    if tuple(inputs.shape) != expected:
        raise ValueError(f"expected the batch behind the update, {expected}, got {tuple(inputs.shape)}")
    gradient = GradientMap(model, update, labels, noise)
    pictures, equations = update.to_pictures(pixels(inputs)), gradient.equations
    unknowns = pictures.numel()
    rows = max(1, memory // (8 * unknowns))
    passes = range(0, equations, rows)
    factor = torch.zeros(0, unknowns, dtype=torch.float64, device=gradient.device)
    for number, first in enumerate(passes):
        report = progress and _shifted(progress, number * unknowns, len(passes) * unknowns)
        piece = gradient.transposed(pictures, slice(first, first + rows), report).T
        # The R of pieces under each other is that of all: what is held stays small.
        factor = torch.linalg.qr(torch.cat([factor, piece]) if number else piece, mode="r").R
    spectrum, bounds = torch.linalg.svdvals(factor), counting_bounds(model, update)
    return Identifiability(unknowns, equations, bounds, spectrum, factor, inputs.shape)


def _shifted(progress: Pass, before: int, total: int) -> Pass:
    return lambda done, _: progress(before + done, total)
