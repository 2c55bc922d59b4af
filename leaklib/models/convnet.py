"""A plain convolutional network, wide enough that even one bit per gradient entry says a lot.

Three 5×5 convolutions (strides 2, 2, 1, padding 2) and one fully connected layer, PyTorch's default
initialisation, pictures normalised inside. GELU by default: smooth, and zero almost nowhere.

Chapter: 5.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from leaklib.fields import Checked, Count, Several
from leaklib.models.parts.build import Normalize, seeded


@dataclass(frozen=True)
class ConvNet(Checked):
    """Convolutional network of ``width`` channels for N×3×32×32 pictures in [0, 1]."""

    width: Count = 64
    num_classes: Several = 10
    activation: Callable[[], nn.Module] = nn.GELU

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        w = self.width
        return seeded(
            seed,
            lambda: nn.Sequential(
                OrderedDict(
                    normalize=Normalize(),
                    conv1=nn.Conv2d(3, w, 5, stride=2, padding=2),  # 32 × 32 -> 16 × 16
                    act1=self.activation(),
                    conv2=nn.Conv2d(w, w, 5, stride=2, padding=2),  # -> 8 × 8
                    act2=self.activation(),
                    conv3=nn.Conv2d(w, w, 5, stride=1, padding=2),  # -> 8 × 8
                    act3=self.activation(),
                    flatten=nn.Flatten(),
                    fc=nn.Linear(w * 8 * 8, self.num_classes),
                )
            ),
        )
