"""Arithmetic modulo the prime p = 2^61 − 1, on whole arrays.

    a · b = h 2^61 + l  ≡  h + l  (mod p),      since 2^61 ≡ 1

A product of two 61-bit numbers has 122 bits. It is put together from 30- and 31-bit halves, none of which
overflows 64 bits. Integers from −(p−1)/2 to (p−1)/2 stand for themselves modulo p.
Chapters: 13, 14.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt64

from leaklib.aggregation.crypto.stream import Stream

P = 2**61 - 1
ELEMENT = 8  # bytes of a number
Elements = UInt64[np.ndarray, "..."]
"""Numbers from 0 to P − 1."""

_P = np.uint64(P)
_LOW = np.uint64(2**31 - 1)
_LOW30 = np.uint64(2**30 - 1)
_LOW32 = np.uint64(2**32 - 1)
_AT_ONCE = 2**15  # products that fit into a processor's cache
_30, _31, _32, _61 = (np.uint64(shift) for shift in (30, 31, 32, 61))


def elements(integers: Sequence[int] | Sequence[Sequence[int]] | Int64[np.ndarray, "..."]) -> Elements:
    """Integers of any sign modulo p."""
    if isinstance(integers, np.ndarray):
        return np.mod(integers, np.int64(P)).astype(np.uint64)
    return np.array(np.mod(np.array(integers, object), P), np.uint64)


def signed(values: Elements) -> Int64[np.ndarray, "..."]:
    """The integers nearest to zero that the elements stand for."""
    whole = values.astype(np.int64)
    return np.where(whole > P // 2, whole - P, whole)


def uniform(shape: tuple[int, ...], *, stream: Stream) -> Elements:
    """Uniform elements: 61 bits each, drawn again where they are all ones, which is p itself."""
    values = np.frombuffer(stream.bytes(ELEMENT * math.prod(shape)), "<u8") & _P
    while (again := values == _P).any():
        values[again] = uniform((int(again.sum()),), stream=stream)
    return values.reshape(shape)


def add(a: Elements, b: Elements) -> Elements:
    """a + b."""
    return _once(a + b)


def sub(a: Elements, b: Elements) -> Elements:
    """a − b."""
    return _once(a + (_P - b))


def mul(a: Elements, b: Elements) -> Elements:
    """a · b."""
    a_high, a_low, b_high, b_low = a >> _31, a & _LOW, b >> _31, b & _LOW
    middle = a_high * b_low + a_low * b_high
    # 2^62 ≡ 2 in front of the high halves; the middle counts 2^31 times.
    value = ((a_high * b_high) << np.uint64(1)) + (middle >> _30) + ((middle & _LOW30) << _31) + a_low * b_low
    return _reduce(value)


def _once(value: Elements) -> Elements:
    """``value``, below 2p, made smaller than p. What is smaller already wraps around to a large number."""
    with np.errstate(over="ignore"):
        return np.minimum(value, value - _P)


def total(values: Elements, axis: int = -1) -> Elements:
    """The sum along one axis of at most 2^29 entries."""
    high, low = (half.sum(axis, keepdims=True) for half in (values >> _32, values & _LOW32))
    return add(_reduce(low), mul(_reduce(high), elements([2**32]))).squeeze(axis)


def _reduce(value: Elements) -> Elements:
    """Any 64-bit number modulo p."""
    return _once((value & _P) + (value >> _61))


def dot(a: Elements, b: Elements) -> Elements:
    """The sum of products along the last axis."""
    return total(mul(a, b))


def matmul(a: Elements, b: Elements) -> Elements:
    """The matrix product of a, rows × inner, and b, inner × columns."""
    if a.size * b.shape[1] < _AT_ONCE:
        return total(mul(a[:, :, None], b[None]), 1)
    result = mul(a[:, :1], b[:1])
    for inner in range(1, a.shape[1]):
        result = add(result, mul(a[:, inner : inner + 1], b[inner : inner + 1]))
    return result


def powers(x: int, count: int) -> Elements:
    """1, x, x², … : ``count`` of them, at least one."""
    short = [1]
    while len(short) < min(count, 32):
        short.append(short[-1] * x % P)
    row = np.array(short, np.uint64)
    while len(row) < count:
        row = np.concatenate([row, mul(row, elements([pow(x, len(row), P)]))])
    return row[:count]


def vandermonde(points: Sequence[int], terms: int) -> Elements:
    """Row i has the powers of point i: times coefficients, it gives a polynomial's values. points × terms."""
    return np.stack([powers(point, terms) for point in points])


def interpolation(points: Sequence[int]) -> Elements:
    """The inverse of ``vandermonde``: times values at the points, it gives the coefficients.

    Column i is Lagrange's polynomial that is 1 at point i and 0 at the others. ValueError if two are equal.
    """
    if len({point % P for point in points}) < len(points):
        raise ValueError(f"points must differ modulo p, got {list(points)}")
    columns = []
    for one in points:
        coefficients, scale = [1], 1
        for other in points:
            if other != one:
                coefficients = product(coefficients, [-other, 1])
                scale = scale * (one - other) % P
        inverse = pow(scale, -1, P)
        columns.append([c * inverse for c in coefficients])
    return elements(columns).T


def product(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """The coefficients, lowest first, of the product of two polynomials."""
    result = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            result[i + j] = (result[i + j] + x * y) % P
    return result


def to_bytes(values: Elements) -> bytes:
    """8 bytes for each element."""
    return values.astype("<u8").tobytes()


def from_bytes(data: bytes) -> Elements:
    """The elements. ValueError for what is none."""
    values = np.frombuffer(data, "<u8").astype(np.uint64)
    if (values >= P).any():
        raise ValueError("got a number of 2^61 − 1 or more: no element of the field, refused")
    return values
