"""GradInversion: a batch from a network with BatchNorm, with everything that narrows the search.

    x̂ = argmin  D(∇ℓ(w; x, y), g) + α_tv TV(x) + α_bn R_bn(x) + α_group ‖x − mean of the group‖²

The labels come first (see parts/labels.py). R_bn asks that the batch has the statistics that the network's
BatchNorm layers expect; the last term lets several starts, optimised side by side, agree on a picture.

Source: Yin, Mallya, Vahdat, Alvarez, Kautz, Molchanov, "See through Gradients: Image Batch Recovery via
GradInversion", CVPR 2021. Differs: no ℓ2 prior and no Langevin noise; cosine distance
instead of a sum of squares; the group's mean is taken without registering its pictures on each other; labels
may repeat; weights are relative to what mid-gray pictures score; smoothness is annealed as in
inverting_gradients.py.
Chapters: 5, 6.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from leaklib.attacks.parts.base import AttackBase
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.matching import Search, mid_gray, misfit
from leaklib.attacks.search.objectives import (
    batch_norm_prior,
    cosine_distance,
    group_consistency,
    total_variation,
)
from leaklib.attacks.search.optimizers import BoxedAdam
from leaklib.fields import Count, NonNegative, Positive, Proportion
from leaklib.types import Callback, Reconstruction, Tensors, Update


@dataclass(frozen=True)
class GradInversion(AttackBase):
    """Cosine distance, total variation, BatchNorm statistics and group consistency, by Adam.

    ``statistics`` says which ones the prior asks for: "exact" are those of the client's own batch, which the
    update must reveal; "running" the network's running averages, which the server has anyway; "none" turns
    the prior off. ``seeds`` starts are optimised together. The weights of the priors are in units of the
    distance of mid-gray pictures; those of smoothness and of running statistics, which are guesses, fall
    geometrically to ``anneal`` times that. Labels are taken from the update if it reveals them, and inferred
    otherwise.
    """

    steps: Count = 2400
    lr: Positive = 0.1
    statistics: Literal["exact", "running", "none"] = "running"
    seeds: Count = 1
    total_variation: NonNegative = 1.0
    anneal: Proportion = 3e-3
    batch_norm: NonNegative = 1.0
    group: NonNegative = 0.1

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        labels, statistics = infer_labels(model, update), self._statistics(model, update)
        unit = misfit(model, update, mid_gray(model, update), labels, cosine_distance)

        def prior(images: Tensor, spent: float) -> Tensor:
            penalty = self.total_variation * self.anneal**spent * total_variation(images)
            if statistics:
                scores = [batch_norm_prior(model, update.to_inputs(lane), statistics) for lane in images]
                # The batch's own statistics are knowledge and stay; running ones are a hint and fade.
                weight = self.batch_norm * (1 if self.statistics == "exact" else self.anneal**spent)
                penalty = penalty + weight * torch.stack(scores)
            if self.seeds > 1:
                penalty = penalty + self.group * group_consistency(images)
            return unit * penalty

        return Search(
            model,
            update,
            labels,
            lambda point: BoxedAdam(point, lr=self.lr, steps=self.steps, signed=True),
            evaluations=self.steps * self.seeds,
            lanes=self.seeds,
            patience=None,
            objective=cosine_distance,
            prior=prior,
            callback=callback,
        ).run(generator)

    def _statistics(self, model: nn.Module, update: Update) -> Tensors:
        """What the prior asks for, per BatchNorm layer; empty if it is off."""
        if self.statistics == "none":
            return {}
        if self.statistics == "exact":
            if update.statistics is None:
                raise ValueError(
                    "statistics='exact' needs those of the client's batch, and the update reveals none: "
                    "share(..., reveal_statistics=True), or statistics='running'"
                )
            return update.statistics
        running = {
            name: torch.stack([layer.running_mean, layer.running_var])
            for name, layer in model.named_modules()
            if isinstance(layer, _BatchNorm)
            and layer.running_mean is not None
            and layer.running_var is not None
        }
        if not running:
            raise ValueError(
                "the model has no BatchNorm layer with running statistics: use statistics='none', which "
                "leaves smoothness and group consistency"
            )
        return running
