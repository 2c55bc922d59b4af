"""The LeNet variant of the code released with Deep Leakage from Gradients.

Three 5×5 convolutions (strides 2, 2, 1, padding 2) with sigmoids and no pooling, then one fully connected
layer. It is not LeNet-5: that one pools, and on 32×32×3 pictures its gradient cannot be inverted at all.

Source: the authors' repository mit-han-lab/dlg (Zhu, Liu, Han, NeurIPS 2019). Differs: 10 classes by default
instead of 100.
Chapter: 4.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from leaklib.fields import Checked, Count, Positive, Several
from leaklib.models.parts.build import seeded
from leaklib.rng import generator


@dataclass(frozen=True)
class LeNet(Checked):
    """DLG's LeNet, for N×3×32×32 pictures unless ``input_shape`` says otherwise.

    ``input_shape`` is channels × height × width, at least 1 × 4 × 4. ``init_scale`` a draws every weight and
    bias from U(-a, a), as the released code does with a = 1/2; None keeps PyTorch's default initialisation.
    """

    num_classes: Several = 10
    channels: Count = 12
    init_scale: Positive | None = 0.5
    input_shape: tuple[int, int, int] = (3, 32, 32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_shape[0] < 1 or min(self.input_shape[1:]) < 4:
            raise ValueError(f"input_shape must be at least 1 × 4 × 4, got {self.input_shape}")

    def build(self, seed: int) -> nn.Sequential:
        """A fresh network in training mode, the same for the same seed."""
        c, (colors, height, width) = self.channels, self.input_shape
        pixels = -(-height // 4) * -(-width // 4)  # two strides of 2, each rounded up
        model = seeded(
            seed,
            lambda: nn.Sequential(
                OrderedDict(
                    conv1=nn.Conv2d(colors, c, 5, stride=2, padding=2),  # 32 × 32 -> 16 × 16
                    act1=nn.Sigmoid(),
                    conv2=nn.Conv2d(c, c, 5, stride=2, padding=2),  # -> 8 × 8
                    act2=nn.Sigmoid(),
                    conv3=nn.Conv2d(c, c, 5, stride=1, padding=2),  # -> 8 × 8
                    act3=nn.Sigmoid(),
                    flatten=nn.Flatten(),
                    fc=nn.Linear(c * pixels, self.num_classes),
                )
            ),
        )
        if self.init_scale is not None:
            draw = generator(seed, "LeNet")
            for weight in model.parameters():
                nn.init.uniform_(weight, -self.init_scale, self.init_scale, generator=draw)
        return model
