"""Degrees and thresholds: what colluders open, and how seldom rounds on recommended graphs go wrong."""

from collections.abc import Collection
from itertools import combinations
from math import comb

import numpy as np
import pytest

from leaklib.aggregation.ccesa import recommended_probability, reliable
from leaklib.aggregation.crypto.primitives import public_key
from leaklib.aggregation.crypto.shamir import recover
from leaklib.aggregation.masking.client import pair_mask
from leaklib.aggregation.masking.graph import Graph, complete, components, erdos_renyi, ring
from leaklib.aggregation.masking.parameters import (
    _opened_or_lost,
    opened,
    private,
    recommended_graph,
    recommended_random_graph,
)
from leaklib.aggregation.masking.phases import Drop, Phase
from leaklib.aggregation.masking.round import majorities, masked_sums, start
from leaklib.rng import generator

G = generator(0, "graph")
RING, COMPLETE = ring(range(16), 6, generator=G), complete(range(20))
RANDOM = erdos_renyi(range(16), 0.6, generator=G)
SEVEN = next(client for client in RANDOM if len(RANDOM[client]) == 7)


def stolen(graph: Graph, victim: int, colluders: Collection[int]) -> np.ndarray | None:
    """What the server reads of ``victim`` after an honest round, with what ``colluders`` tell it.

    It has the victim's seed as the protocol wants it. None if the colluders' shares give no key.
    """
    thresholds = majorities(graph)
    r = start(graph, thresholds, generator=generator(0, "round"))
    masked_sums(r, inputs(graph))
    shares = {c: r.clients[c]._held[victim][1] for c in colluders}
    try:
        key = recover(shares, 32)
    except ValueError:
        return None
    assert public_key(key) == r.server.keys[victim].masking
    found = r.server.still_masked(victim, {})
    for other in graph[victim]:
        found -= pair_mask(key, r.server.keys[other].masking, victim, other, 4)
    return found


def inputs(graph: Graph) -> dict[int, np.ndarray]:
    draw = np.random.default_rng(0)
    return {client: draw.integers(0, 2**32, 4, dtype=np.uint32) for client in graph}


@pytest.mark.parametrize(("graph", "victim", "needed"), [(RING, 3, 4), (RANDOM, SEVEN, 5), (COMPLETE, 3, 11)])
def test_colluders_with_enough_shares_open_a_client_however_connected_the_rest_is(
    graph: Graph, victim: int, needed: int
) -> None:
    """4 of 6 neighbors on a ring, 5 of 7 on a random graph, 11 of 19 on the complete graph."""
    thresholds, neighbors = majorities(graph), sorted(graph[victim])
    colluders = neighbors[:needed]
    honest = set(graph).difference(colluders)
    assert len(components(graph, honest)) == 1
    assert opened(graph, thresholds, graph, colluders).count(victim) == 1
    assert not private(graph, thresholds, graph, colluders)
    assert np.array_equal(stolen(graph, victim, colluders), inputs(graph)[victim])
    fewer = colluders[1:]
    assert victim not in opened(graph, thresholds, graph, fewer)
    assert stolen(graph, victim, fewer) is None


def test_private_by_hand() -> None:
    path = {0: frozenset({1}), 1: frozenset({0, 2}), 2: frozenset({1})}
    three = dict.fromkeys(path, 3)  # out of reach
    assert private(path, three, range(3)) and not private(path, three, range(3), colluders=[1])
    assert private(path, three, range(3), colluders=[0]) and private(path, three, range(3), [0, 1, 2])
    assert not private(path, three, [0, 2])
    two = dict.fromkeys(path, 2)
    assert private(path, two, range(3), [0]) and not private(path, two, [1], [0, 2])
    # A colluder that dropped out holds its shares all the same; who is opened and gone sent nothing.
    assert opened(path, two, [1], [0, 2]) == [1] and private(path, two, [0], [2])
    assert not private(path, {0: 3, 1: 1, 2: 3}, [0, 1], [2])
    assert private(path, {0: 3, 1: 1, 2: 3}, [0], [2])


