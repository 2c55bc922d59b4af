"""What a client computes on its examples, and what it shares.

A client step is a pure function of (weights, examples). The same function serves twice: the client runs it
on its data, an attacker on a guess, differentiating through it.

Source: FedSGD and FedAvg as in McMahan et al., "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017, Algorithm 1. The update of FedAvg is weights before minus weights after, so
that one local step divided by its learning rate is the FedSGD gradient.
Chapter: 1.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from leaklib.fields import Checked, Count, Positive
from leaklib.types import AnyInputs, AnyTargets, Batch, ClientStep, Inputs, Tensors, Update


def _state(model: nn.Module, lanes: int | None) -> tuple[Tensors, Tensors]:
    """Weights as fresh leaves and buffers as clones: what a step does to them never reaches the model.

    With ``lanes`` each has a leading dimension of that many copies, so that each guess has its own gradient.
    """

    def copies(tensor: Tensor) -> Tensor:
        return tensor if lanes is None else tensor.expand(lanes, *tensor.shape)

    weights = {name: copies(weight.detach()).requires_grad_() for name, weight in model.named_parameters()}
    return weights, {name: copies(buffer).clone() for name, buffer in model.named_buffers()}


def _gradient(
    model: nn.Module, state: tuple[Tensors, Tensors], inputs: Tensor, labels: Tensor, lanes: bool
) -> Tensors:
    """Gradient of the mean cross-entropy at ``state``, whose buffers move as they would in training."""
    weights, buffers = state

    def loss(weights: Tensors, buffers: Tensors, inputs: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(functional_call(model, {**weights, **buffers}, (inputs,)), labels)

    # The graph of the gradient itself is built only for someone who will differentiate it: the attacker.
    differentiable = torch.is_grad_enabled() and (inputs.requires_grad or labels.requires_grad)
    with torch.enable_grad():
        # The sum over lanes has each lane's own gradient, since no lane's loss depends on another's weights.
        value = (torch.vmap(loss) if lanes else loss)(weights, buffers, inputs, labels)
        gradients = torch.autograd.grad(value.sum(), list(weights.values()), create_graph=differentiable)
    return dict(zip(weights, gradients, strict=True))


@dataclass(frozen=True)
class FedSGD(Checked):
    """One gradient of the mean loss over the batch.

    ``max_grad_norm``, if given, scales each example's gradient down to at most this L2 norm before the
    mean is taken, as in DP-SGD (Abadi et al., CCS 2016, Algorithm 1).
    """

    max_grad_norm: Positive | None = None

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        if self.max_grad_norm is None:
            return _gradient(model, _state(model, len(inputs) if lanes else None), inputs, labels, lanes)
        # Every example is a lane of its own, so that it has a gradient of its own.
        examples, targets = (t.flatten(0, 1) if lanes else t for t in (inputs, labels))
        each = FedSGD()(model, examples.unsqueeze(1), targets.unsqueeze(1), lanes=True)
        clipped = torch.vmap(partial(clip, max_norm=self.max_grad_norm))(each)
        if lanes:
            clipped = {name: tensor.unflatten(0, inputs.shape[:2]) for name, tensor in clipped.items()}
        return {name: tensor.mean(1 if lanes else 0) for name, tensor in clipped.items()}


def clip(tensors: Tensors, max_norm: float | int) -> Tensors:
    """All tensors times one factor, so that together they have an L2 norm of at most ``max_norm``."""
    norm = torch.stack([tensor.square().sum() for tensor in tensors.values()]).sum().sqrt()
    scale = (max_norm / norm.clamp_min(torch.finfo(norm.dtype).tiny)).clamp_max(1)
    return {name: tensor * scale for name, tensor in tensors.items()}


@dataclass(frozen=True)
class FedAvg(Checked):
    """``epochs`` passes of plain SGD over the batch, in the given order, in mini-batches of ``batch_size``.

    The last mini-batch may be smaller. ``batch_size`` None means the whole batch at once.
    """

    lr: Positive = 0.1
    epochs: Count = 1
    batch_size: Count | None = None

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        start, buffers = _state(model, len(inputs) if lanes else None)
        examples = 1 if lanes else 0  # the dimension that counts them
        size = self.batch_size or inputs.shape[examples]
        weights = start
        for _ in range(self.epochs):
            for some in zip(inputs.split(size, examples), labels.split(size, examples), strict=True):
                gradient = _gradient(model, (weights, buffers), *some, lanes)
                weights = {name: weight - self.lr * gradient[name] for name, weight in weights.items()}
        return {name: start[name] - weights[name] for name in start}


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
) -> Update:
    """What ``client`` sends after ``step`` on its ``batch``. The model is left as it was.

    The model's device and float type decide where and how exactly it is computed. With ``reveal_labels`` the
    labels travel along, with ``reveal_statistics`` what each BatchNorm layer measured on the batch at the
    weights that the server sent. Either makes a stronger attacker, to be said wherever a result relies on it.
    """
    weight = next(model.parameters(), None)
    if weight is None:
        raise ValueError("the model has no parameters, so there is no update to share")
    batch = batch.to(weight.device, weight.dtype if batch.inputs.is_floating_point() else None)
    tensors = {name: t.detach() for name, t in step(model, batch.inputs, batch.labels).items()}
    labels, statistics = batch.labels if reveal_labels else None, None
    if reveal_statistics:
        with torch.no_grad():
            statistics = batch_norm_statistics(model, batch.inputs)
    bound = step.max_grad_norm if isinstance(step, FedSGD) else None
    return Update(
        tensors,
        step,
        len(batch),
        tuple(batch.inputs.shape[1:]),
        labels,
        client,
        statistics,
        sensitivity=None if bound is None else bound / len(batch),  # one example's part of the mean
    )
