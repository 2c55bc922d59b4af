"""Signal matching: keep the error signal that the client sent, and search for the picture alone.

    x̂ = argmin ‖∇_w ⟨δ, f(w; x)⟩ − g‖² / ‖g‖²,   δ = p − onehot(y)

The gradient of the last layer's bias *is* the error signal δ of the logits f. DLG computes δ anew from every
guess. A trained network is sure of its client's label: δ is 10⁻⁴ there and 1 at the start, the loss begins at
10⁸, and whatever lowers it first, such as a guess of which the network is just as sure, is not the picture.
With δ held at what was observed the guess is compared as if training had never made anyone sure. At the
truth both are the same gradient, so nothing else has to be known.

Several examples leave the mean of their signals. Then each has a δ of its own among the unknowns, as
softmax(u) − onehot(y): all that the signal of an example can be, and the bias gradient ties their mean. So it
is where local steps or a mechanism left δ uncertain.

Chapters: 6, 8, 9.
"""

import copy
import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from leaklib.attacks.dlg import INNER, STRAY
from leaklib.attacks.parts.base import AttackBase
from leaklib.attacks.parts.labels import error_signal, infer_labels
from leaklib.attacks.search.matching import PATIENCE, Search
from leaklib.attacks.search.objectives import total_variation
from leaklib.attacks.search.optimizers import LBFGS, BoxedAdam, Optimizer
from leaklib.attacks.search.targets import Known, Targets
from leaklib.client import FedAvg, FedSGD
from leaklib.fields import Count, Natural, NonNegative, Several
from leaklib.types import AnyInputs, AnyTargets, Callback, Labels, Reconstruction, Tensors, Update

LR, ANNEAL = 0.05, 3e-3  # Adam's first step size, and what is left of the prior in the end
TINY = 1e-12  # the smallest probability that a start gives
LEAST = 1e-2  # of the largest signal: where the others hide that of an example, it starts from this share


def along(logits: Tensor, signal: Tensor) -> Tensor:
    """⟨signal, logits⟩, the mean over examples: a loss whose gradient in the logits is the signal."""
    return (signal * logits).sum(1).mean()


@dataclass(frozen=True)
class SignalStep:
    """``step`` with the error signals given, N×epochs×classes: one for each time that an example is met."""

    step: FedSGD | FedAvg

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        examples = 1 if lanes else 0
        signals = labels.transpose(examples, examples + 1).flatten(examples, examples + 1)
        if isinstance(self.step, FedSGD):
            return FedSGD(loss=along)(model, inputs, signals, lanes=lanes)
        # An example that is met in several epochs is that many examples of one, each with its own signal.
        size = self.step.batch_size or inputs.shape[examples]
        inputs = torch.cat([inputs] * self.step.epochs, examples)
        once = FedAvg(lr=self.step.lr, batch_size=size, loss=along)
        return once(model, inputs, signals, lanes=lanes)


@dataclass(frozen=True)
class Free:
    """Signals softmax(u) − onehot(y), with one u for each example and epoch, beginning at ``start``."""

    classes: Labels
    start: Float[Tensor, "examples epochs classes"]

    @property
    def unknowns(self) -> int:
        return self.start.numel()

    def draw(self, generator: torch.Generator) -> Tensor:
        return self.start.flatten().cpu()

    def given(self, unknowns: Tensor) -> Tensor:
        hot = one_hot(self.classes, self.start.shape[-1]).to(unknowns)
        return unknowns.reshape(len(unknowns), *self.start.shape).softmax(-1) - hot[:, None]

    def neutral(self) -> Tensor:
        return self.given(self.start.flatten()[None])[0]

    def labels(self, unknowns: Tensor) -> Labels:
        return self.classes


@dataclass(frozen=True)
class SignalMatching(AttackBase):
    """Match the gradient of ⟨δ, logits⟩ for the error signal δ that the client sent. In float64.

    ``steps`` outer steps of 20 evaluations, ``restarts``, ``history`` and ``total_variation`` as for ``DLG``.
    Labels are taken from the update if it reveals them, and inferred otherwise. Needs FedSGD or FedAvg with
    cross-entropy and a fully connected last layer with a bias.
    """

    steps: Count = 75
    restarts: Natural = 3
    history: Several = 200
    total_variation: NonNegative = 0.0
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        labels, step = infer_labels(model, update), unclipped(update)
        double = replace(update, tensors={name: tensor.double() for name, tensor in update.tensors.items()})
        precise = copy.deepcopy(model).double()
        weight, lbfgs, evaluations = self.total_variation, self.optimizer == "lbfgs", self.steps * INNER
        fall = 1.0 if lbfgs else ANNEAL

        def optimizer(point: Tensor) -> Optimizer:
            if lbfgs:
                return LBFGS(point, history=self.history)
            pixels = update.num_examples * math.prod(update.input_shape)
            return BoxedAdam(point, lr=LR, steps=evaluations, signed=False, inside=pixels)

        found = Search(
            precise,
            replace(double, step=SignalStep(step)),
            labels,
            optimizer,
            evaluations=evaluations,
            restarts=self.restarts,
            stray=STRAY if lbfgs else None,
            patience=PATIENCE if lbfgs else None,
            prior=(lambda images, spent: weight * fall**spent * total_variation(images)) if weight else None,
            targets=_targets(precise, double, step, labels),
            explained=double,
            callback=callback,
        ).run(generator)
        return replace(found, inputs=found.inputs.to(next(model.parameters()).dtype))


def _targets(model: nn.Module, update: Update, step: FedSGD | FedAvg, labels: Labels) -> Targets:
    """The signal as it was sent, where it is that of one example and nothing touched it, or free ones."""
    mean, epochs = error_signal(model, replace(update, step=step))
    if update.num_examples == 1 and epochs == 1 and update.mechanism is None:
        return Known(labels, mean[None, None])
    start = (shared_out(mean, labels) + one_hot(labels, len(mean))).clamp_min(TINY)
    start = (start / start.sum(1, keepdim=True)).log()
    return Free(labels, start[:, None].repeat(1, epochs, 1))


def unclipped(update: Update) -> FedSGD | FedAvg:
    """The client's step without clipping, which of a single example only makes the signal smaller."""
    match update.step:
        case FedSGD() if update.num_examples == 1 or update.step.max_grad_norm is None:
            return FedSGD()
        case FedAvg(batch_size=size) if size is None or update.num_examples % size == 0:
            return update.step
    raise ValueError(
        f"SignalMatching needs updates from FedSGD, clipped only where they come from one example, or from "
        f"FedAvg with mini-batches of one size, got {update.num_examples} examples and {update.step}"
    )


def shared_out(mean: Float[Tensor, "classes"], labels: Labels) -> Float[Tensor, "examples classes"]:
    """Signals of examples with these ``labels``, whose mean is near ``mean``: where a search can begin.

    The examples of a class share its negative entry evenly; where there is none, they get the share LEAST
    of the largest. What each is short of is spread over the other classes as the positive entries are.
    """
    total, counts = len(labels) * mean, torch.bincount(labels, minlength=len(mean))
    wanted = -total / counts.clamp_min(1)
    sizes = wanted[labels].clamp(min=LEAST * wanted[labels].abs().max().item(), max=1 - TINY)
    hot = one_hot(labels, len(mean)).to(mean)
    other = (total.clamp_min(0) + LEAST * total.abs().mean())[None] * (1 - hot)
    return sizes[:, None] * (other / other.sum(1, keepdim=True) - hot)
