"""One convolution undone: its input, from what is known of its output and from its own gradient.

The output z = W ∗ x + b, with signal d = ∂L/∂z, gives two linear systems in the input, solved together:

    W ∗ x = z − b        one equation per output
    d ⋆ x = ∂L/∂W        one block of equations, the same for every input channel

Each equation counts by how exactly it is known. That matters most below a sigmoid: inverting h = φ(z)
divides the error of h by the slope φ'(z), and one saturated unit, weighted like the rest, ruins the picture.

Source: Zhu and Blaschko, "R-GAP: Recursive Gradient Attack on Privacy", ICLR 2021, Algorithm 1. Differs: they
solve the systems unweighted, as one dense least-squares problem.
Chapter: 3.
"""

from collections.abc import Callable
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_factor, get_lapack_funcs
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.linalg import solve_triangular
from torch.nn.functional import conv2d, conv_transpose2d

Kernel = Float[Tensor, "out in kh kw"]


class Known(NamedTuple):
    """A tensor inside the network, the loss's gradient in it, and the standard error of each, in float64.

    Errors are counted in roundings of the float type that the client computes in: only their ratios matter.
    """

    value: Tensor
    signal: Tensor
    error: Tensor
    signal_error: Tensor


_libraries = cache(ThreadpoolController)  # looking for the loaded libraries takes milliseconds: once


def double(tensor: Tensor) -> Tensor:
    """``tensor`` in float64 on the CPU, where the systems are solved."""
    return tensor.detach().cpu().double()


def peel_conv(name: str, layer: nn.Conv2d, shape: torch.Size, output: Known, weight_grad: Kernel) -> Known:
    """The input of a convolution, of ``shape`` channels × height × width.

    Raises ValueError if the two systems together do not determine it.
    """
    systems = _Systems(layer, shape, output, weight_grad)
    rank, unknowns, value = systems.rank_bound(), shape.numel(), None
    if rank == unknowns:
        try:
            value = _refine(systems, _factor(systems))
        except LinAlgError:  # singular, or too ill-conditioned for single precision
            solver, rank = _factor_in_double(systems)
            value = _refine(systems, solver) if rank == unknowns else None
    if value is None:
        why = "its output and its gradient determine at most"
        raise ValueError(f"Recursive cannot undo {name}: {why} {rank} of its {unknowns} inputs")
    signal = systems.adjoint(output.signal)
    return Known(value, signal, systems.diagonal().rsqrt(), signal.abs())


