"""The eight levels of the challenge: what a client held, what it sent, and the attack that gets it back.

A level's network is one for the whole class, as in a federation, where the server sends all clients the same.
Pictures, words and labels are each student's own. All of it follows from the instructor's key.

``marks`` says what an answer is worth, and what full marks need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.recursive import Recursive
from leaklib.challenge import keys
from leaklib.challenge.victims import phrases, pictures
from leaklib.client import FedSGD, share
from leaklib.mechanisms.identity import Identity
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.models.parts.build import Architecture
from leaklib.types import Attack, Batch, ClientStep, Mechanism, Update

COLOR, CLASSES = (3, 16, 16), 10
GRADIENT = FedSGD()


@dataclass(frozen=True)
class Level:
    """One task: ``num_examples`` of ``input_shape``, of which only the client's update is seen.

    ``input_shape`` is that of one example: channels, height and width, or for text (positions,), int64
    tokens. ``labels`` says whether each is drawn for itself, or all are different, or the same. ``attack`` is the reference: it gets full marks from what a student receives. Of ``points``,
    ``label_points`` are for the labels. ``bands`` are the dB that a picture must reach, lowest first, for
    equal shares of the rest.
    """

    name: str
    title: str
    asks: str
    points: int
    network: Architecture
    attack: Attack
    num_examples: int = 1
    input_shape: tuple[int, ...] = COLOR
    labels: Literal["any", "different", "same"] = "any"
    step: ClientStep = GRADIENT
    mechanism: Mechanism = Identity()
    label_points: int = 2
    bands: tuple[float, ...] = (20.0, 26.0)

    @property
    def is_text(self) -> bool:
        return len(self.input_shape) == 1

    def secret(self, key: bytes, student: str) -> Batch:
        """What this student's client holds: pictures float32 in [0, 1], or int64 tokens; and labels."""
        source = keys.stream(key, "secret", self.name, student)
        if self.is_text:
            return phrases(source, self.num_examples, self.input_shape[0])
        labels = LABELS[self.labels](source, self.num_examples)
        return Batch(pictures(source, self.num_examples, self.input_shape), torch.tensor(labels))

    def model(self, key: bytes) -> nn.Module:
        """The network that the server sent to the whole class."""
        return self.network.build(keys.seed(key, "network", self.name))

    def update(self, key: bytes, student: str, model: nn.Module | None = None) -> Update:
        """What this student's client sends. ``model``, if it is at hand, is ``self.model(key)``."""
        model = self.model(key) if model is None else model
        return self.mechanism(share(model, self.secret(key, student), self.step))


def _any(source: keys.Stream, count: int) -> list[int]:
    return keys.integers(source, CLASSES, count)


def _same(source: keys.Stream, count: int) -> list[int]:
    return keys.integers(source, CLASSES, 1) * count


def _different(source: keys.Stream, count: int) -> list[int]:
    left = list(range(CLASSES))
    return [left.pop(keys.integers(source, len(left), 1)[0]) for _ in range(count)]


LABELS: dict[str, Callable[[keys.Stream, int], list[int]]] = {
    "any": _any,
    "same": _same,
    "different": _different,
}

LEVELS: tuple[Level, ...] = (
    Level(
        "linear",
        "A fully connected layer",
        "The network's first layer is fully connected and sees one picture. Divide, and hand in the picture "
        "and its label.",
        8,
        Mlp(COLOR, hidden=8),
        LinearLayer(),
        bands=(20.0, 30.0),
    ),
    Level(
        "lenet",
        "A convolutional network",
        "One picture went through three convolutions with sigmoids. Read off its label, and get the picture "
        "back by matching the gradient or layer by layer.",
        10,
        LeNet(input_shape=COLOR),
        Recursive(),
    ),
)
