"""Skellam noise: on the grid, shared out exactly, fitted to what rounding did, and as private as it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from dp_accounting.pld import privacy_loss_distribution
from scipy.special import ive
from scipy.stats import kstest, skellam

from leaklib.accounting import presence_epsilon
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.discrete import Skellam, skellam_rdp
from leaklib.mechanisms.gaussian import ClipNorm
from leaklib.rng import generator
from leaklib.types import Update


def update(values: torch.Tensor, sensitivity: float | None = 1.0, client: int = 0) -> Update:
    return Update({"w": values}, FedSGD(), 1, (1, 8, 8), client=client, sensitivity=sensitivity)


def direction(entries: int, norm: float = 1.0, dtype=torch.float64) -> torch.Tensor:
    values = torch.randn(entries, generator=generator(0, "direction"), dtype=torch.float64)
    return (values * norm / values.norm()).to(dtype)


def sent(mechanism: Skellam, one: Update, seed: int = 0) -> torch.Tensor:
    return mechanism(one, generator=generator(seed, "m")).tensors["w"]


@pytest.mark.parametrize("bits", [0, 4, 10, 16])
@pytest.mark.parametrize("multiplier", [0, 1.5])
def test_what_is_sent_lies_on_the_grid_and_claims_no_sensitivity(bits, multiplier) -> None:
    noisy = Skellam(multiplier, 4, bits)(update(direction(500)), generator=generator(0, "m"))
    steps = noisy.tensors["w"] * 2**bits
    assert torch.equal(steps, steps.round())
    assert noisy.sensitivity is None and noisy.mechanism == Skellam(multiplier, 4, bits)


def test_rounding_is_right_on_average() -> None:
    values = direction(2000)
    mean = torch.stack([sent(Skellam(0, 1, 6), update(values), s) for s in range(400)]).mean(0)
    error = (mean - values).abs().max() * 2**6
    assert error < 5 * 0.5 / math.sqrt(400), "5 standard errors of a coin that is off by at most a step"


@pytest.mark.parametrize("bits", [0, 2, 4, 8, 14])
@pytest.mark.parametrize("entries", [1, 30, 3000])
def test_rounding_with_one_draw_keeps_neighbors_within_the_rounded_sensitivity(bits, entries) -> None:
    """Neighbors at a distance of 0.3; the draw depends on the generator alone."""
    mechanism = Skellam(0, 1, bits)
    bound, closest = mechanism.rounded(0.3, entries), math.inf
    for seed in range(50):
        values = direction(entries) * (1 + seed % 7)
        move = torch.randn(entries, generator=generator(seed, "move"), dtype=torch.float64)
        other = values + 0.3 * move / move.norm()
        apart = (sent(mechanism, update(values), seed) - sent(mechanism, update(other), seed)).norm().item()
        assert apart <= bound * (1 + 1e-12)
        closest = min(closest, bound / max(apart, 1e-300))
    assert bits < 8 or closest < 2, "on a grid finer than the move, the bound is of its size"


@pytest.mark.parametrize("clients", [1, 3, 10])
def test_the_clients_noises_add_up_to_the_central_one(clients) -> None:
    """The sum has the Skellam law of the central variance: moments, and the whole distribution."""
    entries, bits, z = 20_000, 4, 0.05
    zero = torch.zeros(entries, dtype=torch.float64)
    mechanism = Skellam(z, clients, bits)
    total = torch.stack([sent(mechanism, update(zero), s) for s in range(clients)]).sum(0) * 2**bits
    deviation = z * mechanism.rounded(1.0, entries) * 2**bits
    assert total.mean().abs() < 4 * deviation / math.sqrt(entries)
    assert total.std().item() == pytest.approx(deviation, rel=4 / math.sqrt(2 * entries))
    jitter = torch.rand(entries, generator=generator(0, "jitter"), dtype=torch.float64)
    # Uniform within each step: a continuous law, whose distribution function is linear between whole numbers.
    rate = deviation**2 / 2

    def law(x):
        below = np.floor(x)
        return skellam.cdf(below - 1, rate, rate) + (x - below) * skellam.pmf(below, rate, rate)

    assert kstest((total + jitter).numpy(), law).pvalue > 1e-3


def test_large_noise_is_drawn_as_well_as_small() -> None:
    """Near the largest rate that is allowed the law is all but normal."""
    mechanism, entries = Skellam(1.0, 1, 18), 50_000
    noise = sent(mechanism, update(torch.zeros(entries, dtype=torch.float64)))
    assert kstest((noise / mechanism.rounded(1.0, entries)).numpy(), "norm").pvalue > 1e-3
    assert len(noise.unique()) > 0.85 * entries, "not on a coarser grid than it says"


def test_more_clients_share_the_same_noise() -> None:
    zero = update(torch.zeros(20_000, dtype=torch.float64))
    one, hundred = (sent(Skellam(1, clients, 10), zero).var().item() for clients in (1, 100))
    assert one / hundred == pytest.approx(100, rel=0.06)


def test_secure_aggregation_gives_the_mean_of_the_noisy_grid_numbers_exactly() -> None:
    mechanism = Skellam(0.01, 5, 12)
    noisy = tuple(mechanism(update(direction(200), client=c), generator=generator(c, "m")) for c in range(5))
    view = SecAgg(fraction_bits=12)(noisy, generator=generator(0, "g"))
    total = torch.stack([u.tensors["w"] for u in noisy]).sum(0)
    assert torch.equal(view.updates[0].tensors["w"], total / 5)


def test_behind_clipping_it_takes_any_update() -> None:
    chain = Chain((ClipNorm(0.5), Skellam(0, 1, 10)))
    clipped = chain(update(direction(100, 7.0), None), generator=generator(0, "m"))
    assert clipped.tensors["w"].norm() <= Skellam(0, 1, 10).rounded(0.5, 100)
    assert clipped.sensitivity is None and clipped.mechanism == chain


def test_an_impossible_delta_is_refused() -> None:
    for delta in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="delta must be above 0 and below 1, got"):
            Skellam().epsilon(1.0, 10, delta)


def test_what_nobody_clipped_is_refused() -> None:
    with pytest.raises(ValueError, match="clip first"):
        sent(Skellam(), update(direction(10), None))
    watched = replace(update(direction(10)), statistics={"layer": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="share without reveal_statistics"):
        sent(Skellam(), watched)
    with pytest.raises(ValueError, match="lower fraction_bits, or use float64"):
        sent(Skellam(1e-7, 1, 40), update(direction(100, dtype=torch.float32)))
    with pytest.raises(ValueError, match=r"than can be drawn accurately, 3.71e\+05: lower"):
        sent(Skellam(1.0, 1, 30), update(direction(100)))
    clipped = update(direction(100, dtype=torch.float32))
    assert sent(Skellam(1, 1, 16), clipped).dtype == torch.float32


# What the noise buys


def probabilities(variance: float) -> tuple[np.ndarray, np.ndarray]:
    """The law of Skellam noise over whole numbers, exact: e^(-v) I_k(v)."""
    reach = int(14 * math.sqrt(variance)) + 60
    k = np.arange(-reach, reach + 1)
    return k, ive(np.abs(k), variance)


def exact_renyi(order: int, move: int, variance: float) -> float:
    k, _ = probabilities(variance)
    p, q = np.log(ive(np.abs(k), variance)), np.log(ive(np.abs(k - move), variance))
    keep = np.isfinite(p) & np.isfinite(q)
    terms = (order * q - (order - 1) * p)[keep]
    return float(np.logaddexp.reduce(terms)) / (order - 1)


@pytest.mark.parametrize("variance", [4.0, 30.0, 400.0])
@pytest.mark.parametrize("move", [1, 3])
def test_the_published_renyi_bound_lies_above_the_exact_divergence(variance, move) -> None:
    for order in (2, 3, 5, 8):
        exact, bound = exact_renyi(order, move, variance), skellam_rdp(order, move, move, variance)
        gaussian = order * move**2 / (2 * variance)
        assert exact <= bound * (1 + 1e-9)
        assert bound <= gaussian + 3 * move / (2 * variance) + 1e-12
        if variance > 100:
            assert exact == pytest.approx(gaussian, rel=0.02) and bound == pytest.approx(exact, rel=0.03)


def exact_delta(epsilon: float, move: int, variance: float) -> float:
    k, p = probabilities(variance)
    return float(np.maximum(p - math.exp(epsilon) * ive(np.abs(k - move), variance), 0).sum())


@pytest.mark.parametrize("multiplier", [0.7, 1.0, 3.0])
def test_epsilon_holds_exactly_in_one_dimension_and_is_near_dp_accounting_s_gaussian(multiplier) -> None:
    """One entry, no rounding to do: a move of 2^bits whole steps."""
    bits, delta = 5, 1e-5
    mechanism = Skellam(multiplier, 1, bits)
    epsilon = mechanism.epsilon(1.0, 1, delta)
    move = math.floor(mechanism.rounded(1.0, 1) * 2**bits)
    variance = (multiplier * mechanism.rounded(1.0, 1) * 2**bits) ** 2
    assert exact_delta(epsilon, move, variance) <= delta
    # The privacy loss of the discrete Gaussian of this variance, which is all but the same noise.
    pld = privacy_loss_distribution.from_discrete_gaussian_mechanism(math.sqrt(variance), move)
    exact = pld.get_epsilon_for_delta(delta)
    assert exact_delta(exact, move, variance) == pytest.approx(delta, rel=0.2)
    assert exact <= epsilon <= 1.2 * exact + 0.05


def test_who_stays_away_takes_noise_along_and_the_length_of_the_sum_tells() -> None:
    """Zero out, not add or remove one: the noise's size gives away whether a client with zeros was there."""
    clients, entries, mechanism = 10, 15_826, Skellam(1.0, 10, 10)
    zeros, draw = torch.zeros(entries, dtype=torch.float64), generator(0, "m")
    share = (mechanism.rounded(1.0, entries) ** 2) / clients * entries  # of the expected squared length
    for present in (10, 9, 10, 9, 10, 9):
        one = update(zeros)
        total = sum(mechanism(one, generator=draw).tensors["w"] for _ in range(present))
        assert (total.square().sum() > (clients - 0.5) * share) == (present == 10)
    promised = mechanism.epsilon(1.0, entries, 1e-5)
    assert promised == pytest.approx(4.7527, abs=1e-4)
    assert presence_epsilon(clients, entries, delta=1e-5) > 18 * promised


def test_a_finer_grid_costs_no_privacy_and_a_coarse_one_much() -> None:
    """At fixed noise in sensitivities; what a coarse grid costs is a longer vector, and so more noise."""
    fine, finer = (Skellam(1.0, 8, bits).epsilon(1.0, 15_826, 1e-5) for bits in (16, 20))
    assert fine == pytest.approx(finer, rel=1e-3)
    assert Skellam(1.0, 8, 4).rounded(1.0, 15_826) > 3 * Skellam(1.0, 8, 16).rounded(1.0, 15_826)
    assert Skellam(0, 8, 16).epsilon(1.0, 10, 1e-5) == math.inf
    assert Skellam(2.0).epsilon(1.0, 10, 1e-5) < Skellam(1.0).epsilon(1.0, 10, 1e-5)


def test_the_call_leaves_labels_and_names_alone() -> None:
    one = replace(update(direction(10)), labels=torch.tensor([3]), client=7)
    noisy = Skellam()(one, generator=generator(0, "m"))
    assert noisy.labels is one.labels and noisy.client == 7
