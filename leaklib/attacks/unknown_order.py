"""Local epochs in an order that the client keeps to itself: a batch of its own for each epoch, made to agree.

A client that shuffles its examples in each epoch does not say which of them shared a mini-batch. The attack
searches for the pictures of each epoch apart, so that the simulated steps may differ as the client's did, and
asks of them what holds in any order: a sum over the pictures of an epoch does not depend on it,

    x̂₁ … x̂_E = argmin  1 − cos(step(w; x₁ … x_E), g) + α TV(x) + β Σ_e ‖s(x_e) − s̄‖²,
    s(x_e) = Σ_b φ(x_e,b) / N .

In the end the epochs' pictures are matched with those of the first epoch, and averaged.

Source: Dimitrov, Balunović, Konstantinov, Vechev, "Data Leakage in Federated Averaging", TMLR 2022. Differs:
φ is each pixel and its square; labels are given or inferred once and take the same places in each epoch; the
search is that of ``InvertingGradients``.
Chapter: 6.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from leaklib.attacks.parts.base import AttackBase
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.matching import Search, explain, mid_gray, misfit
from leaklib.attacks.search.objectives import cosine_distance, total_variation
from leaklib.attacks.search.optimizers import BoxedAdam
from leaklib.client import FedAvg, epochs_apart
from leaklib.fields import Count, NonNegative, Positive, Proportion
from leaklib.metrics import match_batch
from leaklib.types import Callback, Inputs, Reconstruction, Update


def disagreement(pictures: Float[Tensor, "lanes epochs batch ..."]) -> Float[Tensor, "lanes"]:
    """How far the epochs' means of pixels and of their squares are apart: 0 for one batch in any orders."""
    means = torch.cat([pictures.mean(2), pictures.square().mean(2)], 2)
    return (means - means.mean(1, keepdim=True)).square().flatten(1).mean(1)


def agreed(pictures: Float[Tensor, "epochs batch ..."]) -> Inputs:
    """Each picture of the first epoch, averaged with the nearest ones of the others, one to one."""
    first = pictures[0]
    return torch.stack([epoch[match_batch(epoch, first).to(epoch.device)] for epoch in pictures]).mean(0)


@dataclass(frozen=True)
class UnknownOrder(AttackBase):
    """``InvertingGradients`` for a client that took its examples in another order in each epoch.

    ``agreement`` weighs the prior that the epochs agree, in units of what mid-gray pictures score: 0 leaves
    each epoch alone. The other fields are as for ``InvertingGradients``; with one epoch, as in FedSGD,
    it is the same attack. Mini-batches must be of one size.
    """

    steps: Count = 2400
    lr: Positive = 0.03
    total_variation: NonNegative = 1.0
    anneal: Proportion = 3e-3
    agreement: NonNegative = 10.0

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        labels, size = infer_labels(model, update), update.num_examples
        step, epochs = update.step, 1
        if isinstance(step, FedAvg):
            step, epochs = epochs_apart(step, size), step.epochs
        apart = replace(update, step=step, num_examples=epochs * size)
        gray = misfit(model, update, mid_gray(model, update), labels, cosine_distance)

        def prior(images: Tensor, spent: float) -> Tensor:
            smooth = self.total_variation * self.anneal**spent * total_variation(images)
            return gray * (smooth + self.agreement * disagreement(images.unflatten(1, (epochs, size))))

        found = Search(
            model,
            apart,
            labels.repeat(epochs),
            lambda point: BoxedAdam(point, lr=self.lr, steps=self.steps, signed=True),
            evaluations=self.steps,
            patience=None,
            objective=cosine_distance,
            prior=prior,
            callback=callback,
        ).run(generator)
        pictures = agreed(found.inputs.unflatten(0, (epochs, size)))
        result = explain(model, update, pictures, labels)
        return replace(result, evaluations=found.evaluations, stop=found.stop)
