"""What noise buys: (ε, δ) from the noise multiplier, back again, and what it means for reconstruction.

What is promised, in every number here: for each set of outputs, its probability with one unit's data and
without differs by at most a factor e^ε, and by δ beyond. The unit is an example or a client, whichever the
clipping bounds. Against whoever sees all releases and knows all other data, with any computing power, under
the assumption that the noise is Gaussian and unknown to them. "Without" is the adjacency:

* "zero out": the unit contributes zeros. The divisor and the noise stay what they were, so Δ, by how much
  neighbors differ, is the norm of one contribution.
* "replace one": it contributes something else. Δ is twice that norm.

"Add or remove one" also hides whether the unit was there. It has the numbers of "zero out" where the divisor
and the noise are the same whoever comes, as with a trusted server that adds the noise. Where the clients add
it, who leaves takes a share of the noise along: see ``presence_epsilon``.

With Δ = 1 and noise N(0, z² I) a release is exactly (ε, δ)-DP when, with μ = Δ/z,

    δ ≥ Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)

Everyone in each of T rounds is one release with z/√T. Where units are sampled, privacy loss distributions
compose the rounds. Without sampling, a client with k clipped examples is a unit of k times an example's Δ, so
its ε is that of z/k.

Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration and
Optimal Denoising", ICML 2018, Theorem 8, and privacy loss distributions, both as in Google's dp-accounting;
Dwork and Roth, "The Algorithmic Foundations of Differential Privacy", 2014, Appendix A, for the classic
formula; Bu, Dong, Long, Su, "Deep Learning with Gaussian Differential Privacy", Harvard Data Science Review
2020, for the central limit approximation; Kaissis et al., arXiv 2307.03928, for the reconstruction bound;
Kairouz et al., "Practical and Private (Deep) Learning without Sampling or Shuffling", ICML 2021, Definition
1.1, for zeros as the neighbor.
Chapter: 10.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from scipy.optimize import root_scalar
from scipy.stats import chi2, norm

from leaklib.fields import Checked, Count, FinitePositive, Inner, Number, Range, Several, check

try:
    import dp_accounting as dp
    from dp_accounting import rdp as rdp
    from dp_accounting.pld import PLDAccountant
except ModuleNotFoundError as error:
    # It is an extra: its own requirement, attrs < 24, would downgrade what is there, in Colab for example.
    raise ModuleNotFoundError(
        f"leaklib.accounting needs dp-accounting, and {error.name} is missing. To add it and change nothing: "
        "pip install --no-deps dp-accounting dm-tree absl-py attrs mpmath wrapt",
        name=error.name,
    ) from error

Adjacency = Literal["zero out", "replace one"]
RATE = "above 0 and at most 1, a unit's chance to take part in each round"


@dataclass(frozen=True)
class _Releases(Checked):
    """``rounds`` of them, in each of which a unit takes part with probability ``sampling_rate``."""

    delta: Inner
    rounds: Count = 1
    sampling_rate: Annotated[Number, Range(RATE, lambda rate: 0 < rate <= 1)] = 1.0
    adjacency: Adjacency = "zero out"

    @property
    def distance(self) -> float:
        """How far apart neighbors are over all rounds, in units of what one contribution is clipped to."""
        return (2 if self.adjacency == "replace one" else 1) * math.sqrt(self.rounds)

    def accountant(self) -> PLDAccountant:
        relation = dp.NeighboringRelation
        return PLDAccountant(
            relation.REPLACE_ONE if self.adjacency == "replace one" else relation.REPLACE_SPECIAL
        )

    def event(self, noise_multiplier: float | int) -> dp.DpEvent:
        release = dp.PoissonSampledDpEvent(self.sampling_rate, dp.GaussianDpEvent(noise_multiplier))
        return dp.SelfComposedDpEvent(release, self.rounds)

    def epsilon(self, noise_multiplier: float | int) -> float:
        """Exact if everyone takes part in every round, else by privacy loss distributions."""
        if self.sampling_rate == 1:
            return dp.get_epsilon_gaussian(noise_multiplier / self.distance, self.delta)
        return float(self.accountant().compose(self.event(noise_multiplier)).get_epsilon(self.delta))


def epsilon(
    noise_multiplier: float | int,
    *,
    delta: float,
    rounds: int = 1,
    sampling_rate: float | int = 1.0,
    adjacency: Adjacency = "zero out",
) -> float:
    """The smallest ε at ``delta`` of ``rounds`` releases, for the unit that the clipping bounds.

    Each unit takes part in each round by itself with probability ``sampling_rate`` (Poisson sampling), and
    nobody sees who did. Exact at 1, where everyone takes part; below, an upper bound by privacy loss
    distributions, which takes seconds. Not for sampling a fixed number, nor for examples that come and go
    together with others, as those of one client do.
    """
    check("noise_multiplier", noise_multiplier, FinitePositive)
    return _Releases(delta, rounds, sampling_rate, adjacency).epsilon(noise_multiplier)


def noise_multiplier_for(
    epsilon: float | int,
    *,
    delta: float,
    rounds: int = 1,
    sampling_rate: float | int = 1.0,
    adjacency: Adjacency = "zero out",
) -> float:
    """The smallest noise multiplier that keeps ``rounds`` releases within (``epsilon``, ``delta``).

    Unit, sampling and adjacency as for ``epsilon``, whose inverse it is. Exact where everyone takes part;
    below, to within 1e-4 on the safe side, which can take a minute.
    """
    check("epsilon", epsilon, FinitePositive)
    releases = _Releases(delta, rounds, sampling_rate, adjacency)
    enough = dp.get_sigma_gaussian(epsilon, delta) * releases.distance
    if sampling_rate == 1:
        return enough
    if delta >= rounds * sampling_rate:
        rare = f"got {delta}: units are there so rarely that no noise would do"
        raise ValueError(
            f"delta must be below rounds times sampling_rate, {rounds * sampling_rate:g}, {rare}"
        )

    # Far too little noise takes the accountant minutes, so the bracket is narrowed from above.
    while releases.epsilon(enough / 2) <= epsilon:
        enough /= 2
    bracket = dp.ExplicitBracketInterval(enough / 2, enough)
    accountant, event = releases.accountant, releases.event
    return float(dp.calibrate_dp_mechanism(accountant, event, epsilon, delta, bracket, tol=1e-4))


def classic_noise_multiplier(epsilon: float | int, *, delta: float) -> float:
    """The textbook's √(2 ln(1.25/δ))/ε for one release.

    Proved for ε < 1 only; at δ = 1e-5 it is too small from ε = 8.5 on. Unit: whatever the clipping bounds.
    Adjacency: zero out. Sampling: none, everyone takes part.
    """
    check("epsilon", epsilon, FinitePositive)
    _Releases(delta)
    return math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def gdp_epsilon(
    noise_multiplier: float | int, *, delta: float, rounds: int = 1, sampling_rate: float | int = 1.0
) -> float:
    """ε by the central limit approximation μ = q √(T (e^{1/z²} − 1)). Not a guarantee: it can be too small.

    Unit: whatever the clipping bounds. Adjacency: zero out. Sampling: Poisson.
    """
    check("noise_multiplier", noise_multiplier, FinitePositive)
    _Releases(delta, rounds, sampling_rate)
    mu = sampling_rate * math.sqrt(rounds * math.expm1(noise_multiplier**-2))
    return dp.get_epsilon_gaussian(1 / mu, delta)


def reconstruction_bound(prior: float, noise_multiplier: float | int, *, rounds: int = 1) -> float:
    """The largest probability with which any attack reconstructs a unit: Φ(Φ⁻¹(prior) + √rounds / z).

    ``prior`` is the chance of the best guess made without the release, for targets drawn as the attacker
    believes they are. Unit: whatever the clipping bounds; it takes part in every round, and the attacker
    knows all others and sees every release. Adjacency: zero out, since the bound compares with releases in
    which the unit contributes zeros.
    """
    check("prior", prior, Inner)
    check("noise_multiplier", noise_multiplier, FinitePositive)
    check("rounds", rounds, Count)
    return float(norm.cdf(norm.ppf(prior) + math.sqrt(rounds) / noise_multiplier))


def presence_epsilon(clients: int, entries: int, *, delta: float) -> float:
    """The ε at ``delta`` of *was this client there?*, if each of ``clients`` adds a share of the noise.

    Against whoever sees one sum of ``entries`` numbers with Gaussian noise. The client's update is zero, so
    that its noise alone gives it away: n shares became n − 1. How likely each is depends on the sum's squared
    length only, a variance times χ²; long sums tell more than short ones. Exact up to 600, where numbers end:
    what is larger is returned as 600. The noise multiplier does not occur, since more noise hides nothing
    here. Under "add or remove one" the ε of the whole release is at least this.
    """
    check("clients", clients, Several)
    check("entries", entries, Count)
    check("delta", delta, Inner)

    def missing(epsilon: float) -> float:
        """By how much δ is exceeded, by the sums that are e^ε times as likely if the client was there."""
        evidence = epsilon + entries / 2 * math.log(clients / (clients - 1))
        long = 2 * clients * (clients - 1) * evidence  # squared length, in units of one share's variance
        absent = math.exp(epsilon + chi2.logsf(long / (clients - 1), entries))
        return float(chi2.sf(long / clients, entries)) - absent - delta

    if missing(0.0) <= 0:
        return 0.0
    return 600.0 if missing(600.0) > 0 else root_scalar(missing, bracket=(0.0, 600.0)).root
