"""A network that the server has changed so that its first layer keeps pictures apart: the imprint layer.

Every row of the first layer measures the picture's mean brightness, and row i fires if that is above edge i.
All rows pass on the same error signal s_b, since the layer after them has identical columns. So

    gradient of row i = Σ_b [brightness_b > edge_i] s_b x_b,

and two adjacent rows differ by the pictures between their edges: by one picture, if it is alone there.

Source: Fowl, Geiping, Czaja, Goldblum, Goldstein, "Robbing the Fed: Directly Obtaining Private Data in
Federated Learning with Modified Models", ICLR 2022. Differs: the base network sees one gray level, a function
of the brightness; their layer can also pass the picture on.
Chapters: 5, 6.
"""

from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn

from leaklib.fields import Checked, Positive, Several, within
from leaklib.models.convnet import ConvNet
from leaklib.models.parts.build import Architecture, sequential

CHANNELS, SIDE = 3, 32
PIXELS = CHANNELS * SIDE * SIDE
# The rows are scaled down and the layer after them up: the same function, with gradients of the rows that are
# a thousand times larger and lose fewer digits in half precision, or beside the weights of a FedAvg client.
GAIN = 1e-3


@dataclass(frozen=True)
class Imprinted(Checked):
    """``base`` behind an imprint layer of ``bins`` rows, for N×3×32×32 pictures in [0, 1].

    ``mean`` and ``std`` are what the server knows of pictures in general: how their brightness, the mean over
    all pixels and channels, is distributed. The edges are the quantiles of that Gaussian, so that about as
    many pictures fall into each bin. The defaults are those of CIFAR-10's training pictures.
    """

    base: Architecture = field(default_factory=ConvNet)
    bins: Several = 256
    mean: Annotated[float, within(0, 1)] = 0.474
    std: Positive = 0.127

    def build(self, seed: int) -> nn.Sequential:
        """The base network of that seed behind the layer, which is the same for every seed."""
        edges = self.edges()
        black, white = ((brightness - edges).relu().sum().item() for brightness in (0, 1))
        up = 1 / (white - black)
        return sequential(
            seed,
            lambda: dict(
                flatten=nn.Flatten(),
                imprint=_filled(nn.Linear(PIXELS, self.bins), GAIN / PIXELS, -GAIN * edges),
                relu=nn.ReLU(),
                # To one gray level for all pixels: 0 for a black picture, 1 for a white one.
                gray=_filled(nn.Linear(self.bins, PIXELS), up / GAIN, torch.tensor(-black / (white - black))),
                unflatten=nn.Unflatten(1, (CHANNELS, SIDE, SIDE)),
                base=self.base.build(seed),
            ),
        )

    def edges(self) -> Float[Tensor, "bins"]:
        """The lower edge of each bin, rising; the first lies below any picture."""
        known = NormalDist(self.mean, self.std)
        inner = [known.inv_cdf(i / self.bins) for i in range(1, self.bins)]
        return torch.tensor([min(-0.1, inner[0] - 0.1), *inner])


def _filled(layer: nn.Linear, weight: float, bias: Tensor) -> nn.Linear:
    with torch.no_grad():
        layer.weight.fill_(weight)
        layer.bias.copy_(bias)
    return layer
