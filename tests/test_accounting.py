"""Known answers, laws and refusals of the accountant."""

from collections.abc import Callable

import pytest
from scipy.stats import norm

from leaklib.accounting import (
    classic_noise_multiplier,
    epsilon,
    gdp_epsilon,
    noise_multiplier_for,
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
    for adjacency in ("add or remove one", "replace one"):
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


@pytest.mark.parametrize(
    ("call", "message"),
    [
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
