"""The strongest attacker that a reconstruction bound speaks of: one who only has to pick.

The victim is one of N pictures that the attacker holds. It computes what the client would have sent for each,
and takes the one nearest to what came:

    x̂ = argmin_i D(step(model, x_i, y_i), observed)

Where Gaussian noise was added and all are equally likely beforehand, nearest is most likely: nobody can be
right more often. It says nothing about a picture that is not among them.

Source: the informed adversary of Balle, Cherubin, Hayes, "Reconstructing Training Data with Informed
Adversaries", IEEE S&P 2022, with a finite prior as in Hayes, Mahloujifar, Balle, "Bounding Training Data
Reconstruction in DP-SGD", NeurIPS 2023.
Chapter: 10.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from leaklib.attacks.parts.base import AttackBase, check_single, check_update
from leaklib.attacks.search.matching import compare, explain
from leaklib.attacks.search.objectives import squared_error
from leaklib.data import Data, Photos
from leaklib.fields import Count, Natural
from leaklib.types import Batch, Reconstruction, Update

TOGETHER = 16  # candidates in one computation


@dataclass(frozen=True)
class Candidates(AttackBase):
    """Pick the most likely of ``count`` pictures of ``data`` from number ``first`` on, with its label.

    One example per update. ValueError if the pictures are not of the update's shape.
    """

    data: Data = Photos()
    count: Count = 64
    first: Natural = 0

    def reconstruct(self, model: nn.Module, update: Update, *_: object) -> Reconstruction:
        nearest = self.distances(model, update).argmin()
        pictures = self.pictures()
        inputs = update.to_inputs(pictures.inputs[nearest][None])
        return explain(model, update, inputs, pictures.labels[nearest][None])

    def pictures(self) -> Batch:
        """All candidates, in their order."""
        each = [self.data.batch(number, 1) for number in range(self.first, self.first + self.count)]
        return Batch(torch.cat([b.inputs for b in each]), torch.cat([b.labels for b in each]))

    @torch.no_grad()
    def distances(self, model: nn.Module, update: Update) -> Float[Tensor, "count"]:
        """How far the update is from what each candidate would have sent, in the order of ``pictures``."""
        check_update(model, update)
        check_single("Candidates", update)
        pictures, weight = self.pictures(), next(model.parameters())
        if (shape := tuple(pictures.inputs.shape[1:])) != update.input_shape:
            raise ValueError(
                f"the update comes from pictures of shape {update.input_shape}, the candidates have {shape}: "
                f"choose other data"
            )
        found = []
        for some in range(0, self.count, TOGETHER):
            inputs = update.to_inputs(pictures.inputs[some : some + TOGETHER, None].to(weight))
            labels = pictures.labels[some : some + TOGETHER, None].to(weight.device)
            sent = update.step(model, inputs, labels, lanes=True)
            found.append(torch.vmap(lambda one: compare(one, update, squared_error))(sent))
        return torch.cat(found)
