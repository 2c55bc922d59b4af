"""The book's sweeps: which experiments each setting consists of. Their rows lie beside this file.

In all of them a client sends one FedSGD gradient of its photographs, computed in float32 by an untrained
network. Each run of a setting has its own pictures, network and start. Labels are known where several
pictures share an update, and read off it where there is one.

Chapters: 8, 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.naive import Naive, Precise
from leaklib.client import FedSGD
from leaklib.data import Data, Photos
from leaklib.experiment import Experiment
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Architecture
from leaklib.types import Attack, Batch, Mechanism

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
    """Who attacks one picture behind ``mechanism``: with and without a prior, and without knowing it."""
    if mechanism in (SignSGD(), Quantize(1)):
        return {"adaptive, smooth": SIGNS, "naive": Naive(SIGNS)}
    sharp, smooth = IDLG(steps=30), IDLG(steps=30, total_variation=3e-3)
    if isinstance(model, LeNet):  # badly conditioned: more steps, a long memory, float64
        sharp, smooth = Precise(IDLG(steps=100, history=600)), IDLG(steps=60, total_variation=1e-2)
    return {"adaptive": sharp, "adaptive, smooth": smooth, "naive": Naive(smooth)}


def repeated(base: Experiment, count: int) -> list[Experiment]:
    """``base`` on ``count`` clients, each with pictures, a network and a start of its own."""
    return [replace(base, seed=i, first_client=i) for i in range(count)]
