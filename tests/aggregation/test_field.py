"""Arithmetic modulo 2^61 − 1, against Python's integers."""

import numpy as np
import pytest

from leaklib.aggregation.crypto.field import (
    P,
    add,
    dot,
    elements,
    interpolation,
    matmul,
    mul,
    powers,
    product,
    signed,
    sub,
    total,
    uniform,
    vandermonde,
)
from leaklib.aggregation.crypto.stream import Stream

EDGES = [0, 1, 2, 2**30 - 1, 2**30, 2**31 - 1, 2**31, 2**32, 2**60 - 1, 2**60, P - 2**31, P - 2, P - 1]


def numbers(count, stream="numbers"):
    drawn = uniform((count,), stream=Stream(0, stream)).tolist()
    return EDGES + drawn


def test_operations_agree_with_integers_on_all_pairs() -> None:
    values = numbers(300)
    a, b = np.meshgrid(elements(values), elements(values))
    pairs = list(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    for operation, law in ((add, lambda x, y: x + y), (sub, lambda x, y: x - y), (mul, lambda x, y: x * y)):
        expected = [law(x, y) % P for x, y in pairs]
        assert operation(a, b).ravel().tolist() == expected


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_sums_and_products_of_rows(count: int) -> None:
    a, b = (uniform((3, count), stream=Stream(count, name)) for name in "ab")
    a[0] = P - 1  # the largest sums that there are
    b[0] = P - 1
    assert total(a).tolist() == [sum(row) % P for row in a.tolist()]
    assert total(a, 0).tolist() == [sum(column) % P for column in a.T.tolist()]
    expected = [
        sum(x * y for x, y in zip(*rows, strict=True)) % P
        for rows in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert dot(a, b).tolist() == expected
    assert matmul(a, b.T).tolist() == [[dot(x, y).item() for y in b] for x in a]


def test_signed_integers_come_back() -> None:
    whole = np.array([0, 1, -1, P // 2, -(P // 2), 12345, -(2**40)])
    assert signed(elements(whole)).tolist() == whole.tolist()
    assert elements([-1, P, 2 * P + 3]).tolist() == [P - 1, 0, 3]


def test_powers() -> None:
    for x in (0, 1, 3, P - 1, 2**40):
        assert powers(x, 9).tolist() == [pow(x, i, P) for i in range(9)]


def test_interpolation_undoes_evaluation() -> None:
    points = [1, 2, 5, 7, P - 1]
    identity = matmul(interpolation(points), vandermonde(points, 5))
    assert identity.tolist() == np.eye(5, dtype=int).tolist()
    with pytest.raises(ValueError, match="points must differ"):
        interpolation([1, 2, P + 1])


def test_products_of_polynomials() -> None:
    # (1 + 2X)(3 - X + X²) = 3 + 5X - X² + 2X³
    assert product([1, 2], [3, -1, 1]) == [3, 5, P - 1, 2]


def test_random_elements_are_spread_evenly() -> None:
    drawn = uniform((64_000,), stream=Stream(0, "spread"))
    assert drawn.max() < P
    counts = np.bincount((drawn >> np.uint64(55)).astype(np.int64), minlength=64)  # 64 cells of one size
    chi2 = ((counts - 1000) ** 2 / 1000).sum()
    assert 30 < chi2 < 113  # both ends have a probability of about 1e-4 with 63 degrees of freedom
