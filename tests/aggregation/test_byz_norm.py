"""ByzSecAgg's check of lengths: what it lets through, what it refuses, and what its bounds rest on."""

import math
from itertools import combinations
from itertools import product as every

import numpy as np
import pytest
from byz_doubles import Double, substitute
from test_byz_adversary import exact, isotropic

from leaklib.aggregation.byzantine.messages import ByzPhase, Names
from leaklib.aggregation.byzantine.norm import (
    LONGEST,
    PROJECTIONS,
    SPREAD,
    Check,
    bits,
    projections,
    reach,
    weights,
)
from leaklib.aggregation.byzantine.round import check, deal, distances, robust_sum
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.crypto.field import P, elements, interpolation, matmul
from leaklib.aggregation.crypto.ramp import cut, hidden, shares
from leaklib.aggregation.crypto.stream import Stream
from leaklib.rng import generator

SEED = bytes(range(32))

# --- the pieces ---


def test_projections_are_minus_one_zero_and_one_with_their_probabilities() -> None:
    drawn = projections(SEED, 5000)
    assert drawn.shape == (PROJECTIONS, 5000) and drawn.dtype == np.int8
    share = [(drawn == value).mean() for value in (-1, 0, 1)]
    assert np.allclose(share, [0.25, 0.5, 0.25], atol=0.004)  # five standard deviations
    assert (drawn == projections(SEED, 5000)).all() and (drawn != projections(bytes(32), 5000)).any()
    assert len({row.tobytes() for row in drawn}) == PROJECTIONS
    assert projections(SEED, 1).shape == (PROJECTIONS, 1)


@pytest.mark.parametrize("beta", [1, 2, 3, 4, 6, 7, 8, 31, 32, 33])
def test_bits_write_the_numbers_up_to_beta_and_no_other(beta: int) -> None:
    each = weights(beta)
    written = {int(np.dot(one, each)) for one in every((0, 1), repeat=len(each))}
    assert written == set(range(2 * beta + 1))
    values = np.arange(-beta, beta + 1)
    rows = bits(values, beta).reshape(len(values), len(each))
    assert ((rows == 0) | (rows == 1)).all() and (rows @ each - beta == values).all()
    for value in (-beta - 1, beta + 1):
        with pytest.raises(ValueError, match="the vector is too long"):
            bits(np.array([0, value]), beta)


def test_beta_is_six_times_the_bound_rounded_down() -> None:
    assert [reach(square) for square in (1, 2, 100, LONGEST)] == [6, 8, 60, math.isqrt(36 * LONGEST)]


@pytest.mark.parametrize("blocks", [1, 2, 3])
@pytest.mark.parametrize("colluders", [0, 2])
def test_holders_values_interpolate_to_zero_for_bits_that_write_the_projections(
    blocks: int, colluders: int
) -> None:
    entries, square, coin = 4 * blocks, 10**6, 12345678901234567
    draw, beta = np.random.default_rng(blocks), reach(square)
    vector = draw.integers(-200, 200, entries)
    written = bits(projections(SEED, entries) @ vector, beta)
    terms = 2 * (blocks + colluders) - 1
    points = [*range(1, terms + 1)]

    def decoded(written: np.ndarray, vector: np.ndarray = vector) -> int:
        first = hidden(cut(elements(vector), blocks), colluders, stream=Stream(0, "F"))
        proof = hidden(elements(written)[None], colluders, stream=Stream(0, "f"))
        values = [
            Check(SEED, coin, entries, blocks, beta, at).value(shares(first, [at])[0], shares(proof, [at])[0])
            for at in points
        ]
        return int(matmul(interpolation(points), np.stack(values))[blocks - 1, 0])

    assert decoded(written) == 0
    for place in (0, 5, len(written) - 1):  # one bit flipped, or moved to where it adds up and is none
        other = written.copy()
        other[place] ^= 1
        assert decoded(other) != 0
    # A 2 and a 0 in the place of a 0 and a 1: the same number, no bits.
    place = next(i for i in range(len(written) - 1) if written[i] == 0 and written[i + 1] == 1 and i % 15 < 5)
    digits = written.copy()
    digits[place], digits[place + 1] = 2, 0
    assert decoded(digits) != 0
    longer = vector.copy()
    longer[0] += 1
    assert decoded(written, longer) != 0


def test_the_value_is_the_formula_by_hand() -> None:
    # One block, no colluders: the polynomial of degree 0 is e itself.
    coin, beta, vector = 987654321, 6, np.array([1])
    r, each = projections(SEED, 1), weights(beta)
    for written in (bits(r @ vector, beta), np.arange(PROJECTIONS * len(each)) % 7):
        f, m = written.reshape(PROJECTIONS, -1), len(written)
        e = sum(pow(coin, i, P) * int(x) * (int(x) - 1) for i, x in enumerate(written))
        for j in range(PROJECTIONS):
            e += pow(coin, m + j, P) * (int(r[j] @ vector) + beta - int(f[j] @ each))
        value = Check(SEED, coin, 1, 1, beta, 1).value(elements(vector), elements(written))
        assert value.tolist() == [e % P]


