"""GradInversion: what each prior adds, and what it asks for."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from leaklib.attacks import grad_inversion
from leaklib.attacks.grad_inversion import GradInversion
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.client import FedSGD, batch_norm_statistics, share
from leaklib.data import Photos
from leaklib.metrics import score
from leaklib.models.convnet import ConvNet
from leaklib.models.parts.build import seeded
from leaklib.models.resnet import ResNet
from leaklib.rng import generator
from leaklib.types import Batch, Progress


def tiny() -> nn.Module:
    """A network with BatchNorm on 8×8 pictures."""
    return seeded(
        0,
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.GELU(),
            nn.Conv2d(16, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.GELU(),
            nn.Flatten(), nn.Linear(256, 8),
        ),
    )  # fmt: skip


def small(size: int = 2) -> Batch:
    return Photos(size=8).batch(0, size)


@pytest.mark.slow
def test_a_small_batch_comes_back_through_batch_norm() -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD(), reveal_statistics=True)
    attack = GradInversion(steps=500, statistics="exact")
    result = score(attack(model, update, generator=generator(0, "a")), batch)
    assert result.psnr.min() > 20 and result.label_overlap == 1


def test_without_its_priors_it_is_inverting_gradients() -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD(), reveal_labels=True)
    ours = GradInversion(steps=20, lr=0.05, statistics="none")
    theirs = InvertingGradients(steps=20, lr=0.05)
    one, other = (attack(model, update, generator=generator(0, "a")) for attack in (ours, theirs))
    assert torch.equal(one.inputs, other.inputs)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["exact", "running"])
def test_the_prior_pulls_the_batch_to_the_statistics(kind: str) -> None:
    model, batch = tiny(), small()
    model[1].momentum = model[4].momentum = 1.0
    model(Photos(size=8).batch(1, 64).inputs)  # a past that the running statistics remember
    update = share(model, batch, FedSGD(), reveal_labels=True, reveal_statistics=True)
    target = update.statistics["1"] if kind == "exact" else torch.stack(
        [model[1].running_mean, model[1].running_var]
    )  # fmt: skip

    def miss(weight: float) -> float:
        attack = GradInversion(steps=100, statistics=kind, batch_norm=weight, anneal=1.0)
        found = attack(model, update, generator=generator(0, "a"))
        with torch.no_grad():
            return (batch_norm_statistics(model, found.inputs)["1"] - target).abs().mean().item()

    assert miss(1e4) < 0.7 * miss(0.0)


@pytest.mark.slow
def test_seeds_are_optimised_together_and_agree(monkeypatch) -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD(), reveal_labels=True)
    seen: list[Progress] = []
    attack = GradInversion(steps=30, seeds=3, statistics="running")
    found = attack(model, update, generator=generator(0, "a"), callback=seen.append)
    assert [p.evaluation for p in seen] == list(range(3, 91, 3)) and found.restarts == 2
    apart: dict[float, float] = {}
    real = grad_inversion.group_consistency

    def watched(images: torch.Tensor) -> torch.Tensor:
        apart[weight] = real(images).mean().item()  # the last call's stays
        return real(images)

    monkeypatch.setattr(grad_inversion, "group_consistency", watched)
    for weight in (0.0, 1000.0):
        replace(attack, steps=100, group=weight)(model, update, generator=generator(0, "a"))
    assert apart[1000.0] < 0.1 * apart[0.0]


def test_statistics_that_are_not_there_are_asked_for() -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD())
    with pytest.raises(ValueError, match=r"the update reveals none: share\(\.\.\., reveal_statistics=True\)"):
        GradInversion(statistics="exact")(model, update, generator=generator(0, "a"))
    plain = ConvNet(4).build(0)
    update = share(plain, Photos().batch(0, 1), FedSGD())
    with pytest.raises(ValueError, match="no BatchNorm layer with running statistics"):
        GradInversion()(plain, update, generator=generator(0, "a"))
    assert (
        GradInversion(steps=2, statistics="none")(plain, update, generator=generator(0, "a")).evaluations == 2
    )


def test_bad_fields() -> None:
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        GradInversion(seeds=0)
    with pytest.raises(ValueError, match="anneal must be above 0 and at most 1, got 0"):
        GradInversion(anneal=0.0)


@pytest.mark.slow
def test_on_the_trained_resnet_the_batch_s_own_statistics_help() -> None:
    model, batch = ResNet(trained=True).build(0), Photos().batch(0, 2)
    update = share(model, batch, FedSGD(), reveal_labels=True, reveal_statistics=True)
    mean = {
        kind: score(
            GradInversion(steps=400, statistics=kind)(model, update, generator=generator(0, "a")), batch
        ).psnr.mean()
        for kind in ("none", "exact")
    }  # fmt: skip
    assert mean["exact"] > mean["none"]
