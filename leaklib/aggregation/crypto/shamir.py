"""Shamir's secret sharing: any ``threshold`` shares give the secret, fewer say nothing about it.

    f(X) = secret + a_1 X + … + a_{t−1} X^{t−1}  mod 2^521 − 1,    share of holder i: f(i + 1)

Fewer than t values of f leave every secret possible, each with equally many choices of the coefficients.

Source: Shamir, "How to Share a Secret", Communications of the ACM 22(11), 1979.
Chapter: 11.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np

from leaklib.aggregation.crypto.stream import Stream

PRIME = 2**521 - 1
DRAWS = 1000  # sets of holders that are tried where several shares are wrong
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
    value = _at(shares, 0)
    if value >> (8 * length):
        raise ValueError(f"these {len(shares)} shares give no secret of {length} bytes: too few, or wrong")
    return value.to_bytes(length, "big")


def recover_checked(
    shares: Mapping[int, int], length: int, threshold: int, right: Callable[[bytes], bool]
) -> tuple[bytes, list[int]]:
    """The secret for which ``right`` holds, and the holders of wrong shares that stood in its way.

    ``threshold`` right shares are enough. If those that came first are right, as nearly always, the others
    are not looked at. One wrong share among more than the threshold is found surely; several, if one of 1,000
    random sets of holders has none of them. Holders are named if they are few enough, (shares − t + 1)/2, for
    no other polynomial through the secret to have as few: more liars than that could put the blame on others
    by agreement, and then nobody is named. ValueError if no set that was tried gives the secret.
    """
    sets = _sets(list(shares), threshold)
    found = _secret(shares, next(sets), length)
    if found is not None and right(found):
        return found, []
    secret = None
    for holders in sets:
        found = _secret(shares, holders, length)
        if found is None or not right(found):
            continue
        secret, chosen = found, {holder: shares[holder] for holder in holders}
        wrong = sorted(h for h in shares.keys() - chosen.keys() if _at(chosen, h + 1) != shares[h] % PRIME)
        if 2 * len(wrong) <= len(shares) - threshold + 1:
            return secret, wrong
    if secret is None:
        tried = f"no {threshold} shares that were tried, of those from clients {sorted(shares)}, fit it"
        raise ValueError(f"{tried}: too many are wrong, or its owner promised another")
    return secret, []


def _secret(shares: Mapping[int, int], holders: list[int], length: int) -> bytes | None:
    """What these holders' shares give, None if that is too long."""
    try:
        return recover({holder: shares[holder] for holder in holders}, length)
    except ValueError:
        return None


def _sets(holders: list[int], size: int) -> Iterator[list[int]]:
    """The first ``size``, then all others among one more, then random ones."""
    yield holders[:size]
    if len(holders) > size:
        for one in holders[:size]:
            yield [holder for holder in holders[: size + 1] if holder != one]
        draw = np.random.default_rng(0)
        for _ in range(DRAWS):
            yield [holders[place] for place in draw.permutation(len(holders))[:size]]


def _at(shares: Mapping[int, int], x: int) -> int:
    """The value at ``x`` of the polynomial through the shares."""
    weights = _weights(tuple(shares), x)
    return sum(weight * share for weight, share in zip(weights, shares.values(), strict=True)) % PRIME


@lru_cache(maxsize=1024)  # a server combines many secrets of the same holders
def _weights(holders: tuple[int, ...], x: int) -> tuple[int, ...]:
    """What each holder's share is multiplied by: Lagrange's polynomials at ``x``."""
    weights = []
    for one in holders:
        above = below = 1
        for other in holders:
            if other != one:
                above = above * (other + 1 - x) % PRIME
                below = below * (other - one) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)
