"""The attacker who only has to pick: it is right as often as theory allows, and never more often."""

import pytest
import torch

from leaklib.accounting import reconstruction_bound
from leaklib.attacks.candidates import Candidates
from leaklib.client import FedSGD, share
from leaklib.data import Digits, Photos
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.rng import generator

DIGITS = Candidates(Digits(), count=25, first=100)


@pytest.mark.parametrize(
    "mechanism",
    [Identity(), ClipNorm(0.1), Quantize(4), Chain((ClipNorm(1.0), GaussianNoise(1e-3)))],
    ids=str,
)
def test_it_picks_the_victim_among_photographs(mechanism) -> None:
    model, attack = LeNet().build(0), Candidates(Photos(), count=40)
    for client in (0, 17, 39):
        batch = Photos().batch(client, 1)
        update = mechanism(share(model, batch, FedSGD()), generator=generator(0, "m"))
        found = attack(model, update, generator=generator(0, "a"))
        assert torch.equal(found.inputs, batch.inputs) and torch.equal(found.labels, batch.labels)


def test_the_range_is_what_it_says() -> None:
    pictures = DIGITS.pictures()
    assert len(pictures) == 25
    assert torch.equal(pictures.inputs[3], Digits().batch(103, 1).inputs[0])
    model = Mlp().build(0)
    outside = share(model, Digits().batch(7, 1), FedSGD())
    found = DIGITS(model, outside, generator=generator(0, "a"))
    assert not torch.equal(found.inputs, Digits().batch(7, 1).inputs)  # it can only be wrong


def test_success_stays_below_the_bound_and_comes_near_it() -> None:
    """Reconstruction robustness for N candidates: at most Φ(Φ⁻¹(1/N) + μ), for every noise."""
    model, trials, near = Mlp().build(0), 40, []
    draw = generator(0, "trials")
    for mu in (0.5, 2.0, 4.0):
        mechanism = Chain((ClipNorm(1e-3), GaussianNoise(1 / mu)))  # so small that all are clipped
        right = 0
        for victim in torch.randint(25, (trials,), generator=draw).tolist():
            update = mechanism(share(model, Digits().batch(100 + victim, 1), FedSGD()), generator=draw)
            right += int(DIGITS.distances(model, update).argmin()) == victim
        bound = reconstruction_bound(1 / 25, 1 / mu)
        assert right / trials <= bound + 3 * (bound * (1 - bound) / trials) ** 0.5
        near.append(right / trials > bound / 3)
    assert any(near)


def test_what_cannot_be_compared_is_refused() -> None:
    model = Mlp().build(0)
    with pytest.raises(ValueError, match=r"pictures of shape \(1, 8, 8\), the candidates have \(3, 32, 32\)"):
        Candidates()(model, share(model, Digits().batch(0, 1), FedSGD()), generator=generator(0, "a"))
    with pytest.raises(ValueError, match="Candidates needs an update from 1 example, got one from 2"):
        DIGITS(model, share(model, Digits().batch(0, 2), FedSGD()), generator=generator(0, "a"))
