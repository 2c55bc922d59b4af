"""Inverting Gradients: it finds the picture, several starts share the work, and FedAvg is unrolled."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.search import matching
from leaklib.attacks.search.optimizers import FALL, BoxedAdam
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr, score
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import seeded
from leaklib.rng import generator
from leaklib.types import Batch, Progress


def tiny(activation: type[nn.Module] = nn.GELU) -> nn.Module:
    """A network on 8×8 pictures: an attack on it takes a second or two."""
    return seeded(
        0,
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 5, 2, 2), activation(),
            nn.Conv2d(16, 16, 5, 1, 2), activation(),
            nn.Flatten(), nn.Linear(256, 10),
        ),
    )  # fmt: skip


def small(size: int = 1) -> Batch:
    return Photos(size=8).batch(0, size)


def test_adam_stays_in_the_box_and_slows_down() -> None:
    point = torch.tensor([0.05, 0.5, 0.95], requires_grad=True)
    optimizer = BoxedAdam(point, lr=0.1, steps=10, signed=True)
    before = point.detach().clone()
    point.grad = torch.tensor([1.0, -1e-9, -1e9])
    optimizer.step()
    # Signs alone count: a gradient of 1e-9 moves as far as one of 1e9.
    assert torch.allclose(point.detach() - before, torch.tensor([-0.05, 0.1, 0.05]), atol=1e-5)
    for _ in range(9):
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * FALL)
    assert 0 <= point.min() and point.max() <= 1


@pytest.mark.parametrize("signed", [True, False])
def test_adam_has_no_absolute_threshold(signed: bool) -> None:
    """Gradients of 1e-12, as networks with small weights give, move it as far as those of 1."""
    ends = []
    for scale in (1.0, 1e-12):
        point = torch.full((4,), 0.5, requires_grad=True)
        optimizer = BoxedAdam(point, lr=0.01, steps=5, signed=signed)
        for step in range(5):
            point.grad = scale * torch.tensor([1.0, -2.0, 0.5, 0.0]) * (1 + step)
            optimizer.step()
        ends.append(point.detach().clone())
    assert torch.allclose(*ends, atol=1e-6) and ends[0][3] == 0.5 and (ends[0][:3] - 0.5).abs().min() > 0.01


def test_a_small_picture_comes_back_with_its_label() -> None:
    model, batch = tiny(), small()
    found = InvertingGradients(steps=500)(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
    assert psnr(found.inputs, batch.inputs).item() > 30
    assert torch.equal(found.labels, batch.labels) and found.loss < 1e-2 * found.baseline
    assert found.evaluations == 500 and found.restarts == 0


@pytest.mark.slow
def test_a_batch_comes_back_up_to_its_order() -> None:
    model, batch = tiny(), small(3)
    found = InvertingGradients(steps=700)(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
    result = score(found, batch)
    assert result.psnr.min() > 25 and result.label_overlap == 1


def test_restarts_are_evaluated_together_and_the_best_is_kept() -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD())
    seen: list[Progress] = []
    attack = InvertingGradients(steps=40, total_variation=0.0)
    alone = [attack(model, update, generator=generator(0, "a"))]
    found = replace(attack, restarts=3)(model, update, generator=generator(0, "a"), callback=seen.append)
    assert [p.evaluation for p in seen] == list(range(4, 161, 4))
    assert found.evaluations == 160 and found.restarts == 3
    # The other three starts, one after the other, from where the first left the generator.
    draw = generator(0, "a")
    for _ in range(4):
        alone.append(attack(model, update, generator=draw))
    assert torch.allclose(alone[0].inputs, alone[1].inputs)
    best = min(alone, key=lambda one: one.loss)
    assert found.loss <= 1.01 * best.loss
    assert torch.allclose(found.inputs, best.inputs, atol=1e-2)


def test_a_wide_network_evaluates_its_starts_in_turn_and_finds_the_same(monkeypatch) -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD())
    attack = InvertingGradients(steps=20, restarts=2)
    lanes = attack(model, update, generator=generator(0, "a"))
    monkeypatch.setattr(matching, "WIDE", 0)
    in_turn = attack(model, update, generator=generator(0, "a"))
    assert torch.allclose(lanes.inputs, in_turn.inputs, atol=1e-3) and in_turn.evaluations == 60


def test_smoothness_is_a_prior_and_can_be_turned_off() -> None:
    model, batch = tiny(nn.ReLU), small()
    update = share(model, batch, FedSGD())
    rough, smooth = (
        InvertingGradients(steps=60, total_variation=weight, anneal=1.0)(
            model, update, generator=generator(0, "a")
        ).inputs
        for weight in (0.0, 100.0)
    )
    assert smooth.diff(dim=3).abs().mean() < 0.1 * rough.diff(dim=3).abs().mean()


@pytest.mark.slow
def test_unrolled_local_steps_beat_one_gradient() -> None:
    """Knowing the client step is worth decibels: the difference of weights is not a gradient."""
    model, batch = tiny(), small()
    attack = InvertingGradients(steps=100)
    for steps in (2, 10):
        update = share(model, batch, FedAvg(lr=0.3, epochs=steps), reveal_labels=True)
        knowing = attack(model, update, generator=generator(0, "a"))
        naive = attack(model, replace(update, step=FedSGD()), generator=generator(0, "a"))
        assert psnr(knowing.inputs, batch.inputs) > psnr(naive.inputs, batch.inputs) + 1


@pytest.mark.slow
def test_a_photograph_comes_back_from_the_network_where_the_textbook_cosine_stops_at_19_db() -> None:
    model, batch = LeNet(init_scale=None).build(0), Photos().batch(3, 1)
    found = InvertingGradients(steps=1200)(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
    assert psnr(found.inputs, batch.inputs).item() > 30
