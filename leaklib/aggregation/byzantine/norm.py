"""That a dealt vector is short: shown on its shares, so that nothing but its length is read.

Lengths modulo p prove nothing: (1, b, c) with 1 + b² + c² = 0 modulo p is long. So it is shown first that
no entry is large. A seed that the dealer could not foresee gives k = 64 vectors r_j with entries −1, 0 and
1, of probabilities ¼, ½ and ¼. With w dealt, z_j = ⟨w, r_j⟩, and B the longest that w may be, the dealer
shows

    −β ≤ z_j ≤ β,    β = 6 B.

*Complete.* E exp(s z) = Π cosh²(s w_l / 2) ≤ exp(s² |w|² / 4), so |z_j| > 6 |w| has at most probability 2
exp(−36): of 64 one is too large with less than 2^−44.

*Sound.* Whatever w is, with probability 1 − 2^−64 it does not pass unless its squared length in integers is
below p, so that the length modulo p is the length, and is compared with B². For a w that is too long passes
one projection with at most probability ½:

1. Some entry w_l, of size at most p/2, exceeds 2β. Take all of r but r_l as given: z is y − w_l, y or y +
   w_l. If |y| ≤ β < |w_l| / 2, then the other two exceed |w_l| / 2 modulo p, as |y| + |w_l| ≤ 3p/4; y
   itself has probability ½. If |y| > β, only the other two can be small, together ½.
2. No entry does. Then z is an integer, as d 2β < p/2 for d entries. It is a sum of 2d signs, times w_l / 2.
   If an entry exceeds 0.36 |w|, |z| < 0.18 |w| has probability at most ½, as in 1. If not, Berry and
   Esseen's theorem with the constant 0.56 gives 2Φ(0.18 √2) − 1 + 2 · 0.56 · 0.36/√2 < 0.49. So |w| > β /
   0.18 passes with at most ½.

What passes is shorter than β / 0.18, and 36 B² / 0.18² < p is the condition B² < 9p / 10,000.

How −β ≤ z_j ≤ β is shown: the dealer deals bits of z_j + β by Shamir's sharing, with weights 1, 2, 4, … and
a last one so that they add up to 2β, not more. With a second coin ρ, unknown when the bits were dealt,

    e = Σ_m ρ^m f_m (f_m − 1) + Σ_j ρ^(M+j) (⟨w, r_j⟩ + β − Σ_h 2^h f_jh)

over all M bits f_m is zero if all are bits and add up; if not, it is zero for at most M + 64 coins. Holders
compute it on shares. ⟨w, q⟩ for a public q is the coefficient of X^(K−1) of F · Q, Q = Σ_k q_k X^(K−k).

Source: Lyubashevsky, Nguyen, Seiler, "Shorter Lattice-Based Zero-Knowledge Proofs via One-Time Commitments",
PKC 2021, and Gentry, Halevi, Lyubashevsky, "Practical Non-interactive Publicly Verifiable Secret Sharing with
Thousands of Parties", EUROCRYPT 2022, for projections modulo a prime, and Bell and others, "ACORN: Input
Validation for Secure Aggregation", USENIX Security 2023, for their use on updates; Berry–Esseen's constant
for different summands is Shevtsova's, 2010. The bounds above and the check on ramp shares are ours.
Chapters: 13, 14.
"""

from math import isqrt

import numpy as np
from jaxtyping import Int8, Int64, UInt64

from leaklib.aggregation.crypto.field import P, add, dot, elements, mul, powers, sub
from leaklib.aggregation.crypto.ramp import cut, shares
from leaklib.aggregation.crypto.stream import Stream

PROJECTIONS = 64
SPREAD = 36  # the square of β / B
LONGEST = 9 * P // 10_000  # the largest B²: lengths of vectors that pass are below p


Row = UInt64[np.ndarray, "_"]


def reach(square: int) -> int:
    """β for B² = ``square``."""
    return isqrt(SPREAD * square)


def weights(beta: int) -> Int64[np.ndarray, "_"]:
    """Of the bits that write the numbers from 0 to 2β and no other."""
    low = 2 ** np.arange((2 * beta).bit_length() - 1)
    return np.append(low, 2 * beta - low.sum())


def projections(seed: bytes, entries: int) -> Int8[np.ndarray, "_ _"]:
    """The vectors r_j, 64 × entries."""
    drawn = np.frombuffer(Stream("projections", seed).bytes(-(-PROJECTIONS * entries // 4)), np.uint8)
    ones = np.unpackbits(drawn)[: 2 * PROJECTIONS * entries].reshape(2, PROJECTIONS, entries)
    return ones[0].astype(np.int8) + ones[1].astype(np.int8) - 1


def bits(values: Int64[np.ndarray, "_"], beta: int) -> Int64[np.ndarray, "_"]:
    """Of each value + β, one after the other. ValueError for values beyond ±β: the vector is too long."""
    if np.abs(values).max() > beta:
        raise ValueError("projections exceed the bound: the vector is too long")
    each = weights(beta)
    above = values + beta
    last = above >= 2 ** (len(each) - 1)
    rest = above - last * each[-1]
    return np.column_stack([(rest[:, None] >> np.arange(len(each) - 1)) & 1, last]).reshape(-1)


class Check:
    """What a holder needs to compute its value of e for any dealer."""

    def __init__(self, seed: bytes, coin: int, entries: int, blocks: int, beta: int, at: int) -> None:
        each = weights(beta)
        count = PROJECTIONS * len(each)
        self._powers, mixing = np.split(powers(coin, count + PROJECTIONS), [count])
        # Σ ρ^(M+j) r_j: sums of 64 halves of such powers fit into 64 bits.
        halves = np.stack([mixing & np.uint64(2**31 - 1), mixing >> np.uint64(31)]).astype(np.int64)
        low, high = elements(halves @ projections(seed, entries))
        mixed = cut(add(low, mul(high, elements([2**31]))), blocks)
        self._mixed = shares(mixed[::-1], [at])[0]
        self._linear = mul(mixing[:, None], elements(each)).reshape(-1)
        self._lift = elements([pow(at, blocks - 1, P)])
        self._constant = mul(dot(mixing, elements([beta] * PROJECTIONS))[None], self._lift)

    def value(self, vector: Row, bit: Row) -> Row:
        """e at this holder's point, from its shares of a dealer's vector and bits: one number."""
        quadratic = dot(bit, sub(mul(self._powers, sub(bit, elements([1]))), self._linear))
        linear = dot(vector, self._mixed)
        return add(add(linear[None], self._constant), mul(quadratic[None], self._lift))
