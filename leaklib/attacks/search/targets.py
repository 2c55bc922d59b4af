"""What a search's step is given beside the pictures: known labels, or unknowns of its own.

DLG optimises soft labels along with the pictures, signal matching the error signals of a batch. Either adds
unknowns to each lane's point, from a start that is drawn.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from leaklib.types import AnyTargets, Labels


@runtime_checkable
class Targets(Protocol):
    """``unknowns`` numbers per lane, and what the client step is given for them, lanes first."""

    @property
    def unknowns(self) -> int: ...

    def draw(self, generator: torch.Generator) -> Float[Tensor, "unknowns"]:
        """Where a lane begins."""
        ...

    def given(self, unknowns: Float[Tensor, "lanes unknowns"]) -> AnyTargets:
        """What the step is given in each lane."""
        ...

    def neutral(self) -> AnyTargets:
        """What one guess is given before anything was searched for."""
        ...

    def labels(self, unknowns: Float[Tensor, "unknowns"]) -> Labels:
        """The class index of each example in one lane."""
        ...


@dataclass(frozen=True)
class Known:
    """Labels that are not searched for, or whatever else the step is given in their place."""

    classes: Labels
    target: Tensor | None = None

    @property
    def unknowns(self) -> int:
        return 0

    def draw(self, generator: torch.Generator) -> Tensor:
        return torch.zeros(0)

    def given(self, unknowns: Tensor) -> Tensor:
        target = self.neutral().to(unknowns.device)
        return target.expand(len(unknowns), *target.shape)

    def neutral(self) -> Tensor:
        return self.classes if self.target is None else self.target

    def labels(self, unknowns: Tensor) -> Labels:
        return self.classes


@dataclass(frozen=True)
class Soft:
    """One probability per class for each of ``examples``, from logits that start at random."""

    examples: int
    classes: int

    @property
    def unknowns(self) -> int:
        return self.examples * self.classes

    def draw(self, generator: torch.Generator) -> Tensor:
        return torch.randn(self.unknowns, generator=generator)

    def given(self, unknowns: Tensor) -> Tensor:
        return unknowns.reshape(len(unknowns), self.examples, -1).softmax(-1)

    def neutral(self) -> Tensor:
        return torch.full((self.examples, self.classes), 1 / self.classes)

    def labels(self, unknowns: Tensor) -> Labels:
        return unknowns.reshape(self.examples, -1).argmax(1)
