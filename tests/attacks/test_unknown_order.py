"""A client that shuffles: what it sends, the prior that holds in any order, and the attack."""

from dataclasses import replace

import pytest
import torch

from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.unknown_order import UnknownOrder, agreed, disagreement
from leaklib.client import FedAvg, FedSGD, Shuffled, epochs_apart, share
from leaklib.data import Photos
from leaklib.models.lenet import LeNet
from leaklib.rng import generator

MODEL = LeNet().build(0)
FOUR = Photos().batch(0, 4)
PAIRS = FedAvg(lr=0.1, epochs=3, batch_size=2)


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


# --- the client ---


def test_each_epoch_meets_every_example_once_in_an_order_of_its_own() -> None:
    orders = Shuffled(PAIRS, seed=1).order(4).view(3, 4)
    assert (orders.sort(1).values == torch.arange(4)).all()
    assert len({tuple(order.tolist()) for order in orders}) > 1
    assert torch.equal(Shuffled(PAIRS, seed=1).order(4).view(3, 4), orders)
    assert not torch.equal(Shuffled(PAIRS, seed=2).order(4).view(3, 4), orders)


def test_the_order_is_not_sent() -> None:
    update = share(MODEL, FOUR, Shuffled(PAIRS, seed=1))
    assert update.step == PAIRS
    assert not same(update.tensors, share(MODEL, FOUR, PAIRS).tensors)


def test_it_trains_in_that_order() -> None:
    """As one who takes its examples by hand, mini-batch after mini-batch."""
    step = Shuffled(PAIRS, seed=1)
    visits = step.order(4)
    by_hand = FedAvg(lr=0.1, batch_size=2)(MODEL, FOUR.inputs[visits], FOUR.labels[visits])
    assert same(step(MODEL, FOUR.inputs, FOUR.labels), by_hand)


def test_whole_batches_have_no_order() -> None:
    whole = FedAvg(lr=0.1, epochs=2)
    plain, mixed = whole(MODEL, FOUR.inputs, FOUR.labels), Shuffled(whole)(MODEL, FOUR.inputs, FOUR.labels)
    assert all(torch.allclose(plain[name], mixed[name], atol=1e-6) for name in plain)


def test_epochs_apart_are_the_step_itself_where_all_see_the_same() -> None:
    apart = epochs_apart(PAIRS, 4)(MODEL, FOUR.inputs.repeat(3, 1, 1, 1), FOUR.labels.repeat(3))
    assert same(apart, PAIRS(MODEL, FOUR.inputs, FOUR.labels))
    with pytest.raises(ValueError, match="mini-batches of 3 must divide the examples, got 4"):
        epochs_apart(replace(PAIRS, batch_size=3), 4)


# --- the prior ---


def visited(seed: int):
    """The pictures as the epochs met them: lanes × epochs × batch × C × H × W."""
    return FOUR.inputs[Shuffled(PAIRS, seed).order(4)].unflatten(0, (3, 4))[None]


@pytest.mark.parametrize("seed", range(3))
def test_the_prior_is_zero_at_the_truth_in_any_order(seed) -> None:
    assert disagreement(visited(seed)).item() < 1e-12


def test_the_prior_sees_what_the_epochs_do_not_share() -> None:
    draw = generator(0, "noise")
    pictures = visited(0) + 0.1 * torch.randn(visited(0).shape, generator=draw)
    value = disagreement(pictures)
    assert value > 1e-4
    assert torch.allclose(disagreement(pictures[:, [2, 0, 1]][:, :, [3, 1, 0, 2]]), value)


def test_orders_are_undone_by_matching() -> None:
    first = visited(1)[0, 0]
    assert torch.allclose(agreed(visited(1)[0]), first, atol=1e-6)


# --- the attack ---


@pytest.mark.parametrize("step", [FedSGD(), FedAvg(lr=0.1, batch_size=2)], ids=str)
def test_one_epoch_is_inverting_gradients(step) -> None:
    update = share(MODEL, FOUR, step, reveal_labels=True)
    ours, theirs = UnknownOrder(steps=5)(MODEL, update), InvertingGradients(steps=5)(MODEL, update)
    assert torch.equal(ours.inputs, theirs.inputs) and ours.loss == theirs.loss


def test_the_whole_line() -> None:
    update = share(MODEL, FOUR, Shuffled(PAIRS, seed=1), reveal_labels=True)
    found = UnknownOrder(steps=5)(MODEL, update)
    assert found.inputs.shape == FOUR.inputs.shape and torch.equal(found.labels, FOUR.labels)
    assert found.evaluations == 5
