"""Whether a dealer dealt what it should: one random combination, checked by every holder.

Holder i's share s_i of a dealer is a vector of L entries, and one more that is random. When all shares have
arrived and nobody can change them, a coin ρ is drawn that the dealer could not foresee (coin.py). It
publishes the coefficients c_j = Σ_l ρ^l a_{j,l} of one polynomial, and each holder compares

    Σ_l ρ^l s_{i,l} = Σ_j c_j (i+1)^j.

Sound: if the honest holders' shares do not lie on polynomials of the right degree, or the second sharing
does not have the first one's blocks in reverse order, some honest holder objects, except for L of the p − 1
coins (a polynomial of degree L in ρ has no more zeros). No assumption on the dealer's computing power.
Hiding: the random last entry makes the published numbers uniform among those that fit the holders' shares.

Source: ours, after the usual batch check by a random combination. Differs: ByzSecAgg (Jahani-Nezhad,
Maddah-Ali, Caire, arXiv 2302.09913) has the dealer send commitments along with the shares. That saves the
trips for coin and answer, and holds only against dealers that cannot break them. In a group whose order is
our p, 61 bits, Pollard's rho breaks them in about 2^30 steps; the coin cannot be broken.
Chapters: 13, 14.
"""

import numpy as np
from jaxtyping import Bool, UInt64

from leaklib.aggregation.crypto.field import dot, powers, uniform
from leaklib.aggregation.crypto.ramp import Blocks
from leaklib.aggregation.crypto.stream import Stream

Row = UInt64[np.ndarray, "_"]


def with_blind(blocks: Blocks, *, stream: Stream) -> Blocks:
    """One random entry more in every row: what keeps the published combination from telling anything."""
    return np.concatenate([blocks, uniform((len(blocks), 1), stream=stream)], axis=1)


def combine(rows: Blocks, coin: int) -> Row:
    """One number for each row: of coefficients, what a dealer publishes; of shares, what holders compare."""
    return dot(rows, powers(coin, rows.shape[1]))


def fits(shares: Blocks, combinations: Blocks, point: int, coin: int) -> Bool[np.ndarray, "_"]:
    """Of which dealers, one a row, the shares at ``point`` are those that their combinations foretell."""
    return combine(shares, coin) == dot(combinations, powers(point, combinations.shape[1]))
