"""Signal matching: the error signal is kept, and a client that is sure of its label hides nothing by it."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.naive import Naive, Precise
from leaklib.attacks.parts.signals import Free, SignalStep, shared_out
from leaklib.attacks.search.matching import Search, yardstick
from leaklib.attacks.search.optimizers import BoxedAdam
from leaklib.attacks.signal_matching import SignalMatching
from leaklib.client import Average, FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.metrics import psnr, score
from leaklib.models.parts.build import seeded
from leaklib.named import flatten
from leaklib.rng import generator
from leaklib.types import Batch, Update

PLAIN = FedSGD()


def network(*, sure: float = 1.0, bias: bool = True) -> nn.Module:
    """A small network on 8×8 pictures; with a larger last layer it is surer of whatever it says."""

    def make() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, 24, 5, 2, 2), nn.GELU(),
            nn.Conv2d(24, 24, 5, 1, 2), nn.GELU(),
            nn.Flatten(), nn.Linear(384, 10, bias=bias),
        )  # fmt: skip

    model = seeded(0, make)
    with torch.no_grad():
        model[-1].weight *= sure
    return model


@cache
def learned() -> nn.Module:
    """The same after 300 steps of Adam: on some pictures it is sure, and rightly so."""
    model, draw = network(), generator(0, "learning")
    crops = Photos(size=8, side="left").crops(500, generator=draw)
    mover = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(300):
        some = torch.randint(500, (32,), generator=draw)
        mover.zero_grad()
        cross_entropy(model(crops.inputs[some]), crops.labels[some]).backward()
        mover.step()
    return model


def signals(model: nn.Module, batch: Batch) -> torch.Tensor:
    return model(batch.inputs).softmax(1) - one_hot(batch.labels, 10)


def fitted(step: FedSGD = PLAIN) -> tuple[nn.Module, Batch, Update]:
    """The first picture whose label the trained network gives 1 - 10⁻⁴ or more, though not all."""
    model, photos = learned(), Photos(size=8, side="right")
    batches = (photos.batch(i, 1) for i in range(240))
    batch = next(b for b in batches if 1e-6 < -signals(model, b)[0, b.labels].item() < 1e-4)
    return model, batch, share(model, batch, step, reveal_labels=True)


def client(
    step: FedSGD | FedAvg | Average = PLAIN, size: int = 1, sure: float = 1.0
) -> tuple[nn.Module, Batch, Update]:
    model, batch = network(sure=sure), Photos(size=8).batch(0, size)
    return model, batch, share(model, batch, step, reveal_labels=True)


# --- the step ---


@pytest.mark.parametrize("size", [1, 3])
def test_at_the_truth_the_step_gives_what_the_client_sent(size: int) -> None:
    model, batch, update = client(size=size, sure=20.0)
    made = SignalStep(FedSGD())(model, batch.inputs, signals(model, batch)[:, None])
    assert torch.allclose(flatten(made), flatten(update.tensors), rtol=1e-4, atol=1e-7)


def test_of_local_steps_each_has_its_own_signal() -> None:
    model, batch = network(sure=3.0).double(), Photos(size=8).batch(0, 4)
    batch = batch.to("cpu", torch.float64)
    step = FedAvg(lr=0.05, epochs=3, batch_size=2)
    observed, weights = step(model, batch.inputs, batch.labels), {}
    each = torch.zeros(4, 3, 10, dtype=torch.float64)
    moving = network(sure=3.0).double()
    for epoch in range(3):
        for some in (slice(0, 2), slice(2, 4)):
            part = Batch(batch.inputs[some], batch.labels[some])
            each[some, epoch] = signals(moving, part).detach()
            for name, gradient in FedSGD()(moving, part.inputs, part.labels).items():
                weights = dict(moving.named_parameters())
                weights[name].data -= 0.05 * gradient.detach()
    made = SignalStep(step)(model, batch.inputs, each)
    assert torch.allclose(flatten(made), flatten(observed), rtol=1e-9, atol=1e-12)


def test_lanes_have_the_updates_that_they_would_have_alone() -> None:
    model, batch, _ = client(size=2, sure=5.0)
    guesses = torch.stack([batch.inputs, batch.inputs.flip(0)])
    each = torch.rand(2, 2, 2, 10, generator=generator(0, "signals"))
    for step in (FedSGD(), FedAvg(epochs=2)):
        given_ = each if isinstance(step, FedAvg) else each[:, :, :1]
        together = SignalStep(step)(model, guesses, given_, lanes=True)
        for lane in range(2):
            alone = SignalStep(step)(model, guesses[lane], given_[lane])
            assert torch.allclose(
                flatten({n: t[lane] for n, t in together.items()}), flatten(alone), atol=1e-6
            )


# --- free signals ---


@pytest.mark.parametrize("label", range(4))
@pytest.mark.parametrize("spread", [0.1, 3, 60])
def test_a_free_signal_is_one_that_an_example_can_have(spread: float, label: int) -> None:
    free = Free(torch.tensor([label]), torch.zeros(1, 3, 4, dtype=torch.float64))
    numbers = spread * torch.randn(1, 12, generator=generator(label, "u"), dtype=torch.float64)
    found = free.given(numbers)[0, 0]
    assert torch.allclose(found.sum(1), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    others = found[:, [i for i in range(4) if i != label]]
    assert (found[:, label] <= 1e-12).all() and (found[:, label] >= -1).all()
    assert (others >= 0).all() and (others <= 1).all()


def test_signals_are_shared_out_so_that_their_mean_is_near() -> None:
    _, batch, update = client(size=4)
    mean = update.tensors["5.bias"]
    found = shared_out(mean, batch.labels)
    assert torch.allclose(found.sum(1), torch.zeros(4), atol=1e-6)
    assert (found.mean(0) - mean).norm() < 0.25 * mean.norm()
    assert (found.gather(1, batch.labels[:, None]) < 0).all()


def test_a_hidden_signal_gets_a_small_share_and_not_none() -> None:
    mean = torch.tensor([-0.5, 0.4, 0.05, 0.05])  # the second example's entry is above 0: the first hides it
    found = shared_out(mean, torch.tensor([0, 1]))
    assert -0.02 < found[1, 1] < 0 and torch.isfinite(found).all()


def test_where_nothing_of_the_signal_was_sent_all_classes_are_alike() -> None:
    assert shared_out(torch.zeros(4), torch.tensor([2])).tolist() == [[0.25, 0.25, -0.75, 0.25]]


# --- the attack ---


def test_who_is_sure_of_the_label_hides_the_picture_from_dlg_alone() -> None:
    model, batch, update = fitted()
    budget = 10
    plain = Precise(DLG(steps=budget, known_labels=True))(model, update)
    kept = SignalMatching(steps=budget)(model, update)
    assert psnr(plain.inputs, batch.inputs).item() < 40
    assert psnr(kept.inputs, batch.inputs).item() > 100
    # The label is read off the signal, and the softmax, which the search never saw, agrees in the end.
    assert SignalMatching(steps=1)(model, replace(update, labels=None)).labels == batch.labels
    assert kept.loss < 1e-5 < plain.loss


def test_clipping_one_example_only_makes_its_signal_smaller() -> None:
    model, batch, update = fitted(FedSGD(max_grad_norm=1e-6))
    found = SignalMatching(steps=10)(model, update)
    assert psnr(found.inputs, batch.inputs).item() > 60


@pytest.mark.parametrize("step", [FedSGD(), FedAvg(lr=0.02, epochs=2)], ids=repr)
def test_two_examples_come_back_with_signals_of_their_own(step) -> None:
    model, batch, update = client(step, size=2, sure=5.0)
    found = SignalMatching(steps=15)(model, update)
    assert score(found, batch).psnr.min() > 30


def test_through_a_mechanism_the_signal_is_free_and_its_distance_decides() -> None:
    model, batch, update = client()
    sent = Quantize(8)(update)
    knows, naive = (a(model, sent) for a in (SignalMatching(steps=10), Naive(SignalMatching(steps=10))))
    assert psnr(knows.inputs, batch.inputs).item() > psnr(naive.inputs, batch.inputs).item() + 1


@pytest.mark.parametrize("attack", [SignalMatching(steps=2), Precise(IDLG(steps=2))], ids=repr)
def test_without_a_mechanism_a_naive_attacker_gets_the_same_numbers(attack) -> None:
    model, _, update = client()
    sent = Identity()(update)
    assert torch.equal(attack(model, sent).inputs, Naive(attack)(model, sent).inputs)


@pytest.mark.parametrize(
    ("step", "size", "says"),
    [
        (FedSGD(max_grad_norm=1.0), 2, "clipped only where they come from one example"),
        (FedAvg(batch_size=2), 3, "mini-batches of one size"),
        (Average(FedSGD(), 2), 2, "needs updates from FedSGD"),
    ],
)
def test_what_has_no_signal_to_keep_is_refused(step, size: int, says: str) -> None:
    model, _, update = client(step, size=size)
    with pytest.raises(ValueError, match=says):
        SignalMatching()(model, update)


def test_a_last_layer_without_bias_is_refused() -> None:
    model = network(bias=False)
    update = share(model, Photos(size=8).batch(0, 1), FedSGD(), reveal_labels=True)
    with pytest.raises(ValueError, match="the gradient of the last layer's bias, and this layer has none"):
        SignalMatching()(model, update)


# --- what is solved ---


def test_gray_that_scores_millions_makes_no_guess_solved() -> None:
    assert yardstick(5e7) == 1 and yardstick(0.2) == 0.2

    class Standing:
        def __init__(self, point: torch.Tensor) -> None: ...

        def step(self) -> None: ...

    model, batch, update = fitted()
    search = Search(model, update, batch.labels, Standing, 500, restarts=3, patience=100)
    found = search.run(generator(0, "attack"))
    assert found.baseline > 1e6 and found.restarts == 3  # each start was over, and none of them was solved


def test_adam_keeps_only_the_pictures_in_their_box() -> None:
    point = torch.full((4,), 0.9).requires_grad_()
    mover = BoxedAdam(point, lr=1.0, steps=10, signed=False, inside=2)
    point.grad = -torch.ones(4)
    mover.step()
    assert point.tolist()[:2] == [1, 1] and min(point.tolist()[2:]) > 1.5
