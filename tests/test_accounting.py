"""Known answers, laws and refusals of the accountant."""

import math
import subprocess
import sys
from collections.abc import Callable

import pytest
from dp_accounting import NeighboringRelation
from scipy.integrate import quad
from scipy.stats import chi2, norm

from leaklib.accounting import (
    _Releases,
    classic_noise_multiplier,
    epsilon,
    gdp_epsilon,
    noise_multiplier_for,
    presence_epsilon,
    reconstruction_bound,
)


@pytest.mark.parametrize(
    ("target", "delta", "multiplier"),
    [
        (1, 1e-5, 3.7306316348),
        (0.1, 1e-5, 30.7495661320),
        (8, 1e-5, 0.6002290722),
        (0.5, 1e-6, 8.0576184807),
    ],
)
def test_the_analytic_gaussian_against_50_digit_arithmetic(
    target: float, delta: float, multiplier: float
) -> None:
    assert noise_multiplier_for(target, delta=delta) == pytest.approx(multiplier, abs=1e-9)
    assert epsilon(multiplier, delta=delta) == pytest.approx(target, abs=1e-6)


@pytest.mark.parametrize(
    ("rate", "multiplier", "rounds", "delta", "tight", "limit"),
    [
        (0.01, 1.0, 1000, 1e-5, 1.8282, 1.6177),
        (0.02, 0.8, 2000, 1e-5, 9.1427, 8.4135),
        (0.1, 2.0, 200, 1e-6, 3.8059, 3.5519),
    ],
)
def test_subsampling_and_the_approximation_that_promises_too_much(
    rate: float, multiplier: float, rounds: int, delta: float, tight: float, limit: float
) -> None:
    given = {"delta": delta, "rounds": rounds, "sampling_rate": rate}
    assert epsilon(multiplier, **given) == pytest.approx(tight, abs=5e-5)
    assert gdp_epsilon(multiplier, **given) == pytest.approx(limit, abs=5e-5)


def test_noise_and_epsilon_are_inverse_and_monotone() -> None:
    for adjacency in ("zero out", "replace one"):
        for target in (0.1, 1, 5.0, 20):
            given = {"delta": 1e-5, "rounds": 7, "adjacency": adjacency}
            assert epsilon(noise_multiplier_for(target, **given), **given) == pytest.approx(target, rel=1e-6)
    loss = [epsilon(z, delta=1e-5) for z in (0.3, 1.0, 3.0, 10.0)]
    assert loss == sorted(loss, reverse=True)
    assert epsilon(2.0, delta=1e-5, rounds=4) == pytest.approx(epsilon(1.0, delta=1e-5))
    assert epsilon(2.0, delta=1e-5, adjacency="replace one") == pytest.approx(epsilon(1.0, delta=1e-5))
    rates = [epsilon(1.0, delta=1e-5, rounds=3, sampling_rate=q) for q in (0.01, 0.1, 0.5)]
    assert rates == sorted(rates) and rates[-1] < epsilon(1.0, delta=1e-5, rounds=3)
    small = {"delta": 1e-5, "rounds": 3, "sampling_rate": 0.1}
    assert epsilon(1.0, **small) < epsilon(1.0, adjacency="replace one", **small)


def test_the_classic_formula_wastes_noise_and_then_has_too_little() -> None:
    assert classic_noise_multiplier(1, delta=1e-5) == pytest.approx(4.845, abs=1e-3)
    for target in (0.1, 0.5, 0.99, 5, 8):
        assert classic_noise_multiplier(target, delta=1e-5) > noise_multiplier_for(target, delta=1e-5)
    assert epsilon(classic_noise_multiplier(8.5, delta=1e-5), delta=1e-5) > 8.5


def test_the_reconstruction_bound() -> None:
    for mu, bound in ((0.5, 0.005), (1, 0.018), (2, 0.14), (4, 0.82)):
        assert reconstruction_bound(1e-3, 1 / mu) == pytest.approx(bound, rel=0.05)
    assert reconstruction_bound(1e-3, 1e9) == pytest.approx(1e-3, rel=1e-4)
    assert reconstruction_bound(0.5, 3.0, rounds=9) == pytest.approx(norm.cdf(1))


def test_the_accountant_compares_with_zeros_unless_the_unit_is_replaced() -> None:
    assert _Releases(1e-5).accountant().neighboring_relation is NeighboringRelation.REPLACE_SPECIAL
    replaced = _Releases(1e-5, adjacency="replace one").accountant()
    assert replaced.neighboring_relation is NeighboringRelation.REPLACE_ONE


def test_a_client_of_many_examples_has_as_many_times_their_distance() -> None:
    """ε of 2 for an example over 100 rounds is 1,210 for the client with its 90 examples, all at once."""
    given = {"delta": 1e-5, "rounds": 100}
    assert epsilon(19.94, **given) == pytest.approx(2, abs=3e-4)
    found = epsilon(19.94 / 90, **given)
    mu = 90 * math.sqrt(100) / 19.94  # the distance of two Gaussians, in units of the noise of all rounds
    tail = math.exp(found + norm.logcdf(-mu / 2 - found / mu))
    assert found == pytest.approx(1210.1, abs=0.05)
    assert norm.cdf(mu / 2 - found / mu) - tail == pytest.approx(1e-5, rel=1e-3)


