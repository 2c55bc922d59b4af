"""A small fully connected network, for training where every parameter's noise counts, and for exact attacks.

One hidden layer, PyTorch's default initialisation. Noise of one size on every parameter grows with their
number, so a small network keeps more of its accuracy under differential privacy. With ReLU the zeros of its
gradient tell the pictures of a batch apart (attacks/spear.py).

Chapters: 8, 10.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from leaklib.fields import Checked, Count, Range, Several
from leaklib.models.parts.build import Normalize, sequential

SIZES = Range("sizes of at least 1", lambda sizes: min(sizes, default=0) >= 1)


@dataclass(frozen=True)
class Mlp(Checked):
    """Fully connected network of ``hidden`` units for pictures of ``input_shape``, in [0, 1].

    With ``normalize`` they are normalised inside by CIFAR-10's statistics, which needs three channels.
    """

    input_shape: Annotated[tuple[int, ...], SIZES] = (1, 8, 8)
    hidden: Count = 32
    num_classes: Several = 10
    activation: Callable[[], nn.Module] = nn.GELU
    normalize: bool = False

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        return sequential(
            seed,
            lambda: dict(
                **({"normalize": Normalize()} if self.normalize else {}),
                flatten=nn.Flatten(),
                fc1=nn.Linear(math.prod(self.input_shape), self.hidden),
                act1=self.activation(),
                fc2=nn.Linear(self.hidden, self.num_classes),
            ),
        )
