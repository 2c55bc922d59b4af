"""On a random graph the server reads the sum of each connected part of the survivors, exactly that."""

import math

import numpy as np
import pytest
import torch

from leaklib.aggregation.ccesa import (
    CCESA,
    recommended_probability,
    recommended_threshold,
    reliable,
)
from leaklib.aggregation.masking.graph import components, erdos_renyi
from leaklib.aggregation.masking.parameters import private
from leaklib.aggregation.masking.phases import Drop, Phase
from leaklib.aggregation.masking.round import majorities, masked_sums, start
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Update


def updates(clients: int, seed: int = 0) -> tuple[Update, ...]:
    g = generator(seed, "updates")
    return tuple(
        Update({"w": torch.randn(9, generator=g)}, FedSGD(), 1, (9,), client=c) for c in range(clients)
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_server_reads_the_mean_of_each_part_and_the_round_fails_exactly_if_unreliable(seed: int) -> None:
    g = generator(seed, "case")
    n = int(torch.randint(5, 14, (1,), generator=g))
    probability = 0.15 + 0.5 * torch.rand(1, generator=g).item()
    gone = torch.randperm(n, generator=g)[: n // 5].tolist()
    drops = tuple(Drop(c, Phase(int(torch.randint(0, 5, (1,), generator=g)))) for c in gone)
    sent, aggregation = updates(n, seed), CCESA(probability, threshold=seed % 3 + 1, dropped=drops)
    graph = aggregation.graph(list(range(n)), generator=generator(seed, "graph"))
    if not reliable(graph, majorities(graph, aggregation.threshold), drops):
        few = r"needs|cannot be unmasked: it takes \d+ shares of its (seed|masking key), got \d"
        with pytest.raises(ValueError, match=few):
            aggregation(sent, generator=generator(seed, "graph"))
        return
    view = aggregation(sent, generator=generator(seed, "graph"))
    survivors = {c for c in range(n) if all(d.client != c or d.before > Phase.MASKED_INPUT for d in drops)}
    assert tuple(u.clients for u in view.updates) == components(graph, survivors)
    assert private(graph, majorities(graph), survivors) == (len(view.updates) == 1)
    for read in view.updates:
        true = torch.stack([sent[c].tensors["w"].double() for c in read.clients]).mean(0)
        assert (read.tensors["w"] - true).abs().max() < 1e-6
        assert read.num_examples == len(read.clients)


def test_both_outcomes_of_the_test_above_occur() -> None:
    # With neighbors enough for every threshold, and with too few.
    assert CCESA(1.0)(updates(6), generator=generator(0, "g")).updates[0].clients == (0, 1, 2, 3, 4, 5)
    with pytest.raises(ValueError, match="needs 2 clients"):
        CCESA(0.0, threshold=2)(updates(6), generator=generator(0, "g"))
    # Nobody has a neighbor, nobody has a mask that stays: the server would read every update by itself.
    with pytest.raises(
        ValueError, match="client 0 needs 2 clients of its neighborhood that hold shares, got 1"
    ):
        CCESA(0.0)(updates(6), generator=generator(0, "g"))
    alone = CCESA(0.0, minimum=1)(updates(6), generator=generator(0, "g"))
    assert [u.clients for u in alone.updates] == [(c,) for c in range(6)]


def test_on_the_complete_graph_it_is_secure_aggregation() -> None:
    sent = updates(7)
    ours, theirs = (a(sent, generator=generator(0, "g")).updates[0] for a in (CCESA(1.0), SecAgg()))
    assert torch.equal(ours.tensors["w"], theirs.tensors["w"])


def test_each_way_to_be_unreliable() -> None:
    path = {0: frozenset({1}), 1: frozenset({0, 2}), 2: frozenset({1})}
    two, one = dict.fromkeys(path, 2), dict.fromkeys(path, 1)
    assert reliable(path, two)
    assert not reliable(path, two, [Drop(1, Phase.UNMASK)])  # the seeds of 0 and 2
    assert not reliable(path, two, [Drop(0, Phase.MASKED_INPUT)])  # the key of 0, and 1 needs it
    assert not reliable(path, two, [Drop(1, Phase.ADVERTISE_KEYS)])  # 0 and 2 have nobody to share with
    assert not reliable(path, two, [Drop(c, Phase.MASKED_INPUT) for c in path])  # nobody is left
    assert reliable(path, one, [Drop(0, Phase.MASKED_INPUT)])
    # Below the minimum clients refuse: without a neighbor that shares, that dealt, that survives.
    for before in (Phase.ADVERTISE_KEYS, Phase.SHARE_KEYS, Phase.MASKED_INPUT):
        drops = [Drop(1, before)]
        assert not reliable(path, one, drops) and reliable(path, one, drops, minimum=1)
    assert reliable(path, one, [Drop(1, Phase.UNMASK)])
    assert not reliable(path, one, [Drop(0)], minimum=3)


def test_the_recommended_probability() -> None:
    assert recommended_probability(100) == pytest.approx(0.6362, abs=1e-4)
    assert recommended_probability(100, 0.1) == pytest.approx(0.7953, abs=1e-4)
    assert [recommended_probability(n) for n in (1, 2, 3, 10)] == [1.0] * 4
    values = [recommended_probability(n, 0.1) for n in (100, 300, 1000, 3000)]
    assert values == sorted(values, reverse=True) and values[-1] > 0.1
    with pytest.raises(ValueError, match=r"dropout must be in 0..0.5, 0.5 left out, got 0.5"):
        recommended_probability(100, 0.5)


def test_the_recommendation_is_where_the_bound_on_every_degree_meets_the_threshold() -> None:
    # Those of n − 1 neighbors who stay number at least (n−1) p (1−q) − slack, and the threshold is a majority
    # of at most (n−1) p + slack: the two meet at p*.
    n, q = 1000, 0.1
    p, slack = recommended_probability(n, q), math.sqrt((n - 1) * math.log(n - 1))
    holders, largest = (n - 1) * p * (1 - q) - slack + 1, (n - 1) * p + slack + 1
    assert holders == pytest.approx(largest / 2, abs=1e-6)
    assert recommended_threshold(n, p) == math.ceil(largest / 2)


@pytest.mark.parametrize("n", [30, 60])
def test_recommended_graphs_are_connected_and_reliable(n: int) -> None:
    for seed in range(20):
        graph = erdos_renyi(range(n), recommended_probability(n), generator=generator(seed, "g"))
        assert private(graph, majorities(graph), range(n)) and reliable(graph, majorities(graph))


@pytest.mark.parametrize(
    ("before", "gone"), [(Phase.SHARE_KEYS, Phase.UNMASK), (Phase.ADVERTISE_KEYS, Phase.MASKED_INPUT)]
)
def test_whoever_refuses_ends_the_round_even_if_it_would_have_dropped_out(before: Phase, gone: Phase) -> None:
    """Client 0 has too few around it once client 3 is gone, and says so before it drops out itself."""
    edges = {0: {1, 3}, 1: {0, 2, 4}, 2: {1, 4}, 3: {0}, 4: {1, 2}}
    graph = {client: frozenset(others) for client, others in edges.items()}
    one, drops = dict.fromkeys(graph, 1), [Drop(3, before), Drop(0, gone)]
    words = {client: np.zeros(2, np.uint32) for client in graph}
    for minimum, ends in ((2, True), (3, False)):
        assert reliable(graph, one, drops, minimum) == ends
        r = start(graph, one, generator=generator(0, "r"), minimum=minimum)
        if ends:
            survivors = (1, 2, 4) if gone == Phase.MASKED_INPUT else (0, 1, 2, 4)
            assert list(masked_sums(r, words, drops)) == [survivors]
            continue
        with pytest.raises(ValueError, match=r"client 0 needs 3 clients .* hold shares, got 2"):
            masked_sums(r, words, drops)
