"""Gauss–Newton on the gradient map: use the whole Jacobian, and converge in a handful of steps.

    (JᵀJ + λ μ I) δ = −Jᵀ (G(x) − g),   x ← x + δ,   μ = tr(JᵀJ) / d

DLG's L-BFGS learns the curvature of the matching loss by walking; here it is computed. Near a solution the
error is squared in every step. λ is Levenberg and Marquardt's damping: it falls after a step that lowers the
loss and rises until one does. With noise and a prior the same system is that of the most probable picture.

Source: Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters", Journal of the Society
for Industrial and Applied Mathematics 11(2), 1963. Differs: every pixel is damped alike, not by its own
curvature.
Chapter: 4.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from leaklib.attacks.parts.base import AttackBase, check_uncompressed
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.jacobian import GradientMap
from leaklib.attacks.search.matching import STUCK, explain, yardstick
from leaklib.fields import Count, FiniteNonNegative, Natural, Positive
from leaklib.types import Callback, Labels, Progress, Reconstruction, Stop, Update

TRIES = 12  # times that the damping is raised in one step before the search is over
GRAY = 0.5  # the prior's mean, and where every start is near


@dataclass(frozen=True)
class GaussNewton(AttackBase):
    """Levenberg–Marquardt on the squared distance of the updates, in float64, with the dense Jacobian.

    Costs as many gradients per step as the batch has pixels, and memory for equations × pixels numbers: for
    small pictures, or to finish what another attack began. ``damping`` is the first λ; 0 is Gauss–Newton
    without any safeguard. ``spread`` is the standard deviation of the start around mid-gray, ``restarts`` how
    often it may begin again if more than the noise stays unexplained. ``noise_std`` is that of the Gaussian
    noise on every number; with a ``prior_std`` the most probable picture is sought, pixels having that spread
    around mid-gray. Labels as revealed, or inferred.
    """

    steps: Count = 60
    damping: FiniteNonNegative = 1e-2
    spread: FiniteNonNegative = 0.1
    restarts: Natural = 3
    noise_std: FiniteNonNegative = 0.0
    prior_std: Positive | None = None

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        check_uncompressed("GaussNewton", update)
        labels = infer_labels(model, update)
        fit, found = _Fit(self, model, update, labels, callback), []
        shape = update.num_examples, *update.input_shape
        for fit.restart in range(self.restarts + 1):
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            point, stop = fit.descend(GRAY + self.spread * noise.to(fit.gradient.device))
            guess = explain(model, update, update.to_inputs(point), labels)
            if stop != "stopped" and guess.loss <= STUCK * yardstick(guess.baseline):
                stop = "solved"
            elif stop != "stopped" and guess.loss <= fit.noise:
                stop = "floor"
            found.append(replace(guess, stop=stop))
            if stop not in ("stuck", "budget"):
                break
        best = min(found, key=lambda guess: guess.loss)
        stop = "stopped" if found[-1].stop == "stopped" else best.stop
        return replace(best, evaluations=fit.spent, restarts=fit.restart, stop=stop)


class _Fit:
    """The squared distance of the updates, plus the prior's share of it, and the walk down."""

    def __init__(
        self, attack: GaussNewton, model: nn.Module, update: Update, labels: Labels, callback: Callback | None
    ) -> None:
        self.attack, self.callback, self.dtype = attack, callback, next(model.parameters()).dtype
        self.gradient = GradientMap(model, update, labels)
        self.observed = self.gradient.vector(update.tensors)
        self.scale = self.observed.square().sum().item()
        # The prior in units of the fit: both multiplied by the noise's variance.
        self.weight = 0.0 if attack.prior_std is None else (attack.noise_std / attack.prior_std) ** 2
        # What noise alone leaves unexplained, with a margin: below it nothing is stuck.
        self.noise = 2 * attack.noise_std**2 * len(self.observed) / self.scale
        self.spent, self.restart = 0, 0

    def evaluate(self, point: Tensor) -> tuple[Tensor, float]:
        """G − g, and the relative loss."""
        miss = self.gradient.at(point) - self.observed
        loss = miss.square().sum() + self.weight * (point - GRAY).square().sum()
        return miss, loss.item() / self.scale

    def descend(self, point: Tensor) -> tuple[Tensor, Stop]:
        """From one start to where no step lowers the loss, or the steps are used up, or the caller stops."""
        damping = self.attack.damping
        miss, loss = self.evaluate(point)
        for step in range(1, self.attack.steps + 1):
            self.spent += 1
            if self.callback is not None:
                guess = self.gradient.to_inputs(point).to(self.dtype)
                if self.callback(Progress(self.spent, loss, guess, self.restart)):
                    return point, "stopped"
            if step == self.attack.steps:
                return point, "budget"
            rows = self.gradient.transposed(point)
            # JᵀJ and Jᵀ(G − g), with the prior's.
            matrix, slope = rows @ rows.T, rows @ miss + self.weight * (point - GRAY).flatten()
            matrix.diagonal().add_(self.weight)
            guess, new = point, math.inf
            for _ in range(TRIES):
                guess = point - _solve(matrix, slope, damping).view(point.shape)
                miss, new = self.evaluate(guess)
                if new < loss or self.attack.damping == 0:
                    break
                damping *= 4
            if not new < loss:
                break
            point, loss, damping = guess, new, damping / 10
        return point, "stuck"


def _solve(matrix: Tensor, slope: Tensor, damping: float) -> Tensor:
    """The damped step, by Cholesky; by least squares where the matrix is singular to rounding."""
    damped = matrix + damping * matrix.diagonal().mean() * torch.eye(len(matrix)).to(matrix)
    factor, failed = torch.linalg.cholesky_ex(damped)
    if failed:
        return torch.linalg.pinv(damped, hermitian=True) @ slope
    return torch.cholesky_solve(slope[:, None], factor)[:, 0]
