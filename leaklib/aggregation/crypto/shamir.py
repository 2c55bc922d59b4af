"""Shamir's secret sharing: any ``threshold`` shares give the secret, fewer say nothing about it.

    f(X) = secret + a_1 X + … + a_{t−1} X^{t−1}  mod 2^521 − 1,    share of holder i: f(i + 1)

Fewer than t values of f leave every secret possible, each with equally many choices of the coefficients.

Source: Shamir, "How to Share a Secret", Communications of the ACM 22(11), 1979.
Chapter: 10.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from leaklib.aggregation.crypto.stream import Stream

PRIME = 2**521 - 1
LONGEST = 64  # bytes of a secret: 512 bits, below the prime
SHARE = 66  # bytes of a share


def split(secret: bytes, threshold: int, holders: Iterable[int], *, stream: Stream) -> dict[int, int]:
    """One share for each of ``holders``, numbers from 0; ``threshold`` of them, at least 1, are needed."""
    points = sorted(set(holders))
    if len(secret) > LONGEST:
        raise ValueError(f"a secret must have at most {LONGEST} bytes, got {len(secret)}")
    if not 1 <= threshold <= len(points):
        raise ValueError(f"threshold must be in 1..{len(points)}, the number of holders, got {threshold}")
    if points[0] < 0:
        raise ValueError(f"holders must be numbers from 0, got {points[0]}")
    drawn = stream.bytes(SHARE * (threshold - 1))
    # 521 random bits are uniform below the prime, but for one value in 2^521 that stands for zero.
    slopes = [int.from_bytes(drawn[i : i + SHARE], "big") & PRIME for i in range(0, len(drawn), SHARE)]
    constant = int.from_bytes(secret, "big")
    return {holder: _value(slopes, constant, holder + 1) for holder in points}


def _value(slopes: list[int], constant: int, x: int) -> int:
    value = 0
    for slope in slopes:
        value = (value + slope) * x % PRIME
    return (value + constant) % PRIME


def recover(shares: Mapping[int, int], length: int) -> bytes:
    """The secret of ``length`` bytes from the shares of as many holders as the threshold, or more.

    Fewer shares give a wrong secret or, nearly always, a ValueError: what they give is not this short.
    """
    weights = _weights(tuple(shares))
    value = sum(weight * share for weight, share in zip(weights, shares.values(), strict=True)) % PRIME
    if value >> (8 * length):
        raise ValueError(f"these {len(shares)} shares give no secret of {length} bytes: too few, or wrong")
    return value.to_bytes(length, "big")


@lru_cache(maxsize=1024)  # a server combines many secrets of the same holders
def _weights(holders: tuple[int, ...]) -> tuple[int, ...]:
    """What each holder's share is multiplied by: Lagrange's polynomials at 0."""
    weights = []
    for one in holders:
        above = below = 1
        for other in holders:
            if other != one:
                above = above * (other + 1) % PRIME
                below = below * (other - one) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)