class _Systems:
    """The two systems of one convolution, A x = y for short; ``exactness`` is one over a row's error."""

    def __init__(self, layer: nn.Conv2d, shape: torch.Size, output: Known, weight_grad: Tensor) -> None:
        self.shape = shape  # channels × height × width of x
        self.kernel = double(layer.weight)  # out × in × kh × kw
        self.stride = layer.stride
        self.padding = (0, 0) if isinstance(layer.padding, str) else layer.padding  # "valid" is none
        bias = 0 if layer.bias is None else double(layer.bias)[:, None, None]
        self.outputs, self.exactness = output.value - bias, 1 / output.error  # out × oh × ow

        # Row (o, a, b) of the block: kernel entry (a, b) meets the input on a grid, weighted by the signal.
        (kh, kw), (oh, ow), (top, left) = self.kernel.shape[2:], output.signal.shape[1:], self.padding
        canvas = torch.zeros(len(self.kernel), kh, kw, shape[1] + 2 * top, shape[2] + 2 * left).double()
        for a, b in product(range(kh), range(kw)):
            canvas[:, a, b, a :: self.stride[0], b :: self.stride[1]][:, :oh, :ow] = output.signal
        block = canvas[..., top : top + shape[1], left : left + shape[2]].flatten(3).flatten(0, 2)
        # The signal's errors meet inputs of about 1/2. A channel without signal only says 0 = 0.
        errors = output.signal_error.flatten(1).norm(dim=1).repeat_interleave(kh * kw)[:, None] / 2
        exactness = errors.reciprocal().nan_to_num(posinf=0)
        self.block = exactness * block  # (out · kh · kw) × (height · width)
        self.targets = exactness * weight_grad.permute(0, 2, 3, 1).flatten(0, 2)  # (out · kh · kw) × in
        self.signals = int(torch.linalg.matrix_rank(output.signal.flatten(1)))

    def convolve(self, images: Tensor, kernel: Tensor) -> Tensor:
        """What the layer does, without its bias, to images × channels × height × width."""
        return conv2d(images, kernel, None, self.stride, self.padding)

    def adjoint(self, signal: Tensor, power: int = 1) -> Tensor:
        """The loss's gradient in the input, from that in the output; ``power`` 2 squares the kernel."""
        sizes = zip(self.shape[1:], self.padding, self.kernel.shape[2:], self.stride, strict=True)
        unseen = [(n + 2 * p - k) % s for n, p, k, s in sizes]  # rows and columns after the last window
        kernel = self.kernel.to(signal) ** power
        return conv_transpose2d(signal[None], kernel, None, self.stride, self.padding, unseen)[0]

    def gradient(self, x: Tensor) -> Tensor:
        """Aᵀ(y − A x), each equation times its exactness: zero where x fits best."""
        misfit = self.outputs - self.convolve(x[None], self.kernel)[0]
        from_block = (self.targets - self.block @ x.flatten(1).T).T @ self.block
        return self.adjoint(self.exactness.square() * misfit) + from_block.view(self.shape)

    def diagonal(self) -> Tensor:
        """The diagonal of AᵀA: how exactly each input would be known if the others were given."""
        from_block = self.block.square().sum(0).view(self.shape[1:])
        return self.adjoint(self.exactness.square(), power=2) + from_block

    def rank_bound(self) -> int:
        """How many inputs the systems determine at most: equations, less those that follow from others.

        For each output channel o and each independent signal d: Σ W_o · (d ⋆ x) = Σ d · (W_o ∗ x).
        """
        rows = min(self.signals * self.kernel[0, 0].numel(), self.shape[1:].numel())
        equations = self.outputs.numel() + self.shape[0] * rows - self.signals * len(self.kernel)
        return min(equations, int(self.diagonal().count_nonzero()))

    def normal_matrix(self, dtype: type[np.floating]) -> Tensor:
        """AᵀA, dense."""
        matrix = torch.from_numpy(np.zeros(2 * self.shape, dtype))  # NumPy's zeros come in large pages
        kernel, exactness = self.kernel.to(matrix).flatten(1), self.exactness.to(matrix)
        for i in range(self.outputs.shape[1]):
            seen = exactness[:, i].T[:, :, None] * kernel  # ow × out × (in · kh · kw)
            for j, square in enumerate(seen.mT @ seen):
                square = square.view(2 * self.kernel.shape[1:])
                (rows, a), (columns, b) = self._overlap(0, i), self._overlap(1, j)
                matrix[:, rows, columns, :, rows, columns] += square[:, a, b, :, a, b]
        gram = self.block.to(matrix).T @ self.block.to(matrix)
        matrix.view(2 * (self.shape[0], len(gram))).diagonal(dim1=0, dim2=2).add_(gram[:, :, None])
        return matrix.view(self.shape.numel(), self.shape.numel())

    def _overlap(self, axis: int, index: int) -> tuple[slice, slice]:
        """The inputs that output ``index`` sees along ``axis``, and where in the kernel they are."""
        start, length = index * self.stride[axis] - self.padding[axis], self.kernel.shape[2 + axis]
        first = max(start, 0)
        last = max(first, min(start + length, self.shape[1 + axis]))
        return slice(first, last), slice(first - start, last - start)


Solver = Callable[[Tensor], Tensor]
"""From Aᵀy to nearly the x with AᵀA x = Aᵀy: both as vectors in float64, Aᵀy with entries up to 1."""


def _refine(systems: _Systems, solver: Solver) -> Tensor:
    """Iterative refinement: residuals in double precision, corrections from factors in single."""
    x, first, last = torch.zeros(systems.shape).double(), 0.0, float("inf")
    while True:
        gradient = systems.gradient(x)
        scale = gradient.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
        step = solver(gradient.flatten() / scale).view(systems.shape) * scale
        x = x + step
        size = (gradient * step).sum().sqrt().item()  # ‖A step‖
        if size * size <= 1e-12 * first * last:  # the next step would be below 1e-12 of the first
            return x
        if not size <= 0.1 * last:  # NaN, of a negative square, included
            raise LinAlgError("the equations are too ill-conditioned to be solved")
        first, last = first or size, size


def _factor(systems: _Systems) -> Solver:
    """AᵀA by Cholesky in single precision, or by a shortcut where the block alone determines much."""
    rows, pixels = systems.block.shape
    if rows >= pixels and systems.outputs.numel() <= systems.shape.numel():
        return _factor_by_channel(systems)
    lower = _cholesky(systems.normal_matrix(np.float32), systems.shape.numel())
    return lambda b: _solve(lower, b.float()[:, None])[:, 0].double()


