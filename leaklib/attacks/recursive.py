"""Closed form through the whole network: peel it layer by layer from the top, down to the picture.

The last layer hands over its input and the signal ∂L/∂h in it (linear_layer.py); an activation is inverted, which
gives z = φ⁻¹(h) and ∂L/∂z = φ'(z) ∂L/∂h; a convolution gives two linear systems in its input (peel.py); and so on
to the input of the first layer. Nothing is optimised, and the picture is exact to what the float type has left.

Source: Zhu and Blaschko, "R-GAP: Recursive Gradient Attack on Privacy", ICLR 2021, arXiv 2010.07733. Differs: the
last layer is fully connected with a bias, for any number of classes; equations are weighted by their errors.
Chapter: 4.
"""

from dataclasses import dataclass

import torch
from torch import nn

from leaklib.attacks.checks import check_single, check_update
from leaklib.attacks.labels import infer_label
from leaklib.attacks.matching import explain
from leaklib.client import FedSGD
from leaklib.types import Callback, Reconstruction, Update


@dataclass(frozen=True)
class Recursive:
    """Invert every layer in turn: one plaintext FedSGD gradient of one example, no optimisation.

    Needs a chain of Linear, Conv2d and strictly monotonic activations that ends in a Linear with a bias, and
    raises ValueError naming the layer that cannot be undone. Where float rounding has eaten the digits (sigmoids
    that are all but saturated), the loss of the reconstruction says so.
    """

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator,
        callback: Callback | None = None,
    ) -> Reconstruction:
        check_update(model, update)
        check_single("Recursive", update)
        if not (isinstance(update.step, FedSGD) and update.step.max_grad_norm is None):
            raise ValueError(f"Recursive needs the gradient itself, from FedSGD() without clipping, got {update.step}")
        layers = _chain(model)
        _check_chain(layers, update)
        labels = infer_label(update) if update.labels is None else update.labels
        known = None
        for name, layer, shape in reversed(_with_shapes(layers, model, update)):
            known = _peel(name, layer, shape, known, update.tensors)
        ...
        return explain(model, update, known.value[None], labels)
