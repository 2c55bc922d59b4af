"""The ends of the spectrum by Lanczos, which the benchmarks use where the whole spectrum is too much."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from leaklib.attacks.search.jacobian import GradientMap
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.spectrum import identifiability
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Normalize, seeded
from leaklib.rng import generator
from leaklib.types import Batch

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from extremes import extremes

SMALL = LeNet(num_classes=8, input_shape=(1, 16, 16))


def test_the_ends_of_the_spectrum_are_enclosed() -> None:
    model, batch = SMALL.build(0), Photos(size=16, gray=True).batch(0, 1)
    update, seen = share(model, batch, FedSGD()), []
    spectrum = identifiability(model, update, batch.inputs, batch.labels).singular_values
    for steps in (5, 30, 120):
        found = extremes(
            model,
            update,
            batch.inputs,
            batch.labels,
            generator=generator(0, "lanczos"),
            steps=steps,
            progress=lambda *done: seen.append(done),
        )
        assert found.largest <= spectrum[0] * (1 + 1e-9) and found.smallest >= spectrum[-1] * (1 - 1e-9)
        near = [(spectrum - value).abs().min() for value in (found.largest, found.smallest)]
        assert near[0] <= found.largest_error + 1e-9 and near[1] <= found.smallest_error + 1e-9
        gradient = GradientMap(model, update, batch.labels)
        moved = gradient.push(batch.inputs, found.direction[None]).norm()
        assert found.direction.norm() == pytest.approx(1) and moved == pytest.approx(found.smallest, rel=1e-6)
        assert found.condition_at_least <= spectrum[0] / spectrum[-1] * (1 + 1e-6)
    assert found.smallest == pytest.approx(spectrum[-1].item(), rel=1e-4) and seen[-1] == (120, 120)


def test_extremes_end_early_where_the_space_is_exhausted() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    inputs = torch.rand((1, 3, 2, 2), generator=generator(0, "x"), dtype=torch.float64)
    batch = Batch(inputs, torch.tensor([0]))
    update = share(model, batch, FedSGD())
    found = extremes(model, update, batch.inputs, batch.labels, generator=generator(0, "lanczos"))
    spectrum = identifiability(model, update, batch.inputs, batch.labels).singular_values
    assert found.largest == pytest.approx(spectrum[0].item())
    assert found.smallest == pytest.approx(spectrum[-1].item(), rel=1e-6)


def test_the_ends_do_not_depend_on_where_one_normalizes() -> None:
    inside = seeded(0, lambda: nn.Sequential(Normalize(), nn.Flatten(), nn.Linear(192, 10), nn.Tanh()))
    inside, batch = inside.double(), Photos(size=8).batch(0, 1).to("cpu", torch.float64)
    normalize = inside[0]
    mean, std = normalize.mean.flatten().tolist(), normalize.std.flatten().tolist()
    bounds = tuple((-m / s, (1 - m) / s) for m, s in zip(mean, std, strict=True))
    normal = replace(batch, inputs=normalize(batch.inputs))
    a = extremes(inside, share(inside, batch, FedSGD()), batch.inputs, batch.labels, steps=4)
    without = inside[1:]
    update = share(without, normal, FedSGD(), bounds=bounds)
    b = extremes(without, update, normal.inputs, normal.labels, steps=4)
    assert a.largest == pytest.approx(b.largest) and a.smallest == pytest.approx(b.smallest)
