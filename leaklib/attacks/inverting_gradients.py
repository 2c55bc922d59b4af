"""Inverting Gradients: compare directions instead of lengths, and prefer smooth pictures.

    x̂ = argmin  1 − cos(∇ℓ(w; x, y), g) + α TV(x),   x in [0, 1]

Adam on the signs of the gradient, with a step size that falls. The labels come first, by closed form (see
labels.py).

Source: Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients – How easy is it to break privacy in
federated learning?", NeurIPS 2020, and the released code. Differs: α is relative to the distance
that mid-gray pictures score, so that one value serves every network, and falls over the steps; the step size
falls smoothly; restarts are evaluated together; neither the distance nor Adam has an absolute
threshold (see search/objectives.py and search/optimizers.py).
Chapters: 5, 6.
"""

from dataclasses import dataclass

import torch
from torch import nn

from leaklib.attacks.parts.base import AttackBase
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.matching import Search, mid_gray, misfit
from leaklib.attacks.search.objectives import cosine_distance, total_variation
from leaklib.attacks.search.optimizers import BoxedAdam
from leaklib.fields import Count, Natural, NonNegative, Positive, Proportion
from leaklib.types import Callback, Reconstruction, Update


@dataclass(frozen=True)
class InvertingGradients(AttackBase):
    """Cosine distance plus total variation, by signed Adam.

    ``steps`` counts evaluations of each start, ``restarts`` the starts beyond the first; all are evaluated
    together, and the one with the lowest loss is returned. ``total_variation`` is the first weight of the
    prior, in units of the distance of mid-gray pictures; it falls geometrically to ``anneal`` times that.
    ``signed`` False gives Adam the gradient itself; ``lr`` None is 0.03 with signs and 0.1 without.
    Leave ``anneal`` at 1 where the update does not determine the picture, so that the prior has to.
    Labels are taken from the update if it reveals them, and inferred otherwise.
    """

    steps: Count = 2400
    lr: Positive | None = None
    total_variation: NonNegative = 1.0
    anneal: Proportion = 3e-3
    restarts: Natural = 0
    signed: bool = True

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        labels = infer_labels(model, update)
        unit = self.total_variation * misfit(model, update, mid_gray(model, update), labels, cosine_distance)
        lanes, lr = self.restarts + 1, self.lr or (0.03 if self.signed else 0.1)
        return Search(
            model,
            update,
            labels,
            lambda point: BoxedAdam(point, lr=lr, steps=self.steps, signed=self.signed),
            evaluations=self.steps * lanes,
            lanes=lanes,
            patience=None,
            objective=cosine_distance,
            prior=lambda images, spent: unit * self.anneal**spent * total_variation(images),
            callback=callback,
        ).run(generator)
