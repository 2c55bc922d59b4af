"""Distances and priors: the numbers that their definitions say."""

import pytest
import torch
from torch import nn

from leaklib.attacks.search.objectives import (
    batch_norm_prior,
    cosine_distance,
    group_consistency,
    squared_error,
    total_variation,
)
from leaklib.client import batch_norm_statistics
from leaklib.models.parts.build import seeded
from leaklib.rng import generator


def vectors(scale: float = 1.0) -> tuple[dict, dict]:
    draw = generator(0, "vectors")
    a, b = ({"w": torch.randn(4, 3, generator=draw), "b": torch.randn(3, generator=draw)} for _ in range(2))
    return {n: t * scale for n, t in a.items()}, b


def test_squared_error_is_relative() -> None:
    observed = {"w": torch.tensor([3.0, 4.0])}
    assert squared_error({"w": torch.zeros(2)}, observed).item() == 1
    assert squared_error(observed, observed).item() == 0
    scaled = {"w": observed["w"] * 1e-12}
    assert squared_error({"w": 2 * scaled["w"]}, scaled).item() == pytest.approx(1)


@pytest.mark.parametrize("scale", [1.0, 1e-6, -1.0])
def test_cosine_distance_is_one_minus_the_cosine(scale: float) -> None:
    a, b = vectors(scale)
    flat = [torch.cat([t.flatten() for t in v.values()]) for v in (a, b)]
    cosine = nn.functional.cosine_similarity(flat[0] / abs(scale), flat[1], dim=0)
    assert cosine_distance(a, b).item() == pytest.approx(1 - cosine.item(), rel=1e-5)
    assert cosine_distance(b, b).item() == 0


def test_cosine_distance_keeps_its_digits_at_small_angles() -> None:
    target = {"w": torch.tensor([1.0, 0.0])}
    for angle in (1e-3, 1e-5, 1e-7):
        near = {"w": torch.tensor([1.0, angle])}
        assert cosine_distance(near, target).item() == pytest.approx(angle**2 / 2, rel=1e-3)
    # The textbook formula in the same float32 has nothing left of it.
    assert (1 - nn.functional.cosine_similarity(near["w"], target["w"], dim=0)).item() == 0


def test_cosine_distance_of_zeros_is_finite_with_its_gradient() -> None:
    zero = torch.zeros(2, requires_grad=True)
    distance = cosine_distance({"w": zero}, {"w": torch.tensor([3.0, 4.0])})
    (gradient,) = torch.autograd.grad(distance, zero)
    assert distance.item() == 0.5 and torch.isfinite(gradient).all()


def test_total_variation_counts_steps_between_neighbours() -> None:
    flat = torch.full((2, 1, 3, 8, 8), 0.3)
    assert total_variation(flat).tolist() == [0, 0]
    edge = flat.clone()
    edge[1, ..., 4:] += 0.5  # one step of 0.5 among 7 neighbours across, none down
    assert total_variation(edge).tolist() == pytest.approx([0, 0.5 / 7])


def test_group_consistency_is_the_distance_from_the_mean_of_the_group() -> None:
    same = torch.rand(1, 2, 3, 4, 4, generator=generator(0, "x")).expand(3, -1, -1, -1, -1)
    assert group_consistency(same).abs().max() < 1e-12
    apart = torch.stack([torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)])
    assert group_consistency(apart).tolist() == [0.25, 0.25]


def norms() -> nn.Sequential:
    return seeded(
        0,
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.BatchNorm2d(4),
            nn.Flatten(), nn.LazyLinear(5),
        ),
    )  # fmt: skip


def test_the_prior_is_zero_at_its_own_statistics_and_rises_away_from_them() -> None:
    model, draw = norms(), generator(0, "x")
    model(torch.zeros(2, 3, 8, 8))
    batch = torch.rand(4, 3, 8, 8, generator=draw)
    statistics = batch_norm_statistics(model, batch)
    assert set(statistics) == {"1", "4"} and statistics["4"].shape == (2, 4)
    assert batch_norm_prior(model, batch, statistics).item() == 0
    near, far = (
        batch_norm_prior(model, batch + s * torch.rand(4, 3, 8, 8, generator=draw), statistics)
        for s in (0.1, 1)
    )
    assert 0 < near < far
    guess = torch.full_like(batch, 0.5).requires_grad_()  # no variance at all: the worst case
    (gradient,) = torch.autograd.grad(batch_norm_prior(model, guess, statistics), guess)
    assert torch.isfinite(gradient).all() and gradient.any()
