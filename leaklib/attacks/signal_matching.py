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
from torch import Tensor, nn
from torch.nn.functional import one_hot

from leaklib.attacks.dlg import INNER, STRAY
from leaklib.attacks.parts.base import AttackBase
from leaklib.attacks.parts.labels import error_signal, infer_labels
from leaklib.attacks.parts.signals import TINY, Free, SignalStep, shared_out, unclipped
from leaklib.attacks.search.matching import PATIENCE, Search
from leaklib.attacks.search.objectives import total_variation
from leaklib.attacks.search.optimizers import LBFGS, BoxedAdam, Optimizer
from leaklib.attacks.search.targets import Known, Targets
from leaklib.client import FedAvg, FedSGD
from leaklib.fields import Count, Natural, NonNegative, Several
from leaklib.types import Callback, Labels, Reconstruction, Update

LR, ANNEAL = 0.05, 3e-3  # Adam's first step size, and what is left of the prior in the end


@dataclass(frozen=True)
class SignalMatching(AttackBase):
    """Match the gradient of ⟨δ, logits⟩ for the error signal δ that the client sent. In float64.

    ``steps`` outer steps of 20 evaluations, ``restarts``, ``history`` and ``total_variation`` as for ``DLG``.
    ``optimizer`` "adam" moves with a falling step size, and the prior falls with it: for signs, which have
    many bad basins. Labels are taken from the update if it reveals them, and inferred otherwise. Needs FedSGD
    or FedAvg with cross-entropy and a fully connected last layer with a bias.
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
