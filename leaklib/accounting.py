"""What noise buys: (ε, δ) from the noise multiplier, back again, and what it means for reconstruction.

Every number here is for one unit (an example or a client, whichever the clipping bounds), an adjacency (which
data sets count as neighbours) and a way of sampling. With Δ = 1 and noise N(0, z² I) a release is exactly
(ε, δ)-DP when, with μ = Δ/z,

    δ ≥ Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)

Everyone in each of T rounds is one release with z/√T. Where units are sampled, privacy loss distributions
compose the rounds. Adjacency "add or remove one": Δ is the norm of one contribution. "replace one": it is
twice that.

Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration and
Optimal Denoising", ICML 2018, Theorem 8, and privacy loss distributions, both as in Google's dp-accounting;
Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014, Appendix A, for the classic
formula; Bu, Dong, Long, Su, "Deep Learning with Gaussian Differential Privacy", Harvard Data Science Review
2020, for the central limit approximation; Kaissis et al., arXiv 2307.03928, for the reconstruction bound.
Chapter: 9.
"""

import math
from typing import Literal, get_args

from dp_accounting import (
    DpEvent,
    ExplicitBracketInterval,
    GaussianDpEvent,
    NeighboringRelation,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
    calibrate_dp_mechanism,
    get_epsilon_gaussian,
    get_sigma_gaussian,
)
from dp_accounting.pld import PLDAccountant
from scipy.stats import norm

Adjacency = Literal["add or remove one", "replace one"]


def epsilon(
    noise_multiplier: float | int,
    *,
    delta: float,
    rounds: int = 1,
    sampling_rate: float | int = 1.0,
    adjacency: Adjacency = "add or remove one",
) -> float:
    """The smallest ε at ``delta`` of ``rounds`` releases, for the unit that the clipping bounds.

    Each unit takes part in each round by itself with probability ``sampling_rate`` (Poisson sampling), and
    nobody sees who did. Exact at 1, where everyone takes part; below, an upper bound by privacy loss
    distributions, which takes seconds. Not for sampling a fixed number, nor for examples that come and go
    together with others, as those of one client do.
    """
    _positive("noise_multiplier", noise_multiplier)
    _check(delta, rounds, sampling_rate)
    if sampling_rate == 1:
        return get_epsilon_gaussian(noise_multiplier / (_distance(adjacency) * math.sqrt(rounds)), delta)
    return _sampled(noise_multiplier, delta, rounds, sampling_rate, adjacency)


def noise_multiplier_for(
    epsilon: float | int,
    *,
    delta: float,
    rounds: int = 1,
    sampling_rate: float | int = 1.0,
    adjacency: Adjacency = "add or remove one",
) -> float:
    """The smallest noise multiplier that keeps ``rounds`` releases within (``epsilon``, ``delta``).

    Unit, sampling and adjacency as for ``epsilon``, whose inverse it is. Exact where everyone takes part;
    below, to within 1e-4 on the safe side, which can take a minute.
    """
    _positive("epsilon", epsilon)
    _check(delta, rounds, sampling_rate)
    enough = get_sigma_gaussian(epsilon, delta) * _distance(adjacency) * math.sqrt(rounds)
    if sampling_rate == 1:
        return enough
    if delta >= rounds * sampling_rate:
        raise ValueError(
            f"delta must be below rounds times sampling_rate, {rounds * sampling_rate:g}, got {delta}: units "
            f"are there so rarely that no noise would do"
        )

    # Far too little noise takes the accountant minutes, so the bracket is narrowed from above.
    while _sampled(enough / 2, delta, rounds, sampling_rate, adjacency) <= epsilon:
        enough /= 2
    found = calibrate_dp_mechanism(
        lambda: PLDAccountant(_relation(adjacency)),
        lambda multiplier: _event(multiplier, rounds, sampling_rate),
        epsilon,
        delta,
        ExplicitBracketInterval(enough / 2, enough),
        tol=1e-4,
    )
    return float(found)


def classic_noise_multiplier(epsilon: float | int, *, delta: float) -> float:
    """The textbook's √(2 ln(1.25/δ))/ε for one release.

    Proved for ε < 1 only; at δ = 1e-5 it is too small from ε = 8.5 on. Unit: whatever the clipping bounds.
    Adjacency: add or remove one. Sampling: none, everyone takes part.
    """
    _positive("epsilon", epsilon)
    _check(delta, 1, 1.0)
    return math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def gdp_epsilon(
    noise_multiplier: float | int, *, delta: float, rounds: int = 1, sampling_rate: float | int = 1.0
) -> float:
    """ε by the central limit approximation μ = q √(T (e^{1/z²} − 1)). Not a guarantee: it can be too small.

    Unit: whatever the clipping bounds. Adjacency: add or remove one. Sampling: Poisson.
    """
    _positive("noise_multiplier", noise_multiplier)
    _check(delta, rounds, sampling_rate)
    mu = sampling_rate * math.sqrt(rounds * math.expm1(noise_multiplier**-2))
    return get_epsilon_gaussian(1 / mu, delta)


def reconstruction_bound(prior: float, noise_multiplier: float | int, *, rounds: int = 1) -> float:
    """The largest probability with which any attack reconstructs a unit: Φ(Φ⁻¹(prior) + √rounds / z).

    ``prior`` is the chance of the best guess made without the release, for targets drawn as the attacker
    believes they are. Unit: whatever the clipping bounds; it takes part in every round, and the attacker
    knows all others and sees every release. Adjacency: add or remove one, since the bound compares with
    releases without the unit.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must be above 0 and below 1, got {prior}")
    _positive("noise_multiplier", noise_multiplier)
    _at_least_one(rounds)
    return float(norm.cdf(norm.ppf(prior) + math.sqrt(rounds) / noise_multiplier))


def _event(noise_multiplier: float | int, rounds: int, sampling_rate: float | int) -> DpEvent:
    release = GaussianDpEvent(noise_multiplier)
    return SelfComposedDpEvent(PoissonSampledDpEvent(sampling_rate, release), rounds)


def _sampled(
    noise_multiplier: float | int, delta: float, rounds: int, sampling_rate: float | int, adjacency: Adjacency
) -> float:
    accountant = PLDAccountant(_relation(adjacency))
    return float(accountant.compose(_event(noise_multiplier, rounds, sampling_rate)).get_epsilon(delta))


def _distance(adjacency: Adjacency) -> int:
    """How far neighbours lie apart, in units of the norm that one contribution is clipped to."""
    return 2 if _relation(adjacency) == NeighboringRelation.REPLACE_ONE else 1


def _relation(adjacency: Adjacency) -> NeighboringRelation:
    if adjacency not in get_args(Adjacency):
        raise ValueError(f"adjacency must be 'add or remove one' or 'replace one', got {adjacency!r}")
    one = NeighboringRelation
    return one.REPLACE_ONE if adjacency == "replace one" else one.ADD_OR_REMOVE_ONE


def _check(delta: float, rounds: int, sampling_rate: float | int) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta must be above 0 and below 1, got {delta}")
    _at_least_one(rounds)
    if not 0 < sampling_rate <= 1:
        raise ValueError(
            f"sampling_rate must be above 0 and at most 1, a unit's chance to take part in each round, "
            f"got {sampling_rate}"
        )


def _at_least_one(rounds: int) -> None:
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")


def _positive(name: str, value: float | int) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be above 0 and finite, got {value}")
