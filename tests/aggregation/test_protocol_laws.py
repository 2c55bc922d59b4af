"""Small laws of the protocols' parts: what the longer tests walk past."""

from dataclasses import replace

import pytest
import torch

from leaklib.aggregation.masking.graph import complete, edges, erdos_renyi, ring
from leaklib.aggregation.parts.pooled import mean, pooled
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Update


def update(client: int, **fields) -> Update:
    return replace(Update({"w": torch.full((2,), float(client))}, FedSGD(), 1, (3,), client=client), **fields)


# --- the mean of several ---


def test_of_several_sensitivities_the_mean_has_the_largest() -> None:
    sent = tuple(update(c, sensitivity=s) for c, s in enumerate((0.1, 0.4, 0.2)))
    assert pooled(sent, mean(sent)).sensitivity == pytest.approx(0.4 / 3)
    unclipped = (*sent[:2], update(2))
    assert pooled(unclipped, mean(unclipped)).sensitivity is None


# --- graphs ---


def test_graphs_depend_on_the_generator_alone() -> None:
    before = torch.get_rng_state()
    for draw in (
        lambda g: ring(range(40), 4, generator=g),
        lambda g: erdos_renyi(range(40), 0.3, generator=g),
    ):
        once, again, other = (draw(generator(seed, "graph")) for seed in (0, 0, 1))
        assert once == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_a_ring_is_complete_only_where_it_must_be() -> None:
    g = generator(0, "graph")
    assert edges(ring(range(6), 4, generator=g)) == 12
    assert ring(range(5), 4, generator=g) == complete(range(5))
    assert isinstance(edges(complete(range(3))), int)