def _cholesky(matrix: Tensor, unknowns: int, least: float = 0.0) -> Tensor:
    """The lower factor, in place of ``matrix``; LinAlgError if a pivot may be nothing but rounding.

    Rounding grows with the number of ``unknowns`` of the whole system; ``least`` bounds it from below.
    """
    rounding = unknowns * torch.finfo(matrix.dtype).eps * matrix.diagonal()
    # SciPy's threads do not know of torch's setting; two processes that each use all cores crawl.
    with _libraries().limit(limits=torch.get_num_threads(), user_api="blas"):
        lower, _ = cho_factor(matrix.numpy().T, lower=True, overwrite_a=True, check_finite=False)
    lower = torch.from_numpy(lower)
    if (lower.diagonal().square() <= rounding.clamp_min(least)).any():
        raise LinAlgError("singular to single precision")
    return lower


def _solve(lower: Tensor, b: Tensor) -> Tensor:
    return solve_triangular(lower.T, solve_triangular(lower, b, upper=False), upper=True)


def _factor_by_channel(systems: _Systems) -> Solver:
    """First what the block determines of each channel, then a system of the size of the outputs.

    With C the weighted rows of W ∗, G the block's Gram matrix and N a basis of what the block leaves open,
    AᵀA = CᵀC + I ⊗ G is inverted through M = I + C (I ⊗ G⁺) Cᵀ and, in I ⊗ N, a Schur complement.
    """
    channels, pixels = systems.shape[0], systems.shape[1:].numel()
    kernel, exactness = systems.kernel.float(), systems.exactness.float().view(-1, 1)
    values, basis = torch.linalg.eigh(systems.block.T @ systems.block)
    open_ = int((values <= 1e-4 * values[-1]).sum())
    inverse = ((basis[:, open_:] / values[open_:]) @ basis[:, open_:].T).float()  # G⁺
    basis = basis[:, :open_].float()  # N

    def in_each_channel(images: Tensor) -> Tensor:
        """W ∗ (I ⊗ images): outputs × (channels · images)."""
        maps = systems.convolve(images.T.reshape(-1, 1, *systems.shape[1:]), kernel.flatten(0, 1)[:, None])
        maps = maps.view(images.shape[1], len(kernel), channels, systems.outputs[0].numel())
        return maps.permute(1, 3, 2, 0).reshape(len(exactness), channels * images.shape[1])

    middle = systems.convolve(in_each_channel(inverse).view(-1, *systems.shape), kernel).flatten(1)
    inner = _cholesky(torch.eye(len(middle)) + exactness * middle * exactness.T, systems.shape.numel())  # M
    rest = exactness * in_each_channel(basis)
    half = solve_triangular(inner, rest, upper=False)
    outer = half.T @ half + torch.diag(values[:open_].float().clamp_min(0).repeat(channels))
    outer = _cholesky(outer, systems.shape.numel(), least=1e-9 * systems.diagonal().max().item())

    def solver(b: Tensor) -> Tensor:
        b = b.float().view(channels, pixels)
        outputs = systems.convolve((b @ inverse).view(1, *systems.shape), kernel).view(-1, 1)
        fit = _solve(inner, exactness * outputs)
        weak = _solve(outer, (b @ basis).view(-1, 1) - rest.T @ fit)
        fit = exactness * (fit + _solve(inner, rest @ weak))
        back = systems.adjoint(fit.view(systems.outputs.shape)).view(channels, pixels)
        return ((b - back) @ inverse + weak.view(channels, open_) @ basis.T).flatten().double()

    return solver


def _factor_in_double(systems: _Systems) -> tuple[Solver, int]:
    """Cholesky with pivoting, slower, and the rank: how many inputs the systems determine."""
    matrix = systems.normal_matrix(np.float64)
    scale = matrix.diagonal().rsqrt()
    matrix *= scale * scale[:, None]
    (pstrf,) = get_lapack_funcs(("pstrf",), (matrix.numpy(),))
    with _libraries().limit(limits=torch.get_num_threads(), user_api="blas"):
        factor, pivots, rank, _ = pstrf(matrix.numpy().T, tol=1e-10, lower=1, overwrite_a=1)
    order = torch.from_numpy(pivots - 1).long()
    lower = torch.from_numpy(factor) / scale[order, None]
    return lambda b: _solve(lower, b[order, None])[order.argsort(), 0], rank
