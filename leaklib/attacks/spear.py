"""Whole batches exactly, from a fully connected first layer with ReLU: linear algebra and many samples.

For inputs X (pixels × examples), Z = W X + b and D = ∂L/∂Z (units × examples) the first layer's gradient is

    [∂L/∂W  ∂L/∂b] = D [Xᵀ 1] = L R,    D = L Q,    [Xᵀ 1] = Q⁻¹ R

for any factors L and R of its rank, the number of examples, and some invertible matrix Q. ReLU makes about
half of D zero, and the zeros give Q away (parts/directions.py): its columns up to their lengths, and the
column of ones gives these. How many samples that takes grows exponentially with the number of examples.

Source: Dimitrov, Baader, Müller, Vechev, "SPEAR: Exact Gradient Inversion of Batches in Federated Learning",
NeurIPS 2024. Differs: the bias is one more pixel, always 1, instead of a scaling afterwards; the sparsest
independent directions are kept while sampling, instead of choosing among stored candidates in two stages;
each is computed anew from all rows on which it vanishes; labels are read off D; sampling goes on until the
whole gradient agrees.
Chapter: 8.
"""

import copy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.attacks.parts.base import AttackBase, check_uncompressed, layer_gradients, steps_and_scale
from leaklib.attacks.parts.directions import Directions
from leaklib.attacks.parts.labels import check_head
from leaklib.attacks.parts.layers import Layers, chain
from leaklib.attacks.search.matching import EXACT, explain_exact, yardstick
from leaklib.fields import Count
from leaklib.models.parts.build import Normalize
from leaklib.types import Callback, Labels, Progress, Reconstruction, Update

ROUNDING = 100.0  # singular values below so many roundings of the largest one count as zero
AGREE = 0.9  # share of the zeros of D that fit the signs of Z, from which on the whole gradient is compared
LEAST = 1e-13  # of a normalised row: float64's own rounding


@dataclass(frozen=True)
class Spear(AttackBase):
    """All pictures of a batch, by linear algebra, where the first layer is Linear with a bias, then ReLU.

    ``samples`` bounds the submatrices that are drawn; ``evaluations`` of the result says how many were. About
    b 2ᵇ will do for b examples, more where units fire for most of them together. Labels are found as well,
    revealed or not. Needs one local step, without clipping or mechanism, and more units than examples. Where
    the samples run out, what was sparsest so far comes back, and its loss is near the baseline.
    """

    samples: Count = 1_000_000

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        check_uncompressed("Spear", update)
        check_head(model, update)
        layer, more = _FirstLayer(copy.deepcopy(model).double(), update), True
        while layer.directions.drawn < self.samples:
            more = layer.directions.draw(self.samples - layer.directions.drawn, generator) or more
            if more and layer.agreement() >= AGREE:
                found, more = explain_exact(model, update, *layer.guess()), False
                drawn = layer.directions.drawn
                progress = Progress(drawn, found.loss, found.inputs, gray=found.baseline)
                if callback is not None and callback(progress):
                    return replace(found, evaluations=drawn, stop="stopped")
                if found.loss <= EXACT * yardstick(found.baseline):
                    return replace(found, evaluations=drawn, stop="solved")
        found = explain_exact(model, update, *layer.guess())
        return replace(found, evaluations=layer.directions.drawn, stop="budget")


class _FirstLayer:
    """The first layer's gradient in its factors, and what the directions found so far make of them."""

    def __init__(self, model: nn.Module, update: Update) -> None:
        self.below, (name, self.linear), self.above = _split(chain("Spear", model))
        steps, factor = steps_and_scale("Spear", update)
        if steps != 1:
            raise ValueError(f"Spear needs an update from one local step, got one from {steps}")
        rows, biases = layer_gradients("Spear", update, name)
        both = torch.cat([rows, biases[:, None]], 1).double() / factor
        self.live, self.shape = both.any(1), (update.num_examples, *update.input_shape)
        left, values, right = torch.linalg.svd(both[self.live], full_matrices=False)
        rank = int((values > ROUNDING * torch.finfo(rows.dtype).eps * values[0]).sum())
        _check_rank(name, rank, len(values), update.num_examples)
        self.left, self.right = left[:, :rank], values[:rank, None] * right[:rank]
        noise = max((values[rank] / values[rank - 1]).item(), LEAST)
        self.directions = Directions(self.left / self.left.norm(dim=1, keepdim=True), noise)

    def solved(self) -> tuple[Float64[Tensor, "examples pixels"], Float64[Tensor, "examples units"]]:
        """The layer's inputs Xᵀ, and the signals Dᵀ of the units that fire."""
        both = torch.linalg.solve(self.directions.kept.T, self.right)  # [Xᵀ 1], each row times a number
        return both[:, :-1] / both[:, -1:], both[:, -1:] * (self.directions.kept @ self.left.T)

    def agreement(self) -> float:
        """The share of entries of D that are zero where Z is negative and nowhere else: the paper's λ."""
        positive = self.linear(self.solved()[0])[:, self.live] > 0
        return (positive != self.directions.zeros(self.directions.kept)).double().mean().item()

    def guess(self) -> tuple[Tensor, Labels]:
        """The pictures, and for each the label that would leave its signal."""
        inputs, signals = self.solved()
        output = hidden = self.linear(inputs).detach().requires_grad_()
        for _, layer in self.above:
            output = layer(output)
        misses = []
        for label in range(output.shape[1]):
            loss = cross_entropy(output, torch.full_like(output[:, 0], label, dtype=torch.long))
            (expected,) = torch.autograd.grad(loss, hidden, retain_graph=True)
            misses.append((expected[:, self.live] - signals).norm(dim=1))
        pictures = inputs.reshape(self.shape)
        for _, layer in reversed(self.below):
            pictures = pictures * layer.std + layer.mean if isinstance(layer, Normalize) else pictures
        return pictures, torch.stack(misses).argmin(0)


def _split(layers: Layers) -> tuple[Layers, tuple[str, nn.Linear], Layers]:
    """What is below the first layer, that layer, and what is above. ValueError unless it is as it must be."""
    first = 0
    while isinstance(layers[first][1], nn.Flatten | nn.Identity | Normalize):
        first += 1
    (name, layer), (_, after) = layers[first], (*layers, ("", nn.Identity()))[first + 1]
    if not isinstance(layer, nn.Linear) or layer.bias is None or not isinstance(after, nn.ReLU):
        got = " and ".join(type(module).__name__ for module in (layer, after))
        raise ValueError(
            f"Spear needs a network that begins with a Linear with a bias and a ReLU, got {got} at {name!r}"
        )
    return layers[:first], (name, layer), layers[first + 1 :]


def _check_rank(name: str, rank: int, units: int, examples: int) -> None:
    """ValueError unless the rank is the number of examples, and more units fire than that."""
    if rank != examples or units <= rank:
        raise ValueError(
            f"Spear needs a gradient of {name} whose rank is the number of examples, {examples}, and more "
            f"units that fire, got rank {rank} of {units}: do two examples agree, does one leave no error "
            f"signal, or did something round the update?"
        )
