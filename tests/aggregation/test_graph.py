"""Graphs of neighbors: complete, ring, random; and their connected parts."""

import math

import pytest

from leaklib.aggregation.masking.graph import complete, components, edges, erdos_renyi, ring
from leaklib.rng import generator


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_neighbors_have_each_other_and_never_themselves(n: int, seed: int) -> None:
    clients = [3 * i + 1 for i in range(n)]
    g = generator(seed, "graph")
    for graph in (complete(clients), ring(clients, 4, generator=g), erdos_renyi(clients, 0.4, generator=g)):
        assert list(graph) == clients or set(graph) == set(clients)
        assert all(one in graph[other] for one in graph for other in graph[one])
        assert all(one not in graph[one] for one in graph)


def test_degrees_and_edges() -> None:
    assert edges(complete(range(10))) == 45
    circle = ring(range(10), 6, generator=generator(0, "graph"))
    assert edges(circle) == 30 and {len(others) for others in circle.values()} == {6}
    assert ring(range(5), 6, generator=generator(0, "graph")) == complete(range(5))
    assert edges(erdos_renyi(range(10), 1.0, generator=generator(0, "graph"))) == 45
    assert edges(erdos_renyi(range(10), 0.0, generator=generator(0, "graph"))) == 0
    drawn = sum(edges(erdos_renyi(range(50), 0.3, generator=generator(seed, "g"))) for seed in range(40))
    pairs = 40 * 50 * 49 / 2
    assert abs(drawn - 0.3 * pairs) < 4 * math.sqrt(pairs * 0.3 * 0.7)


def test_a_ring_falls_apart_only_where_as_many_drop_out_as_a_client_has_neighbors() -> None:
    circle = ring(range(12), 4, generator=generator(0, "graph"))
    for one in circle:
        assert len(components(circle, set(circle) - circle[one])) == 2
        assert len(components(circle, set(circle) - set(sorted(circle[one])[:3]))) == 1


def test_components_by_hand() -> None:
    graph = {0: {1}, 1: {0, 2}, 2: {1}, 5: {6}, 6: {5}, 9: set()}
    path = {one: frozenset(others) for one, others in graph.items()}
    assert components(path) == ((0, 1, 2), (5, 6), (9,))
    assert components(path, {0, 2, 5, 6}) == ((0,), (2,), (5, 6))
    assert components(path, ()) == ()


@pytest.mark.parametrize("neighbors", [-2, 0, 1, 3])
def test_a_ring_needs_an_even_number_of_neighbors(neighbors: int) -> None:
    with pytest.raises(ValueError, match=f"neighbors must be even and at least 2, got {neighbors}"):
        ring(range(10), neighbors, generator=generator(0, "graph"))


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_probability_is_between_0_and_1(probability: float) -> None:
    with pytest.raises(ValueError, match=r"edge_probability must be in 0..1"):
        erdos_renyi(range(10), probability, generator=generator(0, "graph"))
