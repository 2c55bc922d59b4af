"""Multi-Krum on distances that a reader can check by hand."""

import pytest
import torch

from leaklib.aggregation.byzantine.krum import multi_krum, squared_distances
from leaklib.rng import generator


def test_scores_by_hand() -> None:
    # Five on a line, A = 1: each score sums the two nearest. 0: 1+4, 1: 1+1, 2: 1+4, 4: 4+9, 100: far.
    distances = squared_distances(torch.tensor([[0.0], [1.0], [2.0], [4.0], [100.0]]))
    assert distances[0].tolist() == [0, 1, 4, 16, 10_000]
    assert multi_krum(distances, 1, 1) == (1,)
    assert multi_krum(distances, 1, 3) == (0, 1, 2)


def test_outliers_are_never_kept_however_far_and_whoever_they_are() -> None:
    g = generator(0, "clients")
    for trial in range(50):
        vectors = torch.randn(11, 20, generator=g, dtype=torch.float64)
        bad = torch.randperm(11, generator=g)[:3].tolist()
        vectors[bad] += 10.0 ** (1 + trial % 6)  # all in one place: they vouch for each other
        assert not set(multi_krum(squared_distances(vectors), 3, 4)) & set(bad)


def test_too_few_clients_are_refused() -> None:
    with pytest.raises(ValueError, match="multi-Krum needs at least 5 clients"):
        multi_krum(torch.zeros(4, 4), 2, 1)
    with pytest.raises(ValueError, match="needs at least 7 clients to select 7"):
        multi_krum(torch.zeros(6, 6), 1, 7)
