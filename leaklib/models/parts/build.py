"""What the networks share: building from a seed, and normalising inside."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from leaklib.rng import generator

Model = TypeVar("Model", bound=nn.Module)


def seeded(seed: int, make: Callable[[], Model]) -> Model:
    """``make()`` with PyTorch's own initialisation drawn from ``seed``; the global random state is put back.

    PyTorch's layers draw from the global CPU generator and take no other, hence the fork.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator(seed, "init").initial_seed())
        return make()


class Normalize(nn.Module):
    """Pictures in [0, 1] to zero mean and unit spread per channel, with CIFAR-10's statistics by default."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465),
        std: tuple[float, ...] = (0.2470, 0.2435, 0.2616),
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - self.mean) / self.std
