"""A small residual network with BatchNorm, as the attacks on trained networks need it.

A 3×3 convolution, then three stages of ``blocks`` basic blocks at 32×32, 16×16 and 8×8 with 1, 2 and 4 times
``width`` channels, the mean over the picture, one fully connected layer.

The trained weights come with the package. They tell which of the 8 photographs of ``Photos`` a crop was cut
from, and ``scripts/train_resnet.py`` makes them again.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2. Differs:
narrower, and a 1×1 convolution where the shape changes.
Chapters: 5, 6.
"""

from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor, nn

from leaklib.fields import Checked, Count, Several
from leaklib.models.parts.build import Normalize, sequential

WEIGHTS = "resnet.npz"


class Block(nn.Module):
    """Two 3×3 convolutions with BatchNorm, and a way around them."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.around = nn.Sequential()
        if stride != 1 or channels != out:
            self.around.extend([nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)])

    def forward(self, inputs: Tensor) -> Tensor:
        inner = torch.relu(self.norm1(self.conv1(inputs)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.around(inputs))


@dataclass(frozen=True)
class ResNet(Checked):
    """Residual network for N×3×32×32 pictures in [0, 1].

    ``trained`` loads the weights and running statistics that come with the package; they exist for the
    default ``width``, ``blocks`` and ``num_classes`` only, and do not depend on the seed.
    """

    width: Count = 16
    blocks: Count = 1
    num_classes: Several = 8
    trained: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trained and replace(self, trained=False) != ResNet():
            raise ValueError(
                f"trained weights come for the default shape only, got width {self.width}, blocks "
                f"{self.blocks}, num_classes {self.num_classes}: leave those out, or train your own"
            )

    def build(self, seed: int) -> nn.Sequential:
        """A network in training mode, the same for the same seed."""
        model = sequential(seed, self._fresh)
        if self.trained:
            with files("leaklib.models").joinpath(WEIGHTS).open("rb") as file, np.load(file) as stored:
                # Stored in float16, which halves the file; the network runs in float32.
                model.load_state_dict({name: torch.from_numpy(stored[name]).float() for name in stored})
        return model

    def _fresh(self) -> dict[str, nn.Module]:
        channels = self.width
        layers: dict[str, nn.Module] = dict(
            normalize=Normalize(),
            conv1=nn.Conv2d(3, channels, 3, 1, 1, bias=False),
            norm1=nn.BatchNorm2d(channels),
            act1=nn.ReLU(),
        )
        for stage, stride in enumerate((1, 2, 2)):
            out = self.width * 2**stage
            for i in range(self.blocks):
                layers[f"block{stage}_{i}"] = Block(channels, out, stride if i == 0 else 1)
                channels = out
        head = nn.Linear(channels, self.num_classes)
        return layers | dict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=head)
