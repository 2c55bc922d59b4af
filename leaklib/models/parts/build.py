"""What the networks share: building from a seed, three convolutions, and normalising inside."""

from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from leaklib.rng import generator

Model = TypeVar("Model", bound=nn.Module)
_ALONE = RLock()


@runtime_checkable
class Architecture(Protocol):
    """A network that can be built from a seed: see models/."""

    def build(self, seed: int) -> nn.Module: ...


def seeded(seed: int, make: Callable[[], Model]) -> Model:
    """``make()`` with PyTorch's own initialisation drawn from ``seed``; the global random state is put back.

    PyTorch's layers draw from the global CPU generator and take no other, hence the fork, and one thread at a
    time.
    """
    with _ALONE, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator(seed, "init").initial_seed())
        return make()


def sequential(seed: int, make: Callable[[], dict[str, nn.Module]]) -> nn.Sequential:
    """The layers of ``make()`` in their order and under their names, as ``seeded`` draws them."""
    return seeded(seed, lambda: nn.Sequential(OrderedDict(make())))


def convolutions(
    c: int, classes: int, activation: Callable[[], nn.Module], input_shape: tuple[int, int, int] = (3, 32, 32)
) -> dict[str, nn.Module]:
    """Three 5×5 convolutions (strides 2, 2, 1, padding 2) of ``c`` channels, activations, then a Linear."""
    colors, height, width = input_shape
    return dict(
        conv1=nn.Conv2d(colors, c, 5, stride=2, padding=2),  # 32 × 32 -> 16 × 16
        act1=activation(),
        conv2=nn.Conv2d(c, c, 5, stride=2, padding=2),  # -> 8 × 8
        act2=activation(),
        conv3=nn.Conv2d(c, c, 5, stride=1, padding=2),  # -> 8 × 8
        act3=activation(),
        flatten=nn.Flatten(),
        fc=nn.Linear(c * -(-height // 4) * -(-width // 4), classes),  # two strides of 2, rounded up
    )


MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's channels


class Normalize(nn.Module):
    """Pictures in [0, 1] to zero mean and unit spread per channel, with CIFAR-10's statistics by default."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.std
