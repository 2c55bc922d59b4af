"""The two optimisers of the search: L-BFGS with one gradient a step, and Adam in a box. No thresholds.

PyTorch's L-BFGS stops at absolute thresholds (gradient 1e-7, change 1e-9), which end an attack on a small
gradient before it has begun, and its two loops over 100 stored pairs cost as much as the gradient itself.
Here the product of the inverse Hessian with the gradient takes a few matrix products:

    H g = γ g + S v − γ Y u,   u = R⁻¹ Sᵀg,   v = R⁻ᵀ ((D + γ YᵀY) u − γ Yᵀg)

with S the last moves, Y the changes of the gradient, R the upper triangle of SᵀY, D its diagonal and
γ = sᵀy / yᵀy of the last pair. Adam's usual ε of 1e-8 is an absolute threshold as well: where the distance of
gray is 1e-6, gradients per pixel are below it.

Source: Byrd, Nocedal, Schnabel, "Representations of quasi-Newton matrices and their use in limited memory
methods", Mathematical Programming 63, 1994, section 3. Differs: no line search, as in the attack it serves.
Kingma, Ba, "Adam", ICLR 2015, PyTorch's; the sign of the gradient and the projection on the range of pictures
as in the code released with Geiping et al., "Inverting Gradients", NeurIPS 2020. Differs: the step size falls
geometrically to a thousandth instead of three times by ten, and Adam's ε is next to nothing.
L-BFGS is not built on PyTorch's ``Optimizer``, whose first use loads its compiler: two seconds of a core.
Chapters: 3, 5, 6.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.optim import Adam

# A pair is remembered if its curvature sᵀy exceeds this share of ‖s‖ ‖y‖: fixed, whatever the arguments of
# LBFGS. Without positive curvature the direction would be one of ascent; barely above zero, rounding decides.
CURVATURE = 1e-10
FALL = 1e-3  # the last step size of BoxedAdam as a share of the first
EPS = 1e-20  # keeps 0 / 0 away and nothing else


@runtime_checkable
class Optimizer(Protocol):
    """What a search is moved by: it reads ``.grad`` of its point and moves it. PyTorch's are such."""

    def step(self) -> object: ...


class LBFGS:
    """Limited-memory BFGS on one flat parameter whose ``.grad`` the caller sets before each ``step()``."""

    def __init__(self, point: Tensor, *, lr: float = 1.0, history: int = 100) -> None:
        self.point, self.lr, self.history = point, lr, history
        self.moves, self.changes = point.new_zeros(2, history, point.numel())  # the rows of S and of Y
        # Their inner products decide the direction by small differences: float64, whatever the point is.
        self.sy, self.yy = torch.zeros(2, history, history, dtype=torch.float64, device=point.device)
        self.count = 0
        self.last: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the point along the quasi-Newton direction."""
        gradient = self.point.grad
        assert gradient is not None
        if self.last is not None:
            self._remember(self.point - self.last[0], gradient - self.last[1])
        self.last = self.point.clone(), gradient
        self.point.sub_(self._times_inverse_hessian(gradient), alpha=self.lr)

    def _remember(self, move: Tensor, change: Tensor) -> None:
        curvature = move @ change
        if not curvature > CURVATURE * move.norm() * change.norm():
            return
        k = self.count
        self.moves[k], self.changes[k] = move, change
        self.sy[: k + 1, k] = self.moves[: k + 1] @ change
        self.yy[: k + 1, k] = self.yy[k, : k + 1] = self.changes[: k + 1] @ change
        self.count += 1
        if self.count == self.history:
            self._forget_older_half()

    def _forget_older_half(self) -> None:
        # Half at a time: shifting the large buffer at every step would cost more than the step.
        half = self.history // 2
        self.moves, self.changes = self.moves.roll(-half, 0), self.changes.roll(-half, 0)
        self.sy, self.yy = self.sy.roll((-half, -half), (0, 1)), self.yy.roll((-half, -half), (0, 1))
        self.count -= half

    def _times_inverse_hessian(self, gradient: Tensor) -> Tensor:
        k = self.count
        if k == 0:  # nothing is known of the curvature: a step of L1 length at most 1, as PyTorch's
            return gradient / gradient.abs().sum().clamp_min(1)
        moves, changes = self.moves[:k], self.changes[:k]
        s_g, y_g = (moves @ gradient).double(), (changes @ gradient).double()
        r, yy = self.sy[:k, :k].triu(), self.yy[:k, :k]
        gamma = r[-1, -1] / yy[-1, -1]
        u = torch.linalg.solve_triangular(r, s_g[:, None], upper=True)
        inner = r.diagonal()[:, None] * u + gamma * (yy @ u - y_g[:, None])
        v = torch.linalg.solve_triangular(r.T, inner, upper=False)
        dtype = gradient.dtype
        return gamma.to(dtype) * gradient + v[:, 0].to(dtype) @ moves - (gamma * u[:, 0]).to(dtype) @ changes


class BoxedAdam(Adam):
    """Adam on one flat parameter in [0, 1], or with its first ``inside`` numbers there, for ``steps`` steps.

    With ``signed`` it sees only the signs of the gradient, so that flat parts of the picture move as fast as
    those to which the update is sensitive.
    """

    def __init__(
        self, point: Tensor, *, lr: float, steps: int, signed: bool, inside: int | None = None
    ) -> None:
        super().__init__([point], lr=lr, eps=EPS)
        self.point, self.fall, self.signed, self.inside = point, FALL ** (1 / steps), signed, inside

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step, back into the box, and a smaller step size for the next."""
        assert self.point.grad is not None
        if self.signed:
            self.point.grad = self.point.grad.sign()
        super().step()
        self.point[: self.inside].clamp_(0, 1)
        self.param_groups[0]["lr"] *= self.fall
