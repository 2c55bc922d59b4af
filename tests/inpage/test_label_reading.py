"""The labels that the page reads off an update: leaklib's for one picture, the true ones for two."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from leaklib.attacks.parts.labels import infer_label
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.lenet import LeNet
from leaklib.named import flatten
from leaklib.rng import generator
from leaklib.types import Batch, Mechanism, Update

MANGLED: list[tuple[dict[str, object], Mechanism]] = [
    ({"kind": "full"}, Identity()),
    ({"kind": "bits", "bits": 2}, Quantize(2)),
    ({"kind": "bits", "bits": 8}, Quantize(8)),
    ({"kind": "signs"}, SignSGD()),
    ({"kind": "top", "fraction": 0.1}, TopK(0.1)),
    ({"kind": "noise", "clip": 1.0, "multiplier": 0.1}, Chain((ClipNorm(1.0), GaussianNoise(0.1)))),
]

INITIALISATIONS = {"default": None, "uniform": 0.5}
INFER = """
const layout = network.layout(12);
return updates.map(sent => labels.inferLabels({sent, mechanism, examples, bits: 0}, layout));
"""


def infer(deno, ours: dict[str, object], updates: list[Update], examples: int = 1) -> list[list[int]]:
    rows = [flatten(update.tensors) for update in updates]
    return deno(INFER, updates=rows, mechanism=ours, examples=examples)


def through(mechanism: Mechanism, updates: tuple[Update, ...]) -> list[Update]:
    return [mechanism(update, generator=generator(i, "mechanism")) for i, update in enumerate(updates)]


@cache
def of_one(scale: float | None) -> tuple[Update, ...]:
    model = LeNet(init_scale=scale).build(1)
    return tuple(share(model, Photos().batch(i, 1), FedSGD()) for i in range(5))


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
@pytest.mark.parametrize(("ours", "mechanism"), MANGLED, ids=[str(mechanism) for _, mechanism in MANGLED])
def test_one_label_is_what_the_package_infers(deno, ours, mechanism: Mechanism, scale) -> None:
    updates = through(mechanism, of_one(scale))
    assert infer(deno, ours, updates) == [infer_label(update).tolist() for update in updates]


def test_nothing_in_the_last_layer_is_refused(deno) -> None:
    (update, *_) = of_one(0.5)
    nothing = update.tensors | {
        name: torch.zeros_like(update.tensors[name]) for name in ("fc.weight", "fc.bias")
    }
    for examples in (1, 2):
        for ours, _ in MANGLED:
            with pytest.raises(RuntimeError, match="No class has the negative gradient that a label leaves"):
                infer(deno, ours, [replace(update, tensors=nothing)], examples)


@cache
def pairs() -> tuple[Batch, ...]:
    """Two photographs each, of different things."""
    every, draw = Photos().batch(0, 240), generator(0, "pairs")
    found = []
    while len(found) < 20:
        chosen = torch.randint(240, (2,), generator=draw)
        if every.labels[chosen].unique().numel() == 2:
            found.append(Batch(every.inputs[chosen], every.labels[chosen]))
    return tuple(found)


@cache
def of_two(scale: float | None) -> tuple[Update, ...]:
    return tuple(share(LeNet(init_scale=scale).build(i % 10), p, FedSGD()) for i, p in enumerate(pairs()))


def right(deno, ours: dict[str, object], mechanism: Mechanism, scale: float | None) -> float:
    """The share of pairs whose labels are both found."""
    answers = infer(deno, ours, through(mechanism, of_two(scale)), 2)
    return sum(a == sorted(b.labels.tolist()) for a, b in zip(answers, pairs(), strict=True)) / len(answers)


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
def test_two_labels_are_exact_as_long_as_nothing_is_lost(deno, scale) -> None:
    assert any(
        (u.tensors["fc.bias"] < 0).sum() == 1 for u in of_two(0.5)
    )  # where the bias alone is not enough
    assert right(deno, *MANGLED[0], scale) == 1


@pytest.mark.parametrize(("ours", "mechanism"), MANGLED[1:-1], ids=[str(m) for _, m in MANGLED[1:-1]])
def test_two_labels_are_mostly_right_behind_compression(deno, ours, mechanism: Mechanism) -> None:
    assert right(deno, ours, mechanism, None) == 1
    assert right(deno, ours, mechanism, 0.5) >= 0.7
