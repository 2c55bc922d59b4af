"""Ramp sharing: who can tell what from how many shares, and what the product of two sharings holds."""

from itertools import combinations

import numpy as np
import pytest

from leaklib.aggregation.crypto.field import (
    P,
    add,
    elements,
    interpolation,
    matmul,
    mul,
    product,
    sub,
    uniform,
    vandermonde,
)
from leaklib.aggregation.crypto.ramp import cut, hidden, point, shares
from leaklib.aggregation.crypto.stream import Stream

CASES = [(1, 1, 3), (3, 2, 7), (2, 3, 8), (4, 1, 6)]


def dealt(blocks: int, colluders: int, holders: int):
    data = uniform((blocks, 5), stream=Stream(0, "data"))
    coefficients = hidden(data, colluders, stream=Stream(0, "noise"))
    return data, coefficients, shares(coefficients, [point(i) for i in range(holders)])


@pytest.mark.parametrize(("blocks", "colluders", "holders"), CASES)
def test_enough_shares_give_the_blocks(blocks: int, colluders: int, holders: int) -> None:
    data, coefficients, given = dealt(blocks, colluders, holders)
    terms = blocks + colluders
    for some in list(combinations(range(holders), terms))[:20]:
        found = matmul(interpolation([point(i) for i in some]), given[list(some)])
        assert np.array_equal(found, coefficients) and np.array_equal(found[:blocks], data)


def invert(matrix):
    """Gauss–Jordan on Python integers modulo p; None if singular."""
    n = len(matrix)
    rows = [[*row, *(int(i == j) for j in range(n))] for i, row in enumerate(matrix.tolist())]
    for c in range(n):
        pivot = next((r for r in range(c, n) if rows[r][c]), None)
        if pivot is None:
            return None
        rows[c], rows[pivot] = rows[pivot], rows[c]
        scale = pow(rows[c][c], -1, P)
        rows[c] = [x * scale % P for x in rows[c]]
        for r in range(n):
            if r != c:
                rows[r] = [(x - rows[r][c] * y) % P for x, y in zip(rows[r], rows[c], strict=True)]
    return elements([row[n:] for row in rows])


@pytest.mark.parametrize(("blocks", "colluders", "holders"), CASES)
def test_as_many_shares_as_colluders_fit_any_data(blocks: int, colluders: int, holders: int) -> None:
    _, _, given = dealt(blocks, colluders, holders)
    other = uniform((blocks, 5), stream=Stream(1, "other data"))
    for some in combinations(range(holders), colluders):
        powers = vandermonde([point(i) for i in some], blocks + colluders)
        # The random rows reach these shares by an invertible matrix: exactly one choice explains them.
        inverse = invert(powers[:, blocks:])
        assert inverse is not None
        noise = matmul(inverse, sub(given[list(some)], matmul(powers[:, :blocks], other)))
        explained = shares(np.concatenate([other, noise]), [point(i) for i in some])
        assert np.array_equal(explained, given[list(some)])


@pytest.mark.parametrize(("blocks", "colluders", "holders"), [case for case in CASES if case[0] > 1])
def test_one_share_more_rules_data_out_but_does_not_give_it(
    blocks: int, colluders: int, holders: int
) -> None:
    data, _, given = dealt(blocks, colluders, holders)
    some = [point(i) for i in range(colluders + 1)]
    powers = vandermonde(some, blocks + colluders)
    inverse = invert(powers[:colluders, blocks:])

    def fits(candidate) -> bool:
        noise = matmul(inverse, sub(given[:colluders], matmul(powers[:colluders, :blocks], candidate)))
        return np.array_equal(shares(np.concatenate([candidate, noise]), some), given[: colluders + 1])

    assert fits(data)
    assert not fits(uniform(data.shape, stream=Stream(1, "other data")))
    # Data that differ by a polynomial with zeros at all these points cannot be told apart.
    vanishing = [1]
    for x in some:
        vanishing = product(vanishing, [-x, 1])
    shift = elements([*vanishing, *[0] * blocks])[:blocks, None]
    assert shift.any() and fits(add(data, shift))


def test_the_product_of_both_orders_holds_the_squared_length() -> None:
    vector = elements(np.arange(-7, 8))
    blocks = cut(vector, 4)  # 15 entries in 4 rows, one zero more
    assert blocks.shape == (4, 4) and blocks.ravel()[-1] == 0
    first, second = (
        hidden(rows, 2, stream=Stream(i, "noise")) for i, rows in enumerate((blocks, blocks[::-1]))
    )
    points = list(range(1, 12))
    values = mul(shares(first, points), shares(second, points))
    coefficients = matmul(interpolation(points), values)
    assert int(coefficients[3].sum()) == sum(n * n for n in range(-7, 8))
