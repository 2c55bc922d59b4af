"""A plain convolutional network, wide enough that even one bit per gradient entry says a lot.

Three 5×5 convolutions (strides 2, 2, 1, padding 2) and one fully connected layer, PyTorch's default
initialisation, pictures normalised inside. GELU by default: smooth, and zero almost nowhere.

Chapters: 5, 6.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from leaklib.fields import Checked, Count, Several
from leaklib.models.parts.build import Normalize, convolutions, sequential


@dataclass(frozen=True)
class ConvNet(Checked):
    """Convolutional network of ``width`` channels for N×3×32×32 pictures in [0, 1]."""

    width: Count = 64
    num_classes: Several = 10
    activation: Callable[[], nn.Module] = nn.GELU

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        return sequential(
            seed,
            lambda: {"normalize": Normalize(), **convolutions(self.width, self.num_classes, self.activation)},
        )
