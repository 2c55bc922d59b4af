"""Inverting Gradients: compare directions instead of lengths, and prefer smooth pictures.

    x̂ = argmin  1 − cos(∇ℓ(w; x, y), g) + α TV(x),   x in [0, 1]

Adam on the signs of the gradient, with a step size that falls. The labels come first, by closed form (see
labels.py).

Source: Geiping, Bauermeister, Dröge, Moeller, "Inverting Gradients – How easy is it to break privacy in
federated learning?", NeurIPS 2020, and the released code. Differs: α is relative to the distance
that mid-grey pictures score, so that one value serves every network, and falls over the steps; the step size
falls smoothly; restarts are evaluated together; neither the distance nor Adam has an absolute
threshold (see search/objectives.py and search/adam.py).
Chapter: 5.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaklib.attacks.parts.checks import check_update
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.adam import BoxedAdam
from leaklib.attacks.search.matching import compare, match, mid_grey
from leaklib.attacks.search.objectives import cosine_distance, total_variation
from leaklib.types import Callback, Reconstruction, Update


@dataclass(frozen=True)
class InvertingGradients:
    """Cosine distance plus total variation, by signed Adam.

    ``steps`` counts evaluations of each start, ``restarts`` the starts beyond the first; all are evaluated
    together, and the one with the lowest loss is returned. ``total_variation`` is the first weight of the
    prior, in units of the distance of mid-grey pictures; it falls geometrically to ``anneal`` times that.
    ``signed`` False gives Adam the gradient itself; ``lr`` None is 0.03 with signs and 0.1 without.
    Leave ``anneal`` at 1 where the update does not determine the picture, so that the prior has to.
    Labels are taken from the update if it reveals them, and inferred otherwise.
    """

    steps: int = 2400
    lr: float | None = None
    total_variation: float = 1.0
    anneal: float = 3e-3
    restarts: int = 0
    signed: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.lr is not None and not self.lr > 0:
            raise ValueError(f"lr must be above 0 or None, got {self.lr}")
        if not self.total_variation >= 0:
            raise ValueError(f"total_variation must be at least 0, got {self.total_variation}")
        if not 0 < self.anneal <= 1:
            raise ValueError(f"anneal must be above 0 and at most 1, got {self.anneal}")
        if self.restarts < 0:
            raise ValueError(f"restarts must be at least 0, got {self.restarts}")

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator,
        callback: Callback | None = None,
    ) -> Reconstruction:
        check_update(model, update)
        labels = infer_labels(model, update)
        grey = update.step(model, mid_grey(model, update), labels)
        weight = self.total_variation * compare(grey, update, cosine_distance)

        def prior(images: Tensor, spent: float) -> Tensor:
            return weight * self.anneal**spent * total_variation(images)

        lanes, lr = self.restarts + 1, self.lr or (0.03 if self.signed else 0.1)
        return match(
            model,
            update,
            generator=generator,
            optimizer=lambda point: BoxedAdam(point, lr=lr, steps=self.steps, signed=self.signed),
            evaluations=self.steps * lanes,
            labels=labels,
            lanes=lanes,
            patience=None,
            objective=cosine_distance,
            prior=prior,
            callback=callback,
        )
