"""Why an attack ended: every reason is reached, and is the true one."""

import typing
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from leaklib.attacks.candidates import Candidates
from leaklib.attacks.dlg import DLG, IDLG, INNER
from leaklib.attacks.gauss_newton import GaussNewton
from leaklib.attacks.grad_inversion import GradInversion
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.naive import Naive, Precise
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.search.matching import PATIENCE, STUCK, Search, explain, yardstick
from leaklib.attacks.search.targets import Soft
from leaklib.attacks.signal_matching import SignalMatching
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.models.parts.build import seeded
from leaklib.types import Attack, Callback, Reconstruction, Stop, Update


def small() -> tuple[nn.Module, Update, Tensor]:
    """A sigmoid network on pictures of 4×4, its update, and the picture."""
    batch = Photos(size=4).batch(0, 1)
    model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Sigmoid(), nn.Linear(8, 10)))
    return model, share(model, batch, FedSGD(), reveal_labels=True), batch.inputs


class Standing(torch.optim.Optimizer):
    """Moves nowhere."""

    def __init__(self, point: Tensor) -> None:
        super().__init__([point], {})

    def step(self, closure: None = None) -> None: ...


class Knowing(Standing):
    """Moves to the truth at once."""

    def __init__(self, point: Tensor) -> None:
        super().__init__(point)
        self.point = point

    def step(self, closure: None = None) -> None:
        self.point.data[:] = small()[2].flatten()


def search(
    optimizer: type[Standing], callback: Callback | None = None, **options: float | None
) -> Reconstruction:
    model, update, _ = small()
    options = {"evaluations": 1000, "restarts": 1} | options
    return Search(model, update, update.labels, optimizer, callback=callback, **options).run()


@pytest.mark.parametrize(
    ("stop", "optimizer", "options", "evaluations"),
    [
        ("stuck", Standing, {}, 2 * (PATIENCE + 1)),
        ("stuck", Standing, {"patience": 9}, 20),
        ("budget", Standing, {"patience": 9, "evaluations": 105, "restarts": None}, 105),
        ("solved", Knowing, {"patience": 9, "evaluations": 105, "restarts": None}, 11),
        ("budget", Standing, {"evaluations": 300}, 300),
        ("budget", Standing, {"evaluations": 30, "patience": None}, 30),
        ("solved", Knowing, {"patience": 9}, 11),
        ("solved", Knowing, {"evaluations": 30, "patience": None}, 30),
        ("floor", Knowing, {"enough": 0.01}, 2),
    ],
)
def test_a_search_says_why_it_ended(
    stop: Stop, optimizer: type[Standing], options: dict[str, float | None], evaluations: int
) -> None:
    found = search(optimizer, **options)
    assert found.stop == stop and found.evaluations in (evaluations, evaluations - 1)
    assert (found.loss <= STUCK * yardstick(found.baseline)) == (optimizer is Knowing)


def test_dlg_begins_again_until_its_evaluations_are_spent() -> None:
    """An update that nothing explains."""
    model, update, _ = small()
    strange = {name: torch.ones_like(tensor) for name, tensor in update.tensors.items()}
    strange["3.bias"] = update.tensors["3.bias"]  # the labels can be read
    strange = replace(update, tensors=strange)
    steps = 60
    once, ours = (DLG(steps=steps, restarts=restarts)(model, strange) for restarts in (0, None))
    assert once.stop == "stuck" and once.evaluations < steps * INNER and once.restarts == 0
    assert ours.stop == "budget" and ours.evaluations == steps * INNER and ours.restarts > 0
    assert DLG().restarts is None


def test_a_blend_of_labels_that_fits_is_not_a_solution() -> None:
    """What counts is how well the one label explains the update that the result claims."""
    model, update, picture = small()
    search = Search(model, update, None, Standing, evaluations=10)
    search.aims = Soft(1, 10)
    for label in range(10):
        found = explain(model, update, picture, torch.tensor([label]))
        assert search.why(1e-9, found) == ("solved" if label == update.labels else "stuck")


def test_whoever_calls_an_attack_off_reads_so() -> None:
    found = search(Standing, callback=lambda progress: progress.evaluation == 3)
    assert found.stop == "stopped" and found.evaluations == 3
    # Even where the picture was there already.
    assert search(Knowing, callback=lambda progress: progress.evaluation == 3).stop == "stopped"


@pytest.mark.parametrize(
    ("attack", "stop"),
    [
        (DLG(steps=1), "solved"),
        (DLG(steps=1, optimizer="adam"), "budget"),
        (IDLG(steps=1, optimizer="adam"), "budget"),
        (InvertingGradients(steps=3), "budget"),
        (GradInversion(steps=3, statistics="none"), "budget"),
        (SignalMatching(steps=1), "solved"),
        (Naive(IDLG(steps=1, optimizer="adam")), "budget"),
        (Precise(IDLG(steps=1, optimizer="adam")), "budget"),
        (GaussNewton(), "solved"),
        (GaussNewton(steps=1, restarts=0), "budget"),
        (GaussNewton(steps=1, restarts=0, noise_std=1e3), "floor"),
        (LinearLayer(), "closed form"),
        (Recursive(), "closed form"),
        (Candidates(Photos(size=4), count=2), "closed form"),
    ],
    ids=str,
)
def test_every_attack_says_why_it_ended(attack: Attack, stop: Stop) -> None:
    model, update, _ = small()
    assert attack(model, update).stop == stop


def test_gauss_newton_says_when_no_step_lowers_the_loss() -> None:
    """Noise that it was not told of: no picture has this update, and it ends where the misfit is least."""
    model, update, _ = small()
    noise = torch.Generator().manual_seed(0)
    noisy = {
        name: tensor + 0.1 * tensor.abs().max() * torch.randn(tensor.shape, generator=noise)
        for name, tensor in update.tensors.items()
    }
    found = GaussNewton(restarts=1)(model, replace(update, tensors=noisy))
    assert found.stop == "stuck" and found.restarts == 1
    stopped = GaussNewton()(model, update, callback=lambda progress: progress.evaluation == 2)
    assert stopped.stop == "stopped" and stopped.evaluations == 2


def test_no_reason_is_left_out_here() -> None:
    reached = {"stuck", "budget", "solved", "floor", "stopped", "closed form"}
    assert reached == set(typing.get_args(Stop))
