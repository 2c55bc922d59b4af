"""Decoding despite wrong values: exactly as many as promised, and never silently more."""

import numpy as np
import pytest

from leaklib.aggregation.crypto.decode import correct, divide
from leaklib.aggregation.crypto.field import P, add, elements, matmul, product, uniform, vandermonde
from leaklib.aggregation.crypto.stream import Stream


def codeword(terms: int, holders: int, entries: int, seed: int):
    coefficients = uniform((terms, entries), stream=Stream(seed, "coefficients"))
    points = list(range(1, holders + 1))
    return coefficients, points, matmul(vandermonde(points, terms), coefficients)


def lie(values, liars, seed: int):
    wrong = values.copy()
    wrong[liars] = uniform((len(liars), values.shape[1]), stream=Stream(seed, "lies"))
    return wrong


@pytest.mark.parametrize("errors", [0, 1, 2, 3])
@pytest.mark.parametrize("terms", [1, 3, 6])
@pytest.mark.parametrize("entries", [1, 7])
def test_up_to_a_errors_are_corrected_with_the_fewest_holders(errors: int, terms: int, entries: int) -> None:
    for seed in range(5):
        coefficients, points, values = codeword(terms, terms + 2 * errors, entries, seed)
        order = np.random.default_rng(seed).permutation(len(points))
        for count in range(errors + 1):
            liars = sorted(order[:count].tolist())
            found, caught = correct(
                points, lie(values, liars, seed), terms, errors, stream=Stream(seed, "decode")
            )
            assert np.array_equal(found, coefficients) and caught == tuple(liars)


def test_a_lie_in_a_single_entry_is_caught() -> None:
    coefficients, points, values = codeword(4, 8, 1000, 0)
    values[5, 123] = add(values[5, 123:124], elements([1]))[0]
    found, caught = correct(points, values, 4, 2, stream=Stream(0, "decode"))
    assert np.array_equal(found, coefficients) and caught == (5,)


@pytest.mark.parametrize("spare", [0, 1, 2, 5])
def test_more_errors_than_allowed_are_refused(spare: int) -> None:
    for seed in range(5):
        _, points, values = codeword(4, 8 + spare, 3, seed)
        with pytest.raises(ValueError, match="more than 2 holders sent wrong values"):
            correct(points, lie(values, [1, 4, 6], seed), 4, 2, stream=Stream(seed, "decode"))


def test_one_liar_too_many_can_succeed_by_agreement() -> None:
    # Two polynomials of 4 coefficients that agree at 3 points; 8 holders, 3 of whom follow the other one
    # where it differs: it then fits 3 + 3 holders, all but two.
    coefficients, points, values = codeword(4, 8, 1, 0)
    vanishing = [1]
    for x in points[:3]:
        vanishing = product(vanishing, [-x, 1])
    other = add(coefficients, elements([c % P for c in vanishing])[:, None])
    values[3:6] = matmul(vandermonde(points, 4), other)[3:6]
    found, caught = correct(points, values, 4, 2, stream=Stream(0, "decode"))
    assert np.array_equal(found, other) and caught == (6, 7)


def test_too_few_holders_are_refused() -> None:
    _, points, values = codeword(4, 7, 1, 0)
    with pytest.raises(ValueError, match="4 coefficients despite 2 wrong values need 8 holders, got 7"):
        correct(points, values, 4, 2, stream=Stream(0, "decode"))


def test_division_of_polynomials() -> None:
    quotient, rest = [5, 0, 7], [3, 1]
    divisor = [2, 9, 1]
    dividend = product(quotient, divisor)
    dividend = [(x + (rest[i] if i < 2 else 0)) % P for i, x in enumerate(dividend)]
    assert divide(dividend, divisor) == (quotient, rest)
    assert divide([4, 2], [1, 1, 1]) == ([0], [4, 2])