# --- what the bounds rest on ---


def small(vector: list[int], limit: float, modulus: int = 0) -> float:
    """The probability that |⟨w, r⟩| is below ``limit``, modulo ``modulus`` if there is one, exactly."""
    size = modulus or 2 * sum(map(abs, vector)) + 1
    chance = np.zeros(size)
    chance[0] = 1
    for entry in vector:
        chance = chance / 2 + (np.roll(chance, entry) + np.roll(chance, -entry)) / 4
    places = np.arange(size)
    return float(chance[np.minimum(places, size - places) < limit].sum())


def test_a_long_vector_passes_a_projection_with_at_most_one_half() -> None:
    draw = np.random.default_rng(0)
    for trial in range(300):
        count = int(draw.integers(1, 14))
        one = draw.integers(1, 30, count) if trial % 2 else draw.geometric(0.2, count)
        assert small(one.tolist(), 0.18 * math.sqrt(int((one**2).sum()))) <= 0.5 + 1e-12
        # Modulo a prime, in which entries may be as large as they like: half of the largest one.
        modulus = 1009
        any_of_them = draw.integers(-504, 505, count)
        largest = int(np.abs(any_of_them).max())
        assert small(any_of_them.tolist(), largest / 2, modulus) <= 0.5 + 1e-12
    gauss = math.erf(0.18)  # 2 Φ(0.18 √2) − 1
    assert (
        gauss + 2 * 0.56 * 0.36 / math.sqrt(2) < 0.49
    )  # Berry and Esseen: no entry above 0.36 of the length


def test_a_short_vector_fails_with_less_than_two_to_the_minus_40() -> None:
    assert 2 * PROJECTIONS * math.exp(-SPREAD) < 2**-44
    draw = np.random.default_rng(0)
    for one in (draw.integers(-99, 99, 40), np.array([1]), np.array([9, 1, 1, 1]), np.ones(200, np.int64)):
        length, values = math.sqrt(int((one**2).sum())), np.arange(-2 * np.abs(one).sum(), 1)
        assert small(one.tolist(), 6 * length + 1e-9) > 1 - 2 * math.exp(-36) - 1e-12 and len(values)


def test_lengths_of_vectors_that_pass_do_not_wrap_around() -> None:
    assert SPREAD * LONGEST / 0.18**2 < P < SPREAD * (LONGEST + 1) / 0.18**2 + 1e4
    assert 4 * LONGEST < P // 2  # and neither do distances
    for bits_ in range(25):
        longest = ByzSecAgg(fraction_bits=bits_)
        assert longest.square == LONGEST
        most = LONGEST**0.5 / 2**bits_
        assert ByzSecAgg(fraction_bits=bits_, max_norm=0.999 * most).square < LONGEST
        with pytest.raises(ValueError, match=f"with {bits_} fraction bits max_norm can be at most .*lower"):
            ByzSecAgg(fraction_bits=bits_, max_norm=1.001 * most)
    assert ByzSecAgg(max_norm=3.0, fraction_bits=4).square == 48**2
    with pytest.raises(ValueError, match="max_norm can be at most"):
        ByzSecAgg(max_norm=0.01, fraction_bits=2)


# --- whole rounds ---


