"""The eight levels of the challenge: what a client held, what it sent, and the attack that gets it back.

A level's network is one for the whole class, as in a federation, where the server sends all clients the same.
Pictures, words and labels are each student's own. All of it follows from the instructor's key.

``marks`` says what an answer is worth, and what full marks need.
"""

from dataclasses import dataclass

from torch import nn

from leaklib.attacks.dlg import IDLG
from leaklib.attacks.lift_and_round import LiftAndRound
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.tokens import TokenRecovery
from leaklib.challenge import keys
from leaklib.challenge.victims import Kind, labels, phrases, pictures
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Sentences
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.top_k import TopK
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.models.parts.build import Architecture
from leaklib.models.transformer import TinyTransformer
from leaklib.types import Attack, Batch, ClientStep, Mechanism, Reconstruction, Update

COLOR, GRAY = (3, 16, 16), (1, 16, 16)
LENGTH = 12  # words of a phrase
ENOUGH = 1e-6  # of what gray pictures score: there every picture was above 38 dB
GRADIENT = FedSGD()


@dataclass(frozen=True)
class Level:
    """One task: ``num_examples`` of ``input_shape``, of which only the client's update is seen.

    ``input_shape`` is that of one example: channels, height and width, or for text (positions,), int64
    tokens. ``labels`` says whether each is drawn for itself, or all are different, or the same. ``attack``
    is the reference: it gets full marks from what a student receives, and is ``quick`` if that takes
    milliseconds. A search is over where its loss is ``enough`` times that of gray pictures; None: where the
    attack itself ends. Of ``points``, ``label_points`` are for the labels. ``bands`` are the dB that a
    picture must reach, lowest first, for equal shares of the rest.
    """

    name: str
    title: str
    asks: str
    points: int
    network: Architecture
    attack: Attack
    num_examples: int = 1
    input_shape: tuple[int, ...] = COLOR
    labels: Kind = "any"
    quick: bool = False
    enough: float | None = None
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
        drawn = labels(source, self.num_examples, self.labels)
        return Batch(pictures(source, self.num_examples, self.input_shape), drawn)

    def model(self, key: bytes) -> nn.Module:
        """The network that the server sent to the whole class."""
        return self.network.build(keys.seed(key, "network", self.name))

    def update(self, key: bytes, student: str, model: nn.Module | None = None) -> Update:
        """What this student's client sends. ``model``, if it is at hand, is ``self.model(key)``."""
        model = self.model(key) if model is None else model
        return self.mechanism(share(model, self.secret(key, student), self.step))

    def solve(self, model: nn.Module, update: Update) -> Reconstruction:
        """What the reference attack makes of it. ValueError where that cannot read the update."""
        enough = self.enough
        if enough is None:
            return self.attack(model, update)
        return self.attack(model, update, callback=lambda at: at.loss < enough * at.gray)


_LENET = LeNet(input_shape=GRAY)
_TEXT = TinyTransformer(len(Sentences().vocabulary), width=32, length=LENGTH)

LEVELS: tuple[Level, ...] = (
    Level(
        "linear",
        "A fully connected layer",
        "The network's first layer is fully connected and sees one picture. Divide, and hand in the picture "
        "and its label.",
        8,
        Mlp(COLOR, hidden=8),
        LinearLayer(),
        quick=True,
        bands=(20.0, 30.0),
    ),
    Level(
        "lenet",
        "A convolutional network",
        "One picture went through three convolutions with sigmoids. Read off its label, and get the picture "
        "back by matching the gradient, or layer by layer.",
        10,
        LeNet(channels=8, input_shape=COLOR),
        Recursive(),
        quick=True,
    ),
    Level(
        "bits",
        "Eight bits",
        "Every number of the gradient was rounded to one of 255 levels. Compare what you find in units of "
        "these levels, and stop before you explain the rounding.",
        12,
        _LENET,
        IDLG(steps=10, stop_at_noise=True),
        input_shape=GRAY,
        mechanism=Quantize(8),
    ),
    Level(
        "topk",
        "One entry in five",
        "Only the largest fifth of the gradient's entries was sent. Use that the others are smaller than "
        "these, not that they are zero.",
        14,
        _LENET,
        IDLG(steps=40),
        input_shape=GRAY,
        enough=ENOUGH,
        mechanism=TopK(0.2),
    ),
    Level(
        "two",
        "Two labels in a batch",
        "One gradient of two pictures with different labels. Find both labels, then both pictures; their "
        "order does not matter.",
        12,
        _LENET,
        LiftAndRound(steps=40),
        num_examples=2,
        enough=ENOUGH,
        input_shape=GRAY,
        labels="different",
    ),
    Level(
        "pair",
        "A pair with one label",
        "One gradient of two pictures with the same label. Their mean is easy to find: get them apart, each "
        "free of the other.",
        16,
        _LENET,
        LiftAndRound(steps=15, extra=2),
        num_examples=2,
        input_shape=GRAY,
        labels="same",
    ),
    Level(
        "fedavg",
        "Several local steps",
        "The client trained for three steps on one picture and sent how its weights had moved. Its learning "
        "rate is public: let your guess train, too.",
        14,
        _LENET,
        IDLG(steps=40),
        input_shape=GRAY,
        enough=ENOUGH,
        step=FedAvg(lr=0.1, epochs=3),
    ),
    Level(
        "text",
        "Words",
        "Two phrases of twelve words each, the last of which the network should predict. Find which words, "
        "in which order; the last one is the label.",
        14,
        _TEXT,
        TokenRecovery(),
        num_examples=2,
        input_shape=(LENGTH,),
        quick=True,
    ),
)
