"""Federated training: deterministic, it learns, and the divisor is the expected number of clients."""

from dataclasses import replace

import pytest
import torch

from leaklib.aggregation.central import CentralDP
from leaklib.aggregation.plain import Plain
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Digits
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.models.mlp import Mlp
from leaklib.rng import generator
from leaklib.training import Training, train
from leaklib.types import ClientStep

BASE = Training(Digits(), Mlp(), FedSGD(), clients=20, batch_size=75, rounds=15, lr=0.5)


def moved(training: Training) -> torch.Tensor:
    before, after = training.model.build(training.seed), train(training).model
    return torch.cat(
        [(a - b).flatten() for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    )


@pytest.mark.parametrize(
    ("step", "lr", "rounds"), [(FedSGD(), 0.5, 15), (FedAvg(lr=0.5, batch_size=15), 1.0, 5)], ids=str
)
def test_it_learns_digits(step: ClientStep, lr: float, rounds: int) -> None:
    trained = train(replace(BASE, step=step, lr=lr, rounds=rounds))
    assert len(trained.accuracy) == rounds and trained.took_part == (20,) * rounds
    assert trained.accuracy[-1] > 0.6 and trained.model.training


def test_the_same_training_gives_the_same_model_and_touches_nothing() -> None:
    noisy = replace(
        BASE, mechanism=ClipNorm(1.0), aggregation=CentralDP(0.5), sampling_rate=0.5, rounds=3, lr=1.0
    )
    state = torch.get_rng_state()
    assert torch.equal(moved(noisy), moved(noisy)) and torch.equal(state, torch.get_rng_state())
    assert not torch.equal(moved(noisy), moved(replace(noisy, seed=1)))


def test_with_everyone_a_round_is_a_step_along_the_whole_gradient() -> None:
    one = replace(BASE, rounds=1)
    whole = share(Mlp().build(0), Digits().batch(0, 1500), FedSGD()).tensors
    expected = -0.5 * torch.cat([tensor.flatten() for tensor in whole.values()])
    assert torch.allclose(moved(one), expected, atol=1e-6)


def test_the_divisor_is_the_expected_number_whoever_comes() -> None:
    some = replace(BASE, mechanism=ClipNorm(1.0), sampling_rate=0.3, rounds=1, lr=1.0, seed=1)
    came = (torch.rand(20, generator=generator(1, "sampling")) < 0.3).nonzero().flatten().tolist()
    assert train(some).took_part == (len(came),) and len(came) not in (0, 6)  # 0.3 · 20 = 6 are expected
    model, total = Mlp().build(1), 0
    for client in came:
        update = share(model, Digits().batch(client, 75), FedSGD())
        sent = ClipNorm(1.0)(update, generator=generator(0, "m")).tensors
        total = total + torch.cat([tensor.flatten() for tensor in sent.values()])
    assert torch.allclose(moved(some), -total / 6, atol=1e-6)


def test_an_empty_round_publishes_the_noise_alone() -> None:
    rare = replace(BASE, clients=2, sampling_rate=1e-6, rounds=1, lr=1e-6, mechanism=ClipNorm(1.0))
    assert moved(rare).abs().max() == 0 and train(rare).took_part == (0,)
    noise = moved(replace(rare, aggregation=CentralDP(2.0)))
    # z C / (q n) per entry, times the learning rate: 2 / 2e-6 · 1e-6
    assert noise.std().item() == pytest.approx(1.0, rel=0.1)
    unclipped = replace(rare, mechanism=Chain((ClipNorm(1.0), GaussianNoise(1.0))))
    assert moved(unclipped).abs().max() == 0  # nobody came, so nobody added noise


def test_noise_is_the_same_however_many_come() -> None:
    """Central noise on the sum is z C, whether all clients came or some."""
    still = replace(BASE, mechanism=ClipNorm(1e-6), aggregation=CentralDP(1e6), rounds=1, lr=1.0)
    everyone, some = moved(still), moved(replace(still, sampling_rate=0.5))
    assert everyone.std().item() == pytest.approx(1 / 20, rel=0.1)
    assert some.std().item() == pytest.approx(1 / 10, rel=0.1)


def test_every_client_and_every_round_draws_noise_of_its_own() -> None:
    """Variances add up: the same noise from 4 clients, or in 4 rounds, would be twice as large."""
    local = Chain((ClipNorm(1e-6), GaussianNoise(1e6)))
    still = replace(BASE, clients=4, batch_size=5, rounds=4, lr=1.0)
    for mechanism, aggregation, one in ((local, Plain(), 1 / 2), (ClipNorm(1e-6), CentralDP(1e6), 1 / 4)):
        spread = moved(replace(still, mechanism=mechanism, aggregation=aggregation)).std().item()
        assert spread == pytest.approx(2 * one, rel=0.1)


def test_it_stops_when_told() -> None:
    seen = []
    trained = train(BASE, callback=lambda number, accuracy: seen.append(number) or number == 2)
    assert seen == [1, 2] and len(trained.accuracy) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("clients", 0), ("batch_size", 0), ("rounds", 0), ("lr", 0.0), ("sampling_rate", 1.5)],
)
def test_what_makes_no_sense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be .*got {value}"):
        replace(BASE, **{field: value})


def test_noise_without_clipping_does_not_train() -> None:
    with pytest.raises(ValueError, match="bounded sensitivity"):
        train(replace(BASE, aggregation=CentralDP()))
