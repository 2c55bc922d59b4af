"""The book's sweeps: which experiments each setting consists of. Their rows lie beside this file.

In all of them a client sends one FedSGD gradient, computed in float32. Each run of a setting has its own
pictures and start, and its own network where that is untrained. Labels are known where several pictures share
an update, and read off it where there is one.

Trained networks have learned on the left halves of the photographs. Their victims are windows of the right
halves, and three CIFAR-10 pictures, of which they have seen none: all that is wrong with those is that their
labels mean something else. Two networks each, from two seeds.

Chapters: 6, 8, 9.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import nn

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.lift_and_round import LiftAndRound
from leaklib.attacks.naive import Naive, Precise
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.search.matching import mid_gray
from leaklib.attacks.signal_matching import SignalMatching
from leaklib.client import FedSGD
from leaklib.data import CIFAR10, Data, Photos
from leaklib.experiment import Experiment
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Architecture
from leaklib.models.pretrained import Pretrained
from leaklib.types import Attack, Batch, Callback, Mechanism, Reconstruction, Update

BASE = Experiment(data=Photos(), model=ConvNet(64), step=FedSGD(), attack=IDLG())

SIZES = (1, 2, 4, 8, 16, 32, 64)
BITS = (1, 2, 3, 4, 6, 8, 12, 16)
FRACTIONS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5)

# Smooth signs of narrow networks have many bad basins, which L-BFGS falls into more often than Adam.
SIGNS = InvertingGradients(steps=500, signed=False, lr=0.05)

# With 1,200 evaluations each.
ATTACKS: Mapping[str, Attack] = {
    "DLG": DLG(steps=60, known_labels=True),
    "DLG, smooth": DLG(steps=60, known_labels=True, total_variation=1e-3),
    "InvertingGradients": InvertingGradients(steps=1200),
}


def batch_sizes() -> dict[tuple[str, int, str], list[Experiment]]:
    """(network, batch size, attack): several pictures in one plaintext update, with 1,200 evaluations."""
    networks: dict[str, Architecture] = {"LeNet": LeNet(), "ConvNet 64": ConvNet(64)}
    runs = {1: 10, 2: 5, 4: 3, 8: 3, 16: 2, 32: 2, 64: 1}
    largest = {"DLG": 64, "DLG, smooth": 32, "InvertingGradients": 16}  # beyond, a run takes minutes
    return {
        (network, size, name): repeated(
            replace(BASE, model=model, attack=attack, batch_size=size, reveal_labels=True), runs[size]
        )
        for size in SIZES
        for network, model in networks.items()
        for name, attack in ATTACKS.items()
        if size <= largest[name]
    }


@dataclass(frozen=True)
class Numbered:
    """``data``, picture i of a batch in class i: for networks with at least as many classes."""

    data: Data = Photos()

    def batch(self, client: int, size: int) -> Batch:
        """The batch of ``data`` for this client, with labels 0 to size - 1."""
        return Batch(self.data.batch(client, size).inputs, torch.arange(size))


def repeated_labels() -> dict[tuple[int, str], list[Experiment]]:
    """(batch size, labels): all labels of an update distinct, or all the same; DLG on ConvNet 64.

    Beyond eight pictures the network has as many classes as the batch has pictures.
    """
    base = replace(BASE, attack=DLG(steps=60, known_labels=True), reveal_labels=True)
    sweep = {}
    for size in (2, 4, 8):
        sized = replace(base, batch_size=size)
        subjects = [Photos(only=name) for name in ("astronaut", "cat", "coffee")]
        sweep[size, "distinct"] = repeated(sized, 3)
        sweep[size, "the same"] = [replace(sized, data=data, seed=i) for i, data in enumerate(subjects)]
    for size, runs in ((16, 2), (32, 1), (64, 1)):
        own = replace(base, data=Numbered(), model=ConvNet(64, num_classes=size), batch_size=size)
        sweep[size, "distinct"] = repeated(own, runs)
    return sweep


def lifted() -> dict[tuple[int, str], list[Experiment]]:
    """(batch size, attack): photographs whose labels repeat; DLG with as many evaluations of pictures.

    Pairs of one label, and batches of eight labels, twice each; pictures of one label lie side by side. "not
    lifted" is LiftAndRound without more pictures: all that it has but the lift. DLG is told the labels, the
    others read them off the update.
    """
    return {
        (size, name): [
            replace(
                BASE,
                data=Picked(Photos(), windows(size, i)),
                attack=attack,
                batch_size=size,
                reveal_labels=isinstance(attack, DLG),
                seed=i,
            )
            for i in range(5)
        ]
        for size, attacks in LIFTED.items()
        for name, attack in attacks.items()
    }


def windows(size: int, start: int) -> tuple[int, ...]:
    """Numbers of ``size`` photographs: a pair of label ``start``, or as many windows of each of the eight."""
    if size == 2:
        return start, start + 8
    each = size // 8
    return tuple(8 * (each * start + window) + label for label in range(8) for window in range(each))


def compressors() -> dict[tuple[str, str, str], list[Experiment]]:
    """(network, mechanism, attacker): one picture behind every compressor, ``adaptive`` and ``naive``."""
    sweep = {}
    for network, model in NETWORKS.items():
        for name, mechanism in MECHANISMS.items():
            for attacker, attack in attackers(model, mechanism).items():
                base = replace(BASE, model=model, mechanism=mechanism, attack=attack)
                sweep[network, name, attacker] = repeated(base, 1 if network == "ConvNet 128" else 5)
    return sweep


def both() -> dict[tuple[int, str], list[Experiment]]:
    """(batch size, mechanism): both sliders at once on ConvNet 64, an attacker that knows the mechanism."""
    sweep = {}
    for size in SIZES[:5]:
        for name in BOTH:
            mechanism = MECHANISMS[name]
            attack = SIGNS if name == "signs" else DLG(steps=40, known_labels=True, total_variation=1e-3)
            base = replace(BASE, mechanism=mechanism, attack=attack, batch_size=size, reveal_labels=True)
            sweep[size, name] = repeated(base, 3 if size <= 4 else 2)
    return sweep


def training() -> dict[tuple[str, int, str], list[Experiment]]:
    """(network, steps of training, attack): one picture, 1,500 evaluations in float64, label from the update.

    Ten victims for each of two trainings where the first network has learned most, three of one elsewhere.
    """
    sweep = {}
    for (network, model), steps, (name, attack) in product(TRAINED.items(), STEPS, ON_TRAINED.items()):
        architecture: Architecture = Pretrained(model, steps)
        if name.startswith("Recursive"):
            if not isinstance(model, LeNet):
                continue
            if "float64" in name:
                architecture = Doubled(architecture)
        wide, most = isinstance(model, ConvNet), (network, steps) == ("ConvNet 64", 1000)
        if wide and not most and name not in ("signal", "DLG"):
            continue
        if network == "ConvNet 64, ReLU" and steps not in BEFORE:
            continue
        base = replace(BASE, model=architecture, attack=OrGray(attack))
        sweep[network, steps, name] = victims(base, 7, 3) if most else victims(base, 2, 1, (0,))
    return sweep


@dataclass(frozen=True)
class OrGray:
    """``attack``, or mid-gray where it refuses: a client so sure of its label that its signal rounds to 0."""

    attack: Attack

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Reconstruction:
        try:
            return self.attack(model, update, generator=generator, callback=callback)
        except ValueError:
            labels = torch.zeros(update.num_examples, dtype=torch.int64)
            return Reconstruction(mid_gray(model, update), labels, math.nan)


@dataclass(frozen=True)
class Doubled:
    """``network`` in float64: the client computes so, and sends as many digits."""

    network: Architecture

    def build(self, seed: int) -> nn.Module:
        """The same weights, with zeros behind their last digit."""
        return self.network.build(seed).double()


def victims(
    base: Experiment, photographs: int, cifar: int, seeds: tuple[int, ...] = (0, 1)
) -> list[Experiment]:
    """``base`` on so many photographs and CIFAR-10 pictures for each seed, which also trains the network."""
    photos, others = Photos(side="right"), CIFAR10()
    return [
        replace(base, data=data, first_client=seed * count + i, seed=seed)
        for seed in seeds
        for data, count in ((photos, photographs), (others, cifar))
        for i in range(count)
    ]


@dataclass(frozen=True)
class Picked:
    """These ``numbers`` of ``data``, in this order: one batch, whoever asks."""

    data: Data
    numbers: tuple[int, ...]

    def batch(self, client: int, size: int) -> Batch:
        """The pictures, whose number must be ``size``. ValueError otherwise."""
        if size != len(self.numbers):
            raise ValueError(f"{len(self.numbers)} pictures were picked, asked for {size}")
        each = [self.data.batch(number, 1) for number in self.numbers]
        return Batch(torch.cat([b.inputs for b in each]), torch.cat([b.labels for b in each]))


def trained_batches() -> dict[tuple[int, int, str, str], list[Experiment]]:
    """(batch size, steps of training, labels, attack): photographs on ConvNet 64, 1,600 evaluations.

    ``distinct`` labels, every label ``twice``, or all ``the same``; where they are ``inferred`` they are
    distinct and read off the update. Three batches a setting, four of one picture. Fours after 1,000 steps
    are those of ``confidence``.
    """
    sweep = {}
    for size, steps, labels, name in product(MIXED, BEFORE, LABELS, ON_BATCHES):
        if (labels == "inferred" and name != "signal") or (size, steps, labels) in UNTRIED:
            continue
        base = replace(
            BASE,
            data=Photos(side="right"),
            model=Pretrained(ConvNet(64), steps),
            attack=ON_BATCHES[name],
            batch_size=size,
            reveal_labels=labels != "inferred",
        )
        if labels in ("distinct", "inferred"):
            runs = [replace(base, first_client=i) for i in range(4 if size == 1 else 3)]
        elif size == 1:
            continue
        elif labels == "twice":
            runs = [replace(base, data=Picked(base.data, pairs(size, i))) for i in range(3)]
        else:
            subjects = ("astronaut", "cat", "coffee")
            runs = [replace(base, data=Photos(only=subject, side="right")) for subject in subjects]
        sweep[size, steps, labels, name] = runs
    return sweep


def pairs(size: int, start: int) -> tuple[int, ...]:
    """Numbers of ``size`` photographs: half as many labels, each twice, from window 2 · ``start`` on."""
    return tuple(8 * (2 * start + window) + label for window in (0, 1) for label in range(size // 2))


def confidence() -> dict[tuple[str, str], list[Experiment]]:
    """(group, attack): four photographs with labels of their own, by what ConvNet 64 thinks of them.

    After 1,000 steps it gives those that are ``fitted`` a probability above 0.999 of being what they are,
    those that are ``misclassified`` another label; ``mixed`` are two of each. Labels known.
    """
    return {
        (group, name): [
            replace(
                BASE,
                data=Picked(Photos(side="right"), numbers),
                model=Pretrained(ConvNet(64), 1000),
                attack=attack,
                batch_size=4,
                reveal_labels=True,
                seed=seed,
            )
            for seed, some in enumerate(picked)
            for numbers in some
        ]
        for group, picked in GROUPS.items()
        for name, attack in ON_BATCHES.items()
    }


def trained_compression() -> dict[tuple[str, int, str], list[Experiment]]:
    """(mechanism, steps of training, attacker): one picture on ConvNet 64, 800 evaluations, label from it.

    Naive attackers differ from the others in one thing: they take what was sent for the gradient. After 100
    steps only some of the mechanisms were tried.
    """
    return {
        (name, steps, attacker): victims(
            replace(BASE, model=Pretrained(ConvNet(64), steps), mechanism=mechanism, attack=OrGray(attack)),
            2,
            1,
            (0,),
        )
        for name, mechanism in MECHANISMS.items()
        for steps in BEFORE
        if name in ON_THE_WAY or (steps != 100 and name in ("4 bits", "2 bits", "top 10 %", "top 1 %"))
        for attacker, attack in (ON_SIGNS if mechanism in ONE_BIT else ON_COMPRESSED).items()
    }


STEPS = (0, 10, 30, 100, 300, 1000)
BEFORE = (0, 100, 1000)
ON_THE_WAY = ("none", "8 bits", "signs")  # the mechanisms tried after 100 steps as well
LIFTED: Mapping[int, Mapping[str, Attack]] = {
    2: {"DLG": DLG(steps=72, known_labels=True), "lifted": LiftAndRound(steps=40)},
    16: {
        "DLG": DLG(steps=125, known_labels=True),
        "not lifted": LiftAndRound(steps=125, extra=0),
        "lifted": LiftAndRound(),
    },
}
MIXED = (1, 2, 4)
# Left out for the minutes that each of their runs takes.
UNTRIED = (
    (4, 100, "the same"),
    *((4, 1000, labels) for labels in ("distinct", "inferred", "twice", "the same")),
)
LABELS = ("distinct", "inferred", "twice", "the same")
ON_BATCHES: Mapping[str, Attack] = {
    "signal": SignalMatching(steps=80),
    "DLG": Precise(DLG(steps=80, known_labels=True)),
}
ONE_BIT = (SignSGD(), Quantize(1))


def _paired(signal: Attack, plain: Attack) -> Mapping[str, Attack]:
    """Each attack as it is and naive: these two differ in that alone."""
    return {"signal": signal, "DLG": plain, "signal, naive": Naive(signal), "DLG, naive": Naive(plain)}


ON_COMPRESSED = _paired(
    SignalMatching(steps=40, total_variation=1e-3), Precise(IDLG(steps=40, total_variation=1e-3))
)
# Smooth signs have many bad basins, which L-BFGS falls into more often than Adam.
ON_SIGNS = _paired(
    SignalMatching(steps=40, total_variation=1.0, optimizer="adam"),
    Precise(InvertingGradients(steps=800, signed=False, lr=0.05)),
)
# Numbers of windows by group, for seeds 0 and 1: the first of each kind with labels that differ.
GROUPS: Mapping[str, tuple[tuple[tuple[int, ...], ...], ...]] = {
    "fitted": (
        ((2, 3, 4, 5), (6, 8, 11, 12), (13, 27, 28, 34)),
        ((3, 4, 5, 26), (12, 13, 27, 34), (20, 21, 43, 90)),
    ),
    "misclassified": (
        ((41, 48, 99, 130), (49, 64, 162, 165), (80, 105, 218, 227)),
        ((1, 10, 16, 19), (9, 18, 30, 56), (25, 58, 64, 67)),
    ),
    "mixed": (
        ((3, 12, 48, 41), (5, 27, 64, 49), (2, 11, 80, 105)),
        ((4, 5, 1, 16), (12, 13, 10, 19), (20, 21, 9, 56)),
    ),
}
TRAINED: Mapping[str, Architecture] = {
    "ConvNet 64": ConvNet(64),
    "ConvNet 64, ReLU": ConvNet(64, activation=nn.ReLU),
    "LeNet": LeNet(init_scale=None),
    "LeNet, U(−½, ½)": LeNet(),
}
ON_TRAINED: Mapping[str, Attack] = {
    "signal": SignalMatching(steps=75),
    "DLG": Precise(IDLG(steps=75)),
    "DLG, smooth": Precise(IDLG(steps=75, total_variation=1e-3)),
    "InvertingGradients": Precise(InvertingGradients(steps=1500)),
    "Recursive": Recursive(),
    "Recursive, float64 client": Recursive(),
}

NETWORKS: Mapping[str, Architecture] = {
    "LeNet": LeNet(),
    **{f"ConvNet {width}": ConvNet(width) for width in (16, 32, 64, 128)},
}
MECHANISMS: Mapping[str, Mechanism] = {
    "none": Identity(),
    **{f"{bits} bits" if bits > 1 else "1 bit": Quantize(bits) for bits in reversed(BITS)},
    "signs": SignSGD(),
    **{f"top {100 * fraction:g} %": TopK(fraction) for fraction in reversed(FRACTIONS)},
}
BOTH = ("none", "8 bits", "4 bits", "2 bits", "signs", "top 10 %", "top 1 %", "top 0.1 %")


def attackers(model: Architecture, mechanism: Mechanism) -> dict[str, Attack]:
    """Who attacks one picture behind ``mechanism``: with and without a prior, and without knowing it.

    The naive attacker differs from the adaptive one with a prior in that alone.
    """
    if mechanism in ONE_BIT:
        return {"adaptive, smooth": SIGNS, "naive, smooth": Naive(SIGNS)}
    sharp, smooth = IDLG(steps=30), IDLG(steps=30, total_variation=3e-3)
    if isinstance(model, LeNet):  # badly conditioned: more steps, a long memory, float64
        sharp, smooth = Precise(IDLG(steps=100, history=600)), IDLG(steps=60, total_variation=1e-2)
    return {"adaptive": sharp, "adaptive, smooth": smooth, "naive, smooth": Naive(smooth)}


def repeated(base: Experiment, count: int) -> list[Experiment]:
    """``base`` on ``count`` clients, each with pictures, a network and a start of its own."""
    return [replace(base, seed=i, first_client=i) for i in range(count)]
