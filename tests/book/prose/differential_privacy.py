"""Measured numbers in the sentences of the chapter on differential privacy, and where they come from."""

import math

from scipy.stats import norm

from leaklib.accounting import epsilon, reconstruction_bound

GIVEN = [
    "one of the two bell curves",
    "by more than 1 dB only where that lies below 20 dB",
    "the three of 240 candidate photographs",
    "one of 1,000 is the victim's",
    "no run was 1 dB above it where it is above 20 dB",
    "Yes, as long as PSNR stays below 20 dB",
    "90 times as far as one",
    "a move that is 90 times as short",
    "for adding noise 300 times",
]


def sentences(chapter):
    right = [chapter.report(f"guessed right at z = {z}") for z in ("0.25", "1", "4")]
    yield "right {:.0f} % of the time at $z = 1/4$, {:.0f} % at 1 and {:.0f} % at 4", right
    one, zero = norm.sf(1.5, 1), norm.sf(1.5, 0)
    yield "holds {:.2f} of curve 1 and {:.3f} of curve 0", one, zero
    yield r"since ${:.2f} = e \cdot {:.3f} + {:.2f}$", one, zero, one - math.e * zero
    far = 0.5 + 4**2
    yield "At $z = 4$ it is {:.0f} millionths", 1e6 * (norm.sf(far, 1, 4) - math.e * norm.sf(far, 0, 4))
    yield "its $\\varepsilon$ is {:,.0f}", chapter.report("epsilon at z = 0.01")
    yield "states an $\\varepsilon$ of {:.2f}", chapter.report("epsilon of Skellam, zero out")
    yield "is hidden by* $({:.2f}, 10^{{-5}})$", chapter.report("epsilon of Skellam, zero out")
    yield (
        "at $\\varepsilon = 1$ it adds {:.0f} % more",
        chapter.report("classic noise for epsilon 1, over by"),
    )
    yield "by {:.1f} to {:.1f} % in three", chapter.report("limit theorem below the upper bound by")
    yield "An $\\varepsilon$ of {:,.0f} promises", epsilon(19.94 / 90, delta=1e-5, rounds=100)
    yield "is about {:,.0f} for the client", epsilon(19.94 / 90, delta=1e-5, rounds=100)
    yield "the pixel prior by up to {:.0f} dB", chapter.report("the same at any noise, up to")
    low, high = chapter.report("every run with z of 0.01 or more")
    yield "every run lies between {:.0f} and {:.0f} dB", math.floor(low), math.ceil(high)
    yield "picks {:.0f} of 20 victims", chapter.report("of 20 victims picked, z = 0.01")
    yield "it still picks {:.0f} of 20", chapter.report("of 20 victims picked, z = 0.3")
    yield "right with probability {:.1f} %. On the scale", 100 * norm.cdf(-2)
    yield r"$\Phi(0) = {:.0f}$ %", 100 * reconstruction_bound(float(norm.cdf(-2)), 0.5)
    at_most = chapter.report("right angles below the bound, at most")
    yield "would come within {:.0f} % of it", math.ceil(at_most)
    growth, loss = chapter.report("noise at epsilon 0.5, over that at 8"), chapter.report("epsilon 0.5")
    assert round(growth) == 12 and abs(chapter.report("epsilon 8") - 1 / 3) < 0.05
    yield "our noise grows twelvefold, and the loss from a third of a point to {:.0f} points", loss
    yield "for both is the same, {:.0f} of 200", 200 * reconstruction_bound(1 / 50, 1.0)
    yield "the mean has about {:.0f} times the noise", 2 * math.sqrt(300)
