"""Integer noise for secure aggregation: each client adds a share, and only the sum has all of it.

A ring holds integers, so an update is rounded to the grid of step γ = 2^−fraction_bits, and noise moves it by
whole steps. With S the sensitivity of the rounded update and z the noise multiplier,

    sent = γ · (⌊x / γ + u⌋ + N),   u uniform in [0, 1),   N ~ Skellam of variance (z S / γ)² / n

for each entry at each of n clients. A Skellam number is the difference of two Poisson numbers. Sums of
Skellam numbers are Skellam again, so the sum over all clients has exactly the central noise, of standard
deviation z·S. The mean has an n-th of that. What the noise hides is what a unit contributed, not whether a
client was there: who stays away takes a share of the noise along, and the sum's length tells.

Rounding is right on average, but moves neighbors apart: with the same u, two updates at a distance of at most
Δ become grid vectors at a distance of at most

    S = Δ + γ √d,

since |⌊a + u⌋ − ⌊b + u⌋| ≤ |a − b| + 1. That bounds the Rényi divergence for every u, and so for a random
one, which is a mixture (quasi-convexity). It holds for a client as the unit, and for an example.

Source: Kairouz, Liu, Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning with Secure
Aggregation", ICML 2021, for the protocol; Agarwal, Kairouz, Liu, "The Skellam Mechanism for Differentially
Private Federated Learning", NeurIPS 2021, for the noise and its Rényi bound. Differs: both repeat the
rounding until the norm is small, which is tighter on coarse grids, makes it biased, and bounds the norm of
one client only; no random rotation; the ring is left to the aggregation.
Chapters: 12, 15.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from leaklib.fields import Count, FiniteNonNegative, Inner, check, within
from leaklib.mechanisms.parts.base import MechanismBase, draws, noise_scale, send
from leaklib.named import flatten, unflatten
from leaklib.types import Update

LARGEST_RATE = 2.0**36  # above it rounding errors of float64 show in how Poisson numbers are drawn
ORDERS = (*range(2, 64), *range(64, 256, 8), *range(256, 1025, 32))


@dataclass(frozen=True)
class Skellam(MechanismBase):
    """Round a clipped update to multiples of 2^-``fraction_bits``, at random, and add a share of the noise.

    The noise of ``clients`` of them together has a standard deviation of ``noise_multiplier`` sensitivities:
    each adds a variance of an n-th. Who drops out takes its share along, and who colludes knows its own: so
    count as ``clients`` only those honest ones that are certain to stay. Zero rounds and adds nothing. Its
    bits count as before: whoever packs grid numbers into words of a ring counts those.

    The call raises ValueError for an update that nobody clipped, that has NaN or infinite entries, that
    carries BatchNorm statistics, or whose float type cannot hold the grid; and for noise of a standard
    deviation of more than 3.7·10⁵ steps.
    """

    noise_multiplier: FiniteNonNegative = 1.0
    clients: Count = 8
    fraction_bits: Annotated[int, within(0, 40)] = 16

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        sensitivity = noise_scale(update, self)
        generator = draws(update, generator)
        steps = flatten(update.tensors).detach().cpu().double()
        draw = torch.rand(len(steps), generator=generator, dtype=steps.dtype)
        rounded = (steps * 2.0**self.fraction_bits + draw).floor()
        largest = self.rounded(sensitivity, len(steps)) * 2.0**self.fraction_bits
        variance = (self.noise_multiplier * largest) ** 2 / self.clients
        noisy = (rounded + _noise(len(steps), variance, generator)) / 2.0**self.fraction_bits
        sent = unflatten(noisy, update.tensors)
        if not torch.equal(flatten(sent).cpu().double(), noisy):
            remedy = "lower fraction_bits, or use float64"
            raise ValueError(f"some numbers need more digits than their float type has: {remedy}")
        return send(update, sent, self)

    def rounded(self, sensitivity: int | float, entries: int) -> float:
        """S: how far the rounded update of ``entries`` can move if the exact one moves by ``sensitivity``."""
        return sensitivity + 2.0**-self.fraction_bits * math.sqrt(entries)

    def epsilon(self, sensitivity: int | float, entries: int, delta: float) -> float:
        """ε at ``delta`` of one round, against whoever sees the sum and no more, and knows all other data.

        Unit: whatever the clipping bounds, an example or a client. Adjacency: zero out, the unit contributes
        zeros and its client's noise stays. Not add or remove one: see ``accounting.presence_epsilon``.
        Sampling: none, everyone takes part. Conditional on the published Rényi bound of Skellam noise, which
        the tests compare with exact values in one dimension; on ``clients`` honest ones adding their noise;
        and on a ring in which nothing wraps.
        """
        from leaklib.accounting import rdp  # here: who only adds noise needs no dp-accounting

        check("delta", delta, Inner)
        if self.noise_multiplier == 0:
            return math.inf
        l2 = self.rounded(sensitivity, entries) * 2.0**self.fraction_bits
        l1 = l2 * math.sqrt(entries)  # |v| ≤ v² for whole numbers bounds no better: l2 is the larger
        variance = (self.noise_multiplier * l2) ** 2
        curve = [skellam_rdp(order, l1, l2, variance) for order in ORDERS]
        return float(rdp.compute_epsilon(ORDERS, curve, delta)[0])


def skellam_rdp(order: int, l1: int | float, l2: int | float, variance: float) -> float:
    """Rényi divergence, at most, of whole ``order`` ≥ 2 if Skellam noise hides a move of norms l1, l2."""
    extra = ((2 * order - 1) * l2**2 + 6 * l1) / (4 * variance**2)
    return order * l2**2 / (2 * variance) + min(extra, 3 * l1 / (2 * variance))


def _noise(entries: int, variance: float, generator: torch.Generator) -> Float[Tensor, "entries"]:
    """Skellam numbers: differences of two Poisson numbers, each of half the variance."""
    if variance / 2 > LARGEST_RATE:
        most = f"more than can be drawn accurately, {math.sqrt(2 * LARGEST_RATE):.3g}: lower fraction_bits"
        raise ValueError(f"noise of a standard deviation of {math.sqrt(variance):.3g} steps is {most}")
    rate = torch.full((2, entries), variance / 2, dtype=torch.float64)
    positive, negative = torch.poisson(rate, generator=generator)
    return positive - negative