class Long(Double):
    """Deals a vector without looking at its length, and writes digits as its ``trick`` says."""

    trick: str

    def _bits(self) -> np.ndarray:
        padded = np.zeros(self.rules.blocks * self.rules.length, object)
        padded[: len(self._vector)] = self._vector
        exactly = projections(self._seed, len(padded)).astype(object) @ padded
        values = np.array([(int(z) + P // 2) % P - P // 2 for z in exactly])
        beta, each = self.rules.beta, weights(self.rules.beta)
        if self.trick == "clipped":
            return bits(values.clip(-beta, beta), beta)
        digits = np.zeros((PROJECTIONS, len(each)), np.int64)
        if self.trick == "first digit":  # right in sum, no bits
            digits[:, 0] = values + beta
        if self.trick == "minus one":
            digits[:, 0] = -1
            digits[:, 1] = [(int(z) + beta + 1) * pow(2, -1, P) % P for z in values]
        if self.trick == "square roots":  # f (f − 1) cancels between two digits: 2 and a root of f² − f + 2
            root = pow(-7, (P + 1) // 4, P)
            digits[:, 0], digits[:, 1] = 2, (1 + root) * pow(2, -1, P) % P
        if self.trick == "random":
            digits = np.random.default_rng(0).integers(0, 2, digits.shape)
        return digits.reshape(-1)


def long_round(vector: np.ndarray, trick: str, **fields) -> tuple:
    """A round of eight in which client 3 deals ``vector``, and what came out."""
    entries = len(vector)
    integers = {c: np.random.default_rng(c).integers(-99, 99, entries) for c in range(8)} | {3: vector}
    r = ByzSecAgg(**fields).start(tuple(range(8)), entries, generator=generator(0, "round"))
    substitute(r, 3, Long).trick = trick
    result = robust_sum(r, integers)
    exact(r, *result, {3}, [c for c in range(8) if c != 3], integers)
    return r, *result


TRICKS = ["clipped", "first digit", "minus one", "square roots", "random"]


@pytest.mark.parametrize("trick", TRICKS)
def test_a_vector_of_length_zero_modulo_p_is_refused_and_its_dealer_named(trick: str) -> None:
    r, *_ = long_round(np.append(isotropic(6), [0]), trick, max_norm=0.1)
    assert (
        r.server.guilty == {3: "dealt a vector that is not shown to be short"} and 3 not in r.server.accepted
    )


@pytest.mark.parametrize("trick", ["clipped", "first digit"])
def test_a_million_times_the_update_is_refused(trick: str) -> None:
    vector = np.random.default_rng(3).integers(-99, 99, 10) * 10**6
    r, *_ = long_round(vector, trick, max_norm=0.1)
    assert r.server.guilty.keys() == {3}


@pytest.mark.parametrize("trick", ["first digit", "minus one", "random"])
def test_digits_that_are_no_bits_are_refused_even_of_a_short_vector(trick: str) -> None:
    r, *_ = long_round(np.arange(6), trick, max_norm=0.1)
    assert r.server.guilty.keys() == {3}


def test_a_vector_as_long_as_allowed_passes_and_one_step_longer_does_not() -> None:
    # √(3² + 4²) and one more: projections do not tell these apart, the length does.
    fields = {"max_norm": 500.0, "fraction_bits": 0}
    for vector, guilty in (([300, 400], set()), ([300, 401], {3}), ([-500, 0], set()), ([0, 501], {3})):
        r, *_ = long_round(np.array(vector), "clipped", **fields)
        assert r.server.rules.square == 250_000 and r.server.guilty.keys() == guilty


def test_a_client_does_not_deal_what_it_cannot_prove() -> None:
    # Projections would let the first one pass, and 64 bits would let the second one overflow.
    for longer in (int(LONGEST**0.5) + 2, 2**62):
        r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(0, "round"))
        deal(r, {c: np.arange(6) + longer * (c == 5) * (np.arange(6) == 0) for c in range(8)})
        with pytest.raises(ValueError, match="client 5 has a vector that is longer than agreed on: refused"):
            check(r)


class Shifted(Double):
    """Its masks for its own length and check do not vanish at X^(K−1): it would add what it likes."""

    place: int

    def say(self, phase: ByzPhase, honest):
        if phase != ByzPhase.DEAL:
            return honest()
        uniform_masks = self._share

        def share(*polynomials):
            *_, masks = polynomials
            masks[self.rules.blocks - 1, self.place] = 1
            return uniform_masks(*polynomials)

        self._share = share
        said = honest()
        self._share = uniform_masks
        return said


@pytest.mark.parametrize("place", [3, 0, 8, 9])
def test_masks_that_would_move_a_length_or_a_check_are_complained_of(place: int) -> None:
    integers = {c: np.arange(6) for c in range(8)}
    r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(0, "round"))
    substitute(r, 3, Shifted).place = place
    deal(r, integers)
    check(r)
    assert r.server.guilty.keys() == {3} and 3 not in r.server.accepted


def test_lengths_and_checks_are_masked_and_only_their_coefficient_is_read() -> None:
    # The same vectors under other randomness: all coefficients but one differ.
    integers = {c: np.arange(6) + c for c in range(8)}
    seen = []
    for seed in range(2):
        r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(seed, "round"))
        deal(r, integers)
        check(r)
        distances(r)
        values = np.stack([r.server.answers[c].values for c in range(5)])[:, :16]
        seen.append(matmul(interpolation([*range(1, 6)]), values))
    same = seen[0] == seen[1]
    assert same[1].all() and not np.delete(same, 1, 0).any()
    assert seen[0][1].tolist() == [int((v**2).sum()) for v in integers.values()] + [0] * 8


def test_a_holder_answers_what_the_formulas_say() -> None:
    protocol = ByzSecAgg(byzantine=1, blocks=2, colluders=1, dropouts=1)
    r = protocol.start(tuple(range(9)), 7, generator=generator(0, "round"))
    deal(r, {c: np.arange(7) * (c - 4) for c in range(9)})
    check(r)
    client, accepted, rules = r.clients[6], (0, 2, 3, 8), r.server.rules
    answer = client.distances(Names(6, accepted)).values.tolist()
    held = {c: client._held[c] for c in accepted}
    first, second = ({c: rows[k][:-1].astype(object) for c, rows in held.items()} for k in (0, 1))
    mask = {c: rows.masks.tolist() for c, rows in held.items()}
    value = Check(client._seed, client._coin, 8, 2, rules.beta, rules.point_of(6)).value
    lengths = [int(first[c] @ second[c]) + mask[c][c] for c in accepted]
    checks = [int(value(held[c].first[:-1], held[c].bits[:-1])[0]) + mask[c][9] for c in accepted]
    pairs = [
        int((first[a] - first[b]) @ (second[a] - second[b])) + mask[a][b] + mask[b][a]
        for a, b in combinations(accepted, 2)
    ]
    assert answer == [number % P for number in (*lengths, *checks, *pairs)]
    assert len(mask[0]) == 11  # the last one is used by nobody: it blinds the combination
