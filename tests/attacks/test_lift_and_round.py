"""Lift and round: pictures of one label come back apart, from label counts alone."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from leaklib.attacks.dlg import DLG
from leaklib.attacks.lift_and_round import Grouped, LiftAndRound
from leaklib.attacks.parts.lift import Groups, WeightedStep, rounded, simplex, turned
from leaklib.attacks.search.coordinates import Coordinates, ScaledLBFGS
from leaklib.attacks.search.optimizers import LBFGS
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.quantize import Quantize
from leaklib.metrics import gray_floor, psnr, score
from leaklib.models.parts.build import seeded
from leaklib.rng import generator
from leaklib.types import Batch, Progress, Reconstruction, Update


@cache
def network() -> nn.Module:
    """A convolutional network on 8×8 pictures, wide enough to tell a pair apart."""

    def make() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, 48, 5, 2, 2), nn.GELU(),
            nn.Conv2d(48, 48, 5, 1, 2), nn.GELU(),
            nn.Flatten(), nn.Linear(768, 10),
        )  # fmt: skip

    return seeded(0, make)


def pair(*, reveal: bool = False) -> tuple[Batch, Update]:
    """Two windows of one photograph, and their gradient."""
    batch = Photos(size=8, only="astronaut").batch(0, 2)
    return batch, share(network(), batch, FedSGD(), reveal_labels=reveal)


def drawn(count: int, role: str = "pictures") -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=generator(0, role))


def test_weights_one_over_the_number_are_the_client_s_own_step() -> None:
    pictures, labels = drawn(4), torch.tensor([0, 1, 1, 5])
    ours = WeightedStep(torch.full((4,), 0.25))(network(), pictures, labels)
    theirs = FedSGD()(network(), pictures, labels)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-7) for name in theirs)


def test_a_picture_twice_at_half_the_weight_is_the_picture() -> None:
    batch, update = pair()
    groups = Groups(batch.labels, extra=2)
    lifted = groups.lifted(update)
    twice = lifted.step(network(), batch.inputs.repeat(2, 1, 1, 1), lifted.labels)
    assert all(torch.allclose(twice[name], update.tensors[name], atol=1e-7) for name in twice)


@pytest.mark.parametrize("corners", [2, 3, 7])
def test_corners_of_a_simplex_are_alike(corners: int) -> None:
    found = simplex(corners)
    assert torch.allclose(found.mean(0), torch.zeros(corners - 1).double(), atol=1e-12)
    assert torch.allclose(found.T @ found / corners, torch.eye(corners - 1).double(), atol=1e-12)
    distances = torch.cdist(found, found)[~torch.eye(corners).bool()]
    assert torch.allclose(distances, distances[:1], atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_pictures_that_were_only_doubled_are_rounded_to_themselves(count: int) -> None:
    """Their moments are those of the pictures, and up to the third no other such pictures have them."""
    truth = drawn(count)
    found = rounded(truth.repeat(2, 1, 1, 1), count)
    labels = torch.zeros(count).long()
    assert score(Reconstruction(found, labels, 0.0), Batch(truth, labels)).psnr.min() > 80


def test_rounding_keeps_what_means_and_products_of_deviations_say() -> None:
    many = drawn(5)
    few = rounded(many, 3)
    assert torch.allclose(few.mean(0), many.mean(0), atol=1e-5)
    a, b = ((x - x.mean(0)).flatten(1).double() for x in (few, many))
    left = b.T @ b / 5 - a.T @ a / 3  # the dropped deviations, and nothing else
    assert torch.linalg.matrix_rank(left, atol=1e-4) == 2


def test_a_rotation_is_found_by_its_third_moment() -> None:
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator(0, "turn"), dtype=torch.float64)).Q
    points = simplex(5) @ turn
    assert torch.cdist(turned(points, simplex(5)), points).min(1).values.max() < 1e-5


def test_coordinates_are_taken_there_and_back_by_a_symmetric_matrix() -> None:
    coordinates = Coordinates([3, 1], (2, 4, 6))
    one, other = torch.randn(2, 4 * 2 * 4 * 6, generator=generator(0, "points"), dtype=torch.float64)
    there = coordinates.scaled(one, 3.0, 1)
    assert torch.allclose(coordinates.scaled(there, 3.0, -1), one)
    assert torch.allclose(there @ other, one @ coordinates.scaled(other, 3.0, 1))
    assert there.square().mean() > 3 * one.square().mean()  # of four pictures two differences reach further


def test_steps_in_coordinates_find_the_same_minimum() -> None:
    """Of a quadratic with a strong mean and weak differences."""
    goal = torch.rand(2, 3 * 8 * 8, generator=generator(0, "goal"), dtype=torch.float64)
    means = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    weight = means + 0.1 * (torch.eye(2) - means)
    ends = []
    for scaled in (True, False):
        point = torch.full_like(goal, 0.5).flatten().requires_grad_()
        mover = ScaledLBFGS(point, Coordinates([2], (3, 8, 8)), 5) if scaled else LBFGS(point)
        for _ in range(60):
            miss = point.view_as(goal) - goal
            point.grad = torch.autograd.grad((miss * (weight @ miss)).sum(), point)[0]
            mover.step()
        ends.append((point.view_as(goal) - goal).square().mean().item())
    assert max(ends) < 1e-12


def test_where_the_curvature_is_negative_steps_grow_until_it_is_not() -> None:
    """L-BFGS learns nothing there, and its first step is tiny."""
    point = torch.full((2 * 3 * 8 * 8,), 0.1, dtype=torch.float64).requires_grad_()
    mover = ScaledLBFGS(point, Coordinates([2], (3, 8, 8)))
    for _ in range(30):
        point.grad = torch.autograd.grad(point.cos().sum(), point)[0]
        mover.step()
    assert point.cos().mean() < -0.99


def test_a_pair_that_a_search_leaves_as_parts_of_both_comes_back() -> None:
    """DLG stops where the mean of the two is right and their difference is not."""
    batch, update = pair()
    stuck = DLG(steps=20, known_labels=True)(network(), replace(update, labels=batch.labels))
    found = LiftAndRound(steps=20)(network(), update)
    floor = gray_floor(batch.inputs).max()
    assert score(stuck, batch).psnr.max() < 20 and floor < 14
    means = (x.inputs.mean(0, keepdim=True) for x in (stuck, batch))
    assert psnr(*means).item() > 30
    assert score(found, batch).psnr.min() > 60
    assert found.stop == "solved" and found.evaluations <= 400


def test_known_labels_and_counts_read_off_the_update_give_the_same_pictures() -> None:
    pictures, labels = drawn(5), torch.tensor([7, 2, 7, 0, 2])
    known = share(network(), Batch(pictures, labels), FedSGD(), reveal_labels=True)
    told, read = (LiftAndRound(steps=3)(network(), update) for update in (known, replace(known, labels=None)))
    assert told.labels.tolist() == [7, 2, 7, 0, 2] and read.labels.tolist() == [0, 2, 2, 7, 7]
    order = labels.argsort(stable=True)
    assert torch.equal(told.inputs[order], read.inputs) and told.groups == read.groups


def test_what_is_believed_of_each_label() -> None:
    pictures, labels = drawn(4), torch.tensor([3, 3, 3, 1])
    update = share(network(), Batch(pictures, labels), FedSGD())
    found = LiftAndRound(steps=10, extra=1)(network(), update)
    assert isinstance(found, Grouped)
    one, three = found.groups
    assert (one.label, one.count, three.label, three.count) == (1, 1, 3, 3)
    assert len(one.spectrum) == 1 and len(three.spectrum) == 4
    assert list(three.spectrum) == sorted(three.spectrum, reverse=True)
    assert one.loss == pytest.approx(one.alike, rel=1e-3) and three.loss < three.alike


def test_a_label_that_is_stuck_is_lifted_again() -> None:
    """Without more pictures than there are the first search is stuck, the second begins from a right mean."""
    batch, update = pair()
    seen = list[Progress]()
    found = LiftAndRound(steps=30, extra=0)(network(), update, callback=lambda at: seen.append(at))
    assert found.restarts == 1 and found.evaluations == len(seen) <= 600 and found.stop == "solved"
    assert [at.restart for at in seen] == sorted(at.restart for at in seen) and seen[-1].restart == 1
    assert {at.inputs.shape for at in seen} == {(2, 3, 8, 8)}
    assert score(found, batch).psnr.min() > 60


def test_one_label_alone_beside_the_right_others_leaves_nothing() -> None:
    pictures, labels = drawn(4), torch.tensor([0, 3, 3, 8])
    update = share(network(), Batch(pictures, labels), FedSGD())
    groups = Groups(labels, extra=2)
    assert groups.around(1) == [1, 2, 1]
    alone = groups.alone(1, network(), update, pictures[[0, 3]])
    again = alone.step(network(), pictures[1:3].repeat(2, 1, 1, 1), alone.labels)
    assert alone.num_examples == 4
    assert all(torch.allclose(again[name], update.tensors[name], atol=1e-7) for name in again)


def test_the_mean_pictures_alone_do_not_solve_a_batch() -> None:
    """They explain so much of this update that a search calls it solved; whoever is told so believes it."""
    _, update = pair()
    found = LiftAndRound(steps=1)(network(), update)
    assert found.evaluations == 20 and found.stop == "budget"


def test_without_repeated_labels_nothing_is_lifted() -> None:
    pictures, labels = drawn(2), torch.tensor([4, 1])
    update = share(network(), Batch(pictures, labels), FedSGD())
    found = LiftAndRound(steps=2)(network(), update)
    assert found.groups == () and found.evaluations == 40 and found.labels.tolist() == [1, 4]


@pytest.mark.parametrize("end", [3, 25])
def test_a_callback_counts_on_through_both_searches_and_stops_either(end: int) -> None:
    _, update = pair()
    seen = list[Progress]()

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return progress.evaluation == end

    found = LiftAndRound(steps=2)(network(), update, callback=watch)
    assert [progress.evaluation for progress in seen] == list(range(1, end + 1))
    assert {progress.inputs.shape for progress in seen} == {(2, 3, 8, 8)}
    assert found.stop == "stopped" and found.evaluations == end and found.inputs.shape == (2, 3, 8, 8)


def test_all_evaluations_are_spent_and_not_one_more() -> None:
    _, update = pair()
    seen = []
    found = LiftAndRound(steps=2, lift=0.33)(
        network(), update, callback=lambda at: seen.append(at.evaluation)
    )
    assert found.evaluations == len(seen) == 40


def test_the_same_seed_gives_the_same_pictures() -> None:
    _, update = pair()
    first, again, other = (
        LiftAndRound(steps=1)(network(), update, generator=generator(seed, "attack")) for seed in (1, 1, 2)
    )
    assert torch.equal(first.inputs, again.inputs) and not torch.equal(first.inputs, other.inputs)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [(FedAvg(lr=0.1), "FedAvg"), (FedSGD(max_grad_norm=1.0), "max_grad_norm"), (Quantize(8), "Quantize")],
)
def test_what_was_not_computed_as_one_plain_gradient_is_refused(step: object, sentence: str) -> None:
    batch, plain = pair()
    update = step(plain) if isinstance(step, Quantize) else share(network(), batch, step)
    with pytest.raises(ValueError, match=f"LiftAndRound needs .*{sentence}"):
        LiftAndRound()(network(), update)
