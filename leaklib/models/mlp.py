"""A small fully connected network, for training where every parameter's noise counts.

One hidden layer of GELU, PyTorch's default initialisation. Noise of one size on every parameter grows with
their number, so a small network keeps more of its accuracy under differential privacy.

Chapter: 9.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from leaklib.fields import Checked, Count, Several
from leaklib.models.parts.build import seeded


@dataclass(frozen=True)
class Mlp(Checked):
    """Fully connected network of ``hidden`` units for pictures of ``input_shape``, in [0, 1]."""

    input_shape: tuple[int, ...] = (1, 8, 8)
    hidden: Count = 32
    num_classes: Several = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.input_shape or min(self.input_shape) < 1:
            raise ValueError(f"input_shape must be sizes of at least 1, got {self.input_shape}")

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        return seeded(
            seed,
            lambda: nn.Sequential(
                OrderedDict(
                    flatten=nn.Flatten(),
                    fc1=nn.Linear(math.prod(self.input_shape), self.hidden),
                    act1=nn.GELU(),
                    fc2=nn.Linear(self.hidden, self.num_classes),
                )
            ),
        )