@pytest.mark.parametrize(("bad", "gone", "degree"), [(3, 2, 4), (0, 3, 4), (4, 0, 2), (2, 2, 7)])
def test_the_tails_are_exact(bad: int, gone: int, degree: int) -> None:
    """The mean number of clients opened, and lost, over all sets of colluders, and of dropouts."""
    n = 8
    graph = ring(range(n), 2 * -(-degree // 2), generator=generator(0, "ring"))
    bound = _opened_or_lost(n, bad, gone, degree, np.arange(degree + 2))
    for threshold in range(degree + 2):
        thresholds = dict.fromkeys(graph, threshold)
        colluding = list(combinations(range(n), bad))
        dropped = list(combinations(range(n), gone))
        exposed = [len(opened(graph, thresholds, set(range(n)).difference(c), c)) for c in colluding]
        lost = [sum(len((graph[v] | {v}) - set(d)) < threshold for v in graph) for d in dropped]
        assert bound[threshold] == pytest.approx(np.mean(exposed) + np.mean(lost), abs=1e-12)


def goes_wrong(graph: Graph, threshold: int | None, bad: int, gone: int, seed: int) -> bool:
    """With colluders and dropouts drawn, all of these before they send their update, or before the end."""
    draw, n = np.random.default_rng([seed, 9]), len(graph)
    names = draw.permutation(n).tolist()
    colluders, dropped = names[:bad], names[bad : bad + gone]
    thresholds = majorities(graph, threshold)
    drops = [Drop(c, [Phase.MASKED_INPUT, Phase.UNMASK][int(draw.integers(2))]) for c in dropped]
    safe = private(graph, thresholds, set(graph).difference(dropped), colluders)
    return not (safe and reliable(graph, thresholds, drops))


def test_rounds_on_a_recommended_ring_go_wrong_at_most_as_often_as_it_says() -> None:
    neighbors, threshold, bound = recommended_graph(40, 0.2, 0.1, 0.1)
    assert bound <= 0.1
    wrong = {
        k: sum(
            goes_wrong(ring(range(40), k, generator=generator(s, "r")), threshold, 8, 4, s)
            for s in range(100)
        )
        for k in (neighbors, 6)
    }
    assert wrong[neighbors] <= 100 * bound + 3 * (100 * bound) ** 0.5
    assert wrong[6] > 80


def test_rounds_on_a_recommended_random_graph_go_wrong_at_most_as_often_as_it_says() -> None:
    p = recommended_random_graph(40, 0.1, 0.1, 0.1)
    wrong = {
        q: sum(
            goes_wrong(erdos_renyi(range(40), q, generator=generator(s, "g")), None, 4, 4, s)
            for s in range(100)
        )
        for q in (p, p / 3)
    }
    assert wrong[p] <= 10 and wrong[p / 3] > 30


def test_what_is_recommended() -> None:
    third = recommended_graph(1000, 1 / 3, 0.05)
    assert third[:2] == (90, 66) and 2**-41 < third.failure <= 2**-40
    assert recommended_graph(1000, 0, 0.05)[:2] == (24, 10)
    # Nobody gone, nobody colluding: a circle, of whose shares all are there.
    assert recommended_graph(100, 0, 0) == (2, 3, 0.0)
    # So few that only the complete graph is left, on which two numbers decide.
    assert recommended_graph(10, 0.3, 0.3) == (10, 7, 0.0)
    with pytest.raises(ValueError, match="no graph protects against 5 of 10 clients colluding and 5"):
        recommended_graph(10, 0.5, 0.5)
    degrees = [recommended_graph(200, 0.2, 0.1, 2.0**-bits).neighbors for bits in (10, 20, 40, 60)]
    assert degrees == sorted(set(degrees))


def by_hand(n: int, bad: int, gone: int, p: float) -> float:
    """The bound of a random graph with majorities, from binomial coefficients alone."""
    honest, left, total = n - bad - gone, n - gone, 0.0
    for degree in range(n):
        needed = (degree + 1) // 2 + 1

        def chance(marked: int, count: int, degree: int = degree) -> float:
            return comb(marked, count) * comb(n - 1 - marked, degree - count) / comb(n - 1, degree)

        wrong = (n - bad) * sum(chance(bad, k) for k in range(needed, degree + 1))
        wrong += left * sum(chance(left - 1, k) for k in range(min(needed - 1, degree + 1)))
        wrong += gone * sum(chance(min(left, n - 1), k) for k in range(min(needed, degree + 1)))
        total += comb(n - 1, degree) * p**degree * (1 - p) ** (n - 1 - degree) * min(n, wrong)
    return total + sum(
        comb(honest, part) * (1 - p) ** (part * (honest - part)) for part in range(1, honest // 2 + 1)
    )


@pytest.mark.parametrize(
    ("n", "bad", "gone", "failure"),
    [
        (9, 0, 0, 0.05),
        (8, 0, 0, 0.9),
        (12, 3, 0, 0.3),
        (12, 0, 3, 0.3),
        (13, 2, 1, 0.01),
        (20, 4, 2, 0.9),
        (5, 1, 0, 0.99),
        (4, 0, 0, 0.99),
    ],
)
def test_a_random_graph_is_as_sparse_as_its_bound_allows(n: int, bad: int, gone: int, failure: float) -> None:
    p = recommended_random_graph(n, bad / n, gone / n, failure)
    assert by_hand(n, bad, gone, p) <= failure * (1 + 1e-9) and by_hand(n, bad, gone, p - 1.01e-4) > failure


def test_colluders_are_what_makes_random_graphs_dense() -> None:
    without, with_them = (recommended_random_graph(100, c, 0.05) for c in (0, 1 / 3))
    assert without < recommended_probability(100, 0.05) < with_them
    with pytest.raises(ValueError, match="no edge probability is enough for 50 of 100 colluding, 5 dropping"):
        recommended_random_graph(100, 0.5, 0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 0, 0), "clients must be at least 2, got 1"),
        ((10, -0.1, 0), "colluding must be at least 0 and below 1, got -0.1"),
        ((10, 0, 1.0), "dropping must be at least 0 and below 1, got 1.0"),
        ((10, 0, 0, 0.0), "failure must be above 0 and below 1, got 0.0"),
    ],
)
def test_what_is_no_fraction_is_refused(arguments: tuple, message: str) -> None:
    for recommend in (recommended_graph, recommended_random_graph):
        with pytest.raises(ValueError, match=message):
            recommend(*arguments)
