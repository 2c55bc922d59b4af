"""The gradient map: from a batch to the update it causes, with its derivatives, in float64.

    G(x) = step(model, x, y),   J = ∂G/∂x

Columns of J come by forward mode: the tangent of G in the direction of one pixel, several directions side by
side as lanes of one computation. The client step is used as it is, so J is right for any model and any step.

Chapter: 4.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.autograd import forward_ad

from leaklib.named import flatten, listed
from leaklib.types import Inputs, Labels, Tensors, Update

LANES = 32  # directions in one computation: more are not faster, and cost memory
FEW = 2**24  # numbers in the tangents of one computation, 128 MiB, where that allows fewer lanes

Columns = Float64[Tensor, "lanes equations"]
Pass = Callable[[int, int], None]
"""Called with how many columns are computed, and of how many."""


class GradientMap:
    """G at the update's step and at fixed labels, as a vector of all its tensors, in the update's order.

    It takes pictures in [0, 1], whatever the update's bounds: J is per unit of these.
    ``noise`` gives the standard deviation of the noise on each tensor: its numbers are divided by it, so that
    all have noise of one. The model is copied and left as it was.
    """

    def __init__(
        self, model: nn.Module, update: Update, labels: Labels, noise: Mapping[str, float] | None = None
    ) -> None:
        self.model = copy.deepcopy(model).double()
        self.device = next(self.model.parameters()).device
        self.step, self.labels, self.names = update.step, labels.to(self.device), list(update.tensors)
        self.to_inputs = update.to_inputs
        self.equations = sum(tensor.numel() for tensor in update.tensors.values())
        self.noise = dict.fromkeys(self.names, 1.0) if noise is None else dict(noise)
        if missing := set(self.names) - self.noise.keys():
            raise ValueError(f"noise must name every tensor of the update, {listed(missing)} missing")
        if not all(0 < self.noise[name] < math.inf for name in self.names):
            raise ValueError(f"noise must be above 0 and finite for every tensor, got {self.noise}")

    def vector(self, tensors: Tensors) -> Float64[Tensor, "equations"]:
        """An update as a vector, in units of the noise."""
        return flatten({n: tensors[n].to(self.device).double() / self.noise[n] for n in self.names})

    def at(self, inputs: Inputs) -> Float64[Tensor, "equations"]:
        """G(inputs); differentiable if the inputs require a gradient."""
        inputs = self.to_inputs(inputs.to(self.device).double())
        return self.vector(self.step(self.model, inputs, self.labels))

    def push(self, inputs: Inputs, tangents: Float64[Tensor, "lanes batch ..."]) -> Columns:
        """J t for each tangent t: how the update moves when the inputs move along t."""
        labels = self.labels.expand(len(tangents), -1)
        inputs = inputs.to(self.device).double().expand(len(tangents), *inputs.shape)
        with warnings.catch_warnings():
            # PyTorch's own rules for forward mode are scripts, which it warns about when it first loads them.
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
            with forward_ad.dual_level():
                point = forward_ad.make_dual(inputs.clone(), tangents)
                update = self.step(self.model, self.to_inputs(point), labels, lanes=True)
                moved = {name: _tangent(tensor) for name, tensor in update.items()}
        return torch.vmap(self.vector)(moved)

    def pull(self, inputs: Inputs, cotangent: Float64[Tensor, "equations"]) -> Float64[Tensor, "batch ..."]:
        """Jᵀ u: the gradient of ⟨u, G⟩ in the inputs."""
        inputs = inputs.detach().to(self.device).double().requires_grad_()
        return torch.autograd.grad(self.at(inputs) @ cotangent, inputs)[0]

    def columns(self, inputs: Inputs) -> Iterator[Columns]:
        """The columns of J as rows of a few at a time, one for each number of ``inputs`` in its order."""
        unknowns = inputs.numel()
        lanes = max(1, min(LANES, FEW // self.equations))
        for first in range(0, unknowns, lanes):
            some = min(lanes, unknowns - first)
            tangents = torch.zeros(some, unknowns, dtype=torch.float64, device=self.device)
            tangents[:, first : first + some] = torch.eye(some, dtype=torch.float64, device=self.device)
            yield self.push(inputs, tangents.view(some, *inputs.shape))

    def transposed(
        self, inputs: Inputs, rows: slice = slice(None), progress: Pass | None = None
    ) -> Float64[Tensor, "unknowns rows"]:
        """Jᵀ, or only some of its columns: the ``rows`` of J. Computes all and stores what is asked for."""
        unknowns, wanted, first = inputs.numel(), len(range(self.equations)[rows]), 0
        stored = torch.empty(unknowns, wanted, dtype=torch.float64, device=self.device)
        for some in self.columns(inputs):
            stored[first : first + len(some)] = some[:, rows]
            first += len(some)
            if progress is not None:
                progress(first, unknowns)
        return stored


def _tangent(dual: Tensor) -> Tensor:
    tangent = forward_ad.unpack_dual(dual).tangent
    return torch.zeros_like(dual).detach() if tangent is None else tangent.detach()


def pixels(inputs: Inputs) -> Float[Tensor, "batch ..."]:
    """``inputs`` unchanged, if it can be differentiated: ValueError for tokens."""
    if not inputs.is_floating_point():
        raise ValueError(f"expected pictures as floats, got {inputs.dtype}: tokens have no derivative")
    return inputs
