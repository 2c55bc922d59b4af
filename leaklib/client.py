"""What a client computes on its examples, and what it shares.

A client step is a pure function of (weights, examples). The same function serves twice: the client runs it
on its data, an attacker on a guess, differentiating through it.

Source: FedSGD and FedAvg as in McMahan et al., "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017, Algorithm 1. The update of FedAvg is weights before minus weights after, so
that one local step divided by its learning rate is the FedSGD gradient.
Chapter: 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from leaklib.fields import Checked, Count, FinitePositive, Natural, Positive
from leaklib.named import fingerprint, flatten, listed, trained
from leaklib.rng import generator
from leaklib.types import AnyInputs, AnyTargets, Batch, Bounds, ClientStep, Inputs, Tensors, Update

Loss = Callable[[Any, Tensor], Tensor]
"""From what the model returns and the labels to a scalar, the mean over the batch."""


def _state(model: nn.Module, lanes: int | None) -> tuple[Tensors, Tensors]:
    """Weights as fresh leaves and buffers as clones: what a step does to them never reaches the model.

    Frozen weights are not among them: the model uses its own.
    With ``lanes`` each has a leading dimension of that many copies, so that each guess has its own gradient.
    """

    def copies(tensor: Tensor) -> Tensor:
        return tensor if lanes is None else tensor.expand(lanes, *tensor.shape)

    weights = {name: copies(weight.detach()).requires_grad_() for name, weight in trained(model).items()}
    return weights, {name: copies(buffer).clone() for name, buffer in model.named_buffers()}


def _gradient(
    model: nn.Module, loss: Loss, state: tuple[Tensors, Tensors], inputs: Tensor, labels: Tensor, lanes: bool
) -> Tensors:
    """Gradient of the loss at ``state``, whose buffers move as they would in training."""
    weights, buffers = state

    def of(weights: Tensors, buffers: Tensors, inputs: Tensor, labels: Tensor) -> Tensor:
        output = functional_call(model, {**weights, **buffers}, (inputs,))
        if loss is cross_entropy:
            _check_logits(model, output)
        return loss(output, labels)

    # The graph of the gradient itself is built only for someone who will differentiate it: the attacker.
    differentiable = torch.is_grad_enabled() and (inputs.requires_grad or labels.requires_grad)
    with torch.enable_grad():
        # The sum over lanes has each lane's own gradient, since no lane's loss depends on another's weights.
        value = (torch.vmap(of) if lanes else of)(weights, buffers, inputs, labels)
        gradients = torch.autograd.grad(
            value.sum(), list(weights.values()), create_graph=differentiable, allow_unused=True
        )
    found = dict(zip(weights, gradients, strict=True))
    if unused := [name for name, gradient in found.items() if gradient is None]:
        raise ValueError(
            f"the loss does not depend on {listed(unused)}: freeze it with requires_grad_(False)"
        )
    return found


def _check_logits(model: nn.Module, output: Any) -> None:
    """ValueError unless ``output`` is what cross-entropy takes."""
    if isinstance(output, Tensor) and output.ndim == 2:
        return
    got = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
    raise ValueError(
        f"expected logits, N×classes, from {type(model).__name__}, got {got}: take them out with "
        f"model.register_forward_hook(lambda module, inputs, output: output['logits']), or give the step a "
        f"loss of your own"
    )


@dataclass(frozen=True)
class FedSGD(Checked):
    """One gradient of the mean loss over the batch.

    ``max_grad_norm``, if given, scales each example's gradient down to at most this L2 norm before the
    mean is taken, as in DP-SGD (Abadi et al., CCS 2016, Algorithm 1). ``loss`` takes what the model returns
    and the labels; with another than cross-entropy, labels cannot be inferred and have to be revealed.
    """

    max_grad_norm: FinitePositive | None = None
    loss: Loss = field(default=cross_entropy, repr=False)

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        if self.max_grad_norm is None:
            state = _state(model, len(inputs) if lanes else None)
            return _gradient(model, self.loss, state, inputs, labels, lanes)
        # Every example is a lane of its own, so that it has a gradient of its own.
        examples, targets = (t.flatten(0, 1) if lanes else t for t in (inputs, labels))
        each = FedSGD(loss=self.loss)(model, examples.unsqueeze(1), targets.unsqueeze(1), lanes=True)
        clipped = torch.vmap(partial(clip, max_norm=self.max_grad_norm))(each)
        if lanes:
            clipped = {name: tensor.unflatten(0, inputs.shape[:2]) for name, tensor in clipped.items()}
        return {name: tensor.mean(1 if lanes else 0) for name, tensor in clipped.items()}


Update.plain = FedSGD()


def clip(tensors: Tensors, max_norm: float | int) -> Tensors:
    """All tensors times one factor, so that together they have an L2 norm of at most ``max_norm``.

    To within 1e-6 of it, for entries of any finite size: an infinite or NaN entry makes all of them NaN,
    which ``check_finite`` refuses. ValueError for a float type that is too coarse for that.
    """
    largest = flatten(tensors).detach().abs().max()
    if torch.finfo(largest.dtype).eps > 1e-6:
        raise ValueError(f"clipping needs float32 or float64 to keep its bound, got {largest.dtype}")
    # Squares of very large and very small entries leave float32: then the largest is the unit of length.
    ordinary = (largest == 0) | ((largest > 1e-12) & (largest < 1e12))
    unit = torch.where(ordinary, torch.ones_like(largest), largest)
    parts = {name: tensor / unit for name, tensor in tensors.items()}
    norm = torch.stack([part.square().sum() for part in parts.values()]).sum().sqrt()
    scale = (max_norm / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp(max=unit)
    return {name: part * scale for name, part in parts.items()}


def check_finite(tensors: Tensors, client: int) -> None:
    """ValueError if an entry is NaN or infinite: no factor clips it, and no noise hides it."""
    if bad := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        what = f"the update of client {client} has NaN or infinite entries in {listed(bad)}"
        raise ValueError(f"{what}, which nothing clips: lower the learning rate, or look at its examples")


@dataclass(frozen=True)
class FedAvg(Checked):
    """``epochs`` passes of plain SGD over the batch, in the given order, in mini-batches of ``batch_size``.

    The last mini-batch may be smaller. ``batch_size`` None means the whole batch at once. ``loss`` as for
    ``FedSGD``.
    """

    lr: Positive = 0.1
    epochs: Count = 1
    batch_size: Count | None = None
    loss: Loss = field(default=cross_entropy, repr=False)

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        start, buffers = _state(model, len(inputs) if lanes else None)
        examples = 1 if lanes else 0  # the dimension that counts them
        size = self.batch_size or inputs.shape[examples]
        weights = start
        for _ in range(self.epochs):
            for some in zip(inputs.split(size, examples), labels.split(size, examples), strict=True):
                gradient = _gradient(model, self.loss, (weights, buffers), *some, lanes)
                moved = ((name, weight - self.lr * gradient[name]) for name, weight in weights.items())
                weights = {name: weight.requires_grad_() for name, weight in moved}
        return {name: start[name] - weights[name] for name in start}


@dataclass(frozen=True)
class Shuffled(Checked):
    """``step`` with the batch in a fresh order in each epoch, drawn from ``seed``: the client's secret.

    An update of it says ``step`` alone: how the client trains is public, which example it met when is not.
    ValueError unless all mini-batches have the same size.
    """

    step: FedAvg = FedAvg()
    seed: Natural = 0

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        examples = 1 if lanes else 0
        order = self.order(inputs.shape[examples]).to(inputs.device)
        once = epochs_apart(self.step, inputs.shape[examples])
        return once(
            model, inputs.index_select(examples, order), labels.index_select(examples, order), lanes=lanes
        )

    def order(self, examples: int) -> Int[Tensor, "visits"]:
        """Which of so many examples are met, one after the other, over all epochs."""
        draw = generator(self.seed, "order")
        return torch.cat([torch.randperm(examples, generator=draw) for _ in range(self.step.epochs)])


def epochs_apart(step: FedAvg, examples: int) -> FedAvg:
    """``step`` for the batches of all its epochs, one after the other, each with ``examples`` of its own.

    ValueError unless mini-batches of one size divide the examples.
    """
    size = step.batch_size or examples
    if examples % size:
        raise ValueError(
            f"mini-batches of {size} must divide the examples, got {examples}: take another size"
        )
    return replace(step, epochs=1, batch_size=size)


@dataclass(frozen=True)
class Average(Checked):
    """What ``clients`` clients send on average, each after ``step`` on its equal share of the examples.

    The step of an update that stands for several clients. For FedSGD the whole batch gives the same.
    """

    step: ClientStep = FedAvg()
    clients: Count = 1

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        examples = 1 if lanes else 0
        if inputs.shape[examples] % self.clients:
            raise ValueError(
                f"{inputs.shape[examples]} examples cannot be shared out equally among {self.clients} clients"
            )
        shares = (tensor.tensor_split(self.clients, examples) for tensor in (inputs, labels))
        each = [self.step(model, *share, lanes=lanes) for share in zip(*shares, strict=True)]
        return {name: torch.stack([tensors[name] for tensors in each]).mean(0) for name in each[0]}


def batch_norm_statistics(model: nn.Module, inputs: Inputs) -> Tensors:
    """Mean and variance of what each BatchNorm layer receives for ``inputs``: 2×channels per layer name.

    Differentiable in ``inputs``; empty for a model without BatchNorm. The model is left as it was.
    """
    found: Tensors = {}

    def watch(name: str, layer: nn.Module) -> RemovableHandle:
        def look(_: nn.Module, received: tuple[Tensor]) -> None:
            features = received[0].transpose(0, 1).flatten(1)  # channels × everything else
            found[name] = torch.stack([features.mean(1), features.var(1, correction=0)])

        return layer.register_forward_pre_hook(look)

    hooks = [watch(name, layer) for name, layer in model.named_modules() if isinstance(layer, _BatchNorm)]
    try:
        functional_call(model, {name: buffer.clone() for name, buffer in model.named_buffers()}, (inputs,))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def share(
    model: nn.Module,
    batch: Batch,
    step: ClientStep,
    *,
    client: int = 0,
    reveal_labels: bool = False,
    reveal_statistics: bool = False,
    bounds: Bounds = (0.0, 1.0),
) -> Update:
    """What ``client`` sends after ``step`` on its ``batch``. The model is left as it was.

    The model's device and float type decide where and how exactly it is computed. With ``reveal_labels`` the
    labels travel along, with ``reveal_statistics`` what each BatchNorm layer measured on the batch at the
    weights that the server sent. Either makes a stronger attacker, to be said wherever a result relies on it.
    ``bounds`` is the range of the inputs, other than (0, 1) where they were normalized outside the model.
    ValueError if a gradient that ``max_grad_norm`` should clip is NaN or infinite.
    """
    if not trained(model):
        raise ValueError("the model has no parameters to train, so there is no update to share")
    weight = next(model.parameters())
    batch = batch.to(weight.device, weight.dtype if batch.inputs.is_floating_point() else None)
    tensors = {name: t.detach() for name, t in step(model, batch.inputs, batch.labels).items()}
    labels, statistics = batch.labels if reveal_labels else None, None
    if reveal_statistics:
        with torch.no_grad():
            statistics = batch_norm_statistics(model, batch.inputs)
    bound = step.max_grad_norm if isinstance(step, FedSGD) else None
    if bound is not None:
        check_finite(tensors, client)
    return Update(
        tensors,
        step.step if isinstance(step, Shuffled) else step,
        len(batch),
        tuple(batch.inputs.shape[1:]),
        labels,
        client,
        statistics,
        sensitivity=None if bound is None else bound / len(batch),  # one example's part of the mean
        bounds=bounds,
        model=fingerprint(model),
    )
