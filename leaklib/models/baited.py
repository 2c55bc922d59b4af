"""A network whose last layer the server has changed so that few pictures of a batch leave a gradient: bait.

Only the weights differ from the honest network. Every row of the last layer is 0 but that of one class, which
is made steep and moved: the logits are z_c = gain · (w·h − threshold) for class c and 0 for the others. With
p_c = 1 for a picture above the threshold and p_c = 0 below, all layers before receive

    ∂L/∂h = gain · (p_c − [label = c]) w:    pictures above it, minus the pictures of class c.

A threshold that no picture reaches leaves the pictures of the class alone (class fishing); one that a single
picture exceeds adds that picture (feature fishing, see attacks/fishing.py).

Source: Wen, Geiping, Fowl, Goldblum, Goldstein, "Fishing for User Data in Large-Batch Federated Learning via
Gradient Magnification", ICML 2022. Differs: the feature is the class's own logit and not one unit before it,
so that all of the picture is in it.
Chapter: 8.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from leaklib.fields import Checked, Natural, Positive
from leaklib.models.convnet import ConvNet
from leaklib.models.parts.build import Architecture

FAR = 1e3  # a threshold that no picture reaches


@dataclass(frozen=True)
class Baited(Checked):
    """``base`` with bait for the pictures of class ``label``, and for those above ``threshold``.

    ``threshold`` is in units of the honest network's logit without its bias. ``gain`` says how steep the
    threshold is: pictures less than about 20 / gain away from it are caught in part.
    """

    base: Architecture = field(default_factory=ConvNet)
    label: Natural = 0
    threshold: float = FAR
    gain: Positive = 1e6

    def build(self, seed: int) -> nn.Module:
        """The base network of that seed, with another last layer. ValueError if it has no such class."""
        model = self.base.build(seed)
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        if last.bias is None or self.label >= len(last.bias):
            raise ValueError(f"bait needs a last layer with a bias and a class {self.label}, got {last}")
        with torch.no_grad():
            row = self.gain * last.weight[self.label]
            last.weight.zero_()[self.label] = row
            last.bias.zero_()[self.label] = -self.gain * self.threshold
        return model