def exceeded(epsilon: float, clients: int) -> float:
    """∫ (p − e^ε q)⁺ for one entry of noise of n and of n − 1 shares, in the worse order, by quadrature."""
    wide, narrow = (norm(scale=math.sqrt(n)).pdf for n in (clients, clients - 1))
    return max(
        2
        * quad(lambda x, p=p, q=q: max(p(x) - math.exp(epsilon) * q(x), 0), 0, 40, limit=500, epsabs=1e-9)[0]
        for p, q in ((wide, narrow), (narrow, wide))
    )


@pytest.mark.parametrize(("clients", "delta"), [(2, 1e-5), (2, 0.1), (3, 1e-3), (10, 1e-5)])
def test_how_much_the_missing_noise_of_one_entry_tells(clients: int, delta: float) -> None:
    found = presence_epsilon(clients, 1, delta=delta)
    assert found > 0 and exceeded(found, clients) == pytest.approx(delta, rel=2e-3)


@pytest.mark.parametrize("clients", [10, 100, 1000])
@pytest.mark.parametrize("entries", [2, 100, 15_826])
def test_short_sums_tell_less_of_missing_noise_than_long_ones(clients: int, entries: int) -> None:
    """The other order of the two laws needs no larger ε: δ of the sums that say it was not there."""
    for delta in (1e-8, 1e-5, 0.01):
        found = presence_epsilon(clients, entries, delta=delta)
        evidence = entries / 2 * math.log(clients / (clients - 1)) - found
        short = 2 * clients * (clients - 1) * evidence
        told = chi2.cdf(short / (clients - 1), entries)
        assert told - math.exp(found + chi2.logcdf(short / clients, entries)) <= delta * (1 + 1e-6)


def test_missing_noise_tells_who_was_there_whatever_the_noise_is() -> None:
    """Ten clients and LeNet's entries: the multiplier 1 has an ε of 4.38 if the noise stays."""
    assert presence_epsilon(10, 15_826, delta=1e-5) == pytest.approx(87.462, abs=1e-3)
    assert presence_epsilon(10, 15_826, delta=1e-5) > 19 * epsilon(1.0, delta=1e-5)
    # Chapter 12 says 1.46 of its 240 clients.
    assert presence_epsilon(240, 15_826, delta=1e-5) == pytest.approx(1.46, abs=5e-3)
    # Only far more clients than the root of the number of entries hide one of them.
    found = [presence_epsilon(n, 15_826, delta=1e-5) for n in (3, 5, 30, 300, 3000)]
    assert found[0] == 600 and found == sorted(found, reverse=True)
    assert 1 < found[3] < 1.2 and found[4] < 0.1
    assert presence_epsilon(1000, 1, delta=0.01) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: presence_epsilon(1, 5, delta=0.1), "clients must be at least 2, got 1"),
        (lambda: presence_epsilon(2, 0, delta=0.1), "entries must be at least 1, got 0"),
        (lambda: presence_epsilon(2, 5, delta=1.0), "delta must be above 0 and below 1, got 1.0"),
        (lambda: epsilon(0, delta=1e-5), "noise_multiplier must be above 0 and finite, got 0"),
        (lambda: epsilon(1, delta=0.0), "delta must be above 0 and below 1, got 0.0"),
        (lambda: epsilon(1, delta=1e-5, rounds=0), "rounds must be at least 1, got 0"),
        (
            lambda: epsilon(1, delta=1e-5, sampling_rate=1.5),
            "sampling_rate must be above 0 and at most 1.*1.5",
        ),
        (
            lambda: noise_multiplier_for(1, delta=1e-2, rounds=2, sampling_rate=1e-3),
            "delta must be below rounds times sampling_rate, 0.002, got 0.01",
        ),
        (lambda: noise_multiplier_for(-1, delta=1e-5), "epsilon must be above 0 and finite, got -1"),
        (lambda: classic_noise_multiplier(float("nan"), delta=1e-5), "epsilon must be above 0 and finite"),
        (lambda: gdp_epsilon(1, delta=2.0), "delta must be above 0 and below 1, got 2.0"),
        (lambda: reconstruction_bound(0.0, 1), "prior must be above 0 and below 1, got 0.0"),
        (lambda: reconstruction_bound(0.1, 0.0), "noise_multiplier must be above 0 and finite, got 0.0"),
    ],
)
def test_what_has_no_answer_is_refused(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_without_dp_accounting_only_the_accountant_is_missing() -> None:
    script = """
import sys
sys.modules["dp_accounting"] = None
from leaklib import DLG, Skellam
ask = Skellam(noise_multiplier=1.0, clients=2, fraction_bits=8)
for missing in ("from leaklib import epsilon", "ask.epsilon(1.0, 10, 1e-5)"):
    try:
        exec(missing)
    except ModuleNotFoundError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    sentence = (
        "leaklib.accounting needs dp-accounting, and dp_accounting is missing. To add it and change nothing: "
        "pip install --no-deps dp-accounting dm-tree absl-py attrs mpmath wrapt\n"
    )
    assert (done.stdout, done.stderr) == (2 * sentence, "")
