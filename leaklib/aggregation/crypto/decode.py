"""Decoding with errors: a polynomial through values of which some are wrong, nobody knows which.

Two polynomials of degree k − 1 meet in at most k − 1 points. So among n values, up to (n − k)/2 wrong ones
leave only one polynomial that fits the rest. Gao finds it with Euclid's algorithm: with g_0 = Π (X − x_i)
and g_1 through all values, right or wrong, it divides until the remainder g has degree below (n + k)/2;
then g = u g_0 + v g_1, and the polynomial is g / v.

A whole vector of values per holder is decoded once. A random combination of its entries has a wrong value
wherever the vector has one, but for one chance in p. Those who are wrong there are left out of the
interpolation. The result is compared with every holder: if it differs from at most ``errors`` of them, it is
the only polynomial that does, whatever the combination was.

Source: Gao, "A New Algorithm for Decoding Reed-Solomon Codes", in Communications, Information and Network
Security, Kluwer 2003.
Chapters: 13, 14.
"""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from jaxtyping import UInt64

from leaklib.aggregation.crypto.field import P, dot, elements, interpolation, matmul, product, uniform
from leaklib.aggregation.crypto.ramp import shares
from leaklib.aggregation.crypto.stream import Stream


def correct(
    points: Sequence[int],
    values: UInt64[np.ndarray, "holders entries"],
    terms: int,
    errors: int,
    *,
    stream: Stream,
) -> tuple[UInt64[np.ndarray, "terms entries"], tuple[int, ...]]:
    """Coefficients, ``terms`` × entries, and the places of the holders whose values do not fit.

    Raises ValueError if there are too few holders to correct so many ``errors``, or more errors than that.
    More than that many holders who lie by agreement can also have a wrong polynomial accepted.
    """
    n, least = len(points), terms + 2 * errors
    if n < least:
        raise ValueError(f"{terms} coefficients despite {errors} wrong values need {least} holders, got {n}")
    combined = dot(values, uniform((values.shape[1],), stream=stream)).tolist()
    wrong = _locate(points, combined, terms, errors)
    right = [i for i in range(len(points)) if i not in wrong][:terms]
    coefficients = matmul(interpolation([points[i] for i in right]), values[right])
    differs = (shares(coefficients, points) != values).any(1)
    liars = tuple(np.flatnonzero(differs).tolist())
    if len(liars) > errors:
        raise _too_many(errors)
    return coefficients, liars


def _too_many(errors: int) -> ValueError:
    return ValueError(f"more than {errors} holders sent wrong values: nothing can be decoded")


def _locate(points: Sequence[int], values: Sequence[int], terms: int, errors: int) -> list[int]:
    """The places of the wrong ones among ``values``, one per holder: zeros of v, so ``terms`` are right."""
    everything = [1]
    for x in points:
        everything = product(everything, [-x, 1])
    through = matmul(interpolation(points), elements(values)[:, None])[:, 0].tolist()
    older, old, v_older, v = everything, _trim(through), [0], [1]
    while 2 * (len(old) - 1) >= len(points) + terms:
        quotient, rest = divide(older, old)
        older, old, v_older, v = old, rest, v, _minus(v_older, product(quotient, v))
    polynomial, rest = divide(old, v)
    if any(rest) or len(polynomial) > terms:
        raise _too_many(errors)
    fitted = shares(elements(polynomial)[:, None], points)[:, 0].tolist()
    return [i for i, (x, y) in enumerate(zip(fitted, values, strict=True)) if x != y]


def divide(a: Sequence[int], b: Sequence[int]) -> tuple[list[int], list[int]]:
    """Quotient and remainder of polynomials, lowest coefficient first; b's last one is not zero."""
    rest, inverse = list(a), pow(b[-1], -1, P)
    quotient = [0] * max(len(a) - len(b) + 1, 1)
    for shift in reversed(range(len(a) - len(b) + 1)):
        factor = rest[shift + len(b) - 1] * inverse % P
        quotient[shift] = factor
        for i, coefficient in enumerate(b):
            rest[shift + i] = (rest[shift + i] - factor * coefficient) % P
    return quotient, _trim(rest)


def _minus(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return _trim([(x - y) % P for x, y in zip_longest(a, b, fillvalue=0)])


def _trim(polynomial: Sequence[int]) -> list[int]:
    """Without leading zeros; the zero polynomial is [0]."""
    size = max((place + 1 for place, coefficient in enumerate(polynomial) if coefficient), default=1)
    return list(polynomial[:size])
