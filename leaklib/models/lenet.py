"""The LeNet variant of the code released with Deep Leakage from Gradients.

Three 5×5 convolutions (strides 2, 2, 1, padding 2) with sigmoids and no pooling, then one fully connected
layer. It is not LeNet-5: that one pools, and on 32×32×3 pictures its gradient cannot be inverted at all.

Source: the authors' repository mit-han-lab/dlg (Zhu, Liu, Han, NeurIPS 2019). Differs: 10 classes by default
instead of 100.
Chapter: 3.
"""

from dataclasses import dataclass
from typing import Annotated

from torch import nn

from leaklib.fields import Checked, Count, Positive, Range, Several
from leaklib.models.parts.build import convolutions, sequential
from leaklib.rng import generator

SIZES = Range("at least 1 × 4 × 4", lambda sizes: sizes[0] >= 1 and min(sizes[1:]) >= 4)


@dataclass(frozen=True)
class LeNet(Checked):
    """DLG's LeNet, for N×3×32×32 pictures unless ``input_shape`` says otherwise.

    ``input_shape`` is channels × height × width, at least 1 × 4 × 4. ``init_scale`` a draws every weight and
    bias from U(-a, a), as the released code does with a = 1/2; None keeps PyTorch's default initialisation.
    """

    num_classes: Several = 10
    channels: Count = 12
    init_scale: Positive | None = 0.5
    input_shape: Annotated[tuple[int, int, int], SIZES] = (3, 32, 32)

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        model = sequential(
            seed, lambda: convolutions(self.channels, self.num_classes, nn.Sigmoid, self.input_shape)
        )
        if self.init_scale is not None:
            draw = generator(seed, "LeNet")
            for weight in model.parameters():
                nn.init.uniform_(weight, -self.init_scale, self.init_scale, generator=draw)
        return model
