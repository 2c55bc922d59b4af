"""The classic LeNet-5: two 5×5 convolutions that pool, then three fully connected layers.

What people think DLG attacked. Everything above its first pooling sees the picture through 6 · 14 · 14
numbers only, and so no attack can invert its gradient on 32×32×3 pictures.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings
of the IEEE 86(11), 1998. Differs: three input colors, a plain Linear at the end instead of radial basis
functions, every second-layer map sees all first-layer maps, pooling has no weights.
Chapter: 4.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from leaklib.fields import Checked, Several
from leaklib.models.parts.build import sequential


@dataclass(frozen=True)
class LeNet5(Checked):
    """LeNet-5 for N×3×32×32 pictures, with PyTorch's default initialisation."""

    num_classes: Several = 10
    activation: Callable[[], nn.Module] = nn.Sigmoid
    pool: Callable[[int], nn.Module] = nn.AvgPool2d

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        return sequential(
            seed,
            lambda: dict(
                conv1=nn.Conv2d(3, 6, 5),  # 32 × 32 -> 28 × 28
                act1=self.activation(),
                pool1=self.pool(2),  # -> 14 × 14
                conv2=nn.Conv2d(6, 16, 5),  # -> 10 × 10
                act2=self.activation(),
                pool2=self.pool(2),  # -> 5 × 5
                flatten=nn.Flatten(),
                fc1=nn.Linear(400, 120),
                act3=self.activation(),
                fc2=nn.Linear(120, 84),
                act4=self.activation(),
                fc3=nn.Linear(84, self.num_classes),
            ),
        )
