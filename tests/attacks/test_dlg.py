"""DLG and iDLG: the loop keeps its promises, and on a real network the picture comes back."""

import math

import pytest
import torch
from torch import nn

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.search.matching import PATIENCE, STUCK, Search
from leaklib.attacks.search.optimizers import LBFGS
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import seeded
from leaklib.rng import generator
from leaklib.types import Batch, Progress


def tiny() -> nn.Module:
    """A sigmoid network on 8×8 pictures: an attack on it takes a second."""
    return seeded(
        0,
        lambda: nn.Sequential(
            nn.Conv2d(3, 12, 5, 2, 2), nn.Sigmoid(),
            nn.Conv2d(12, 12, 5, 1, 2), nn.Sigmoid(),
            nn.Flatten(), nn.Linear(192, 10),
        ),
    )  # fmt: skip


def small(size: int = 1) -> Batch:
    return Photos(size=8).batch(0, size)


class Standing(torch.optim.Optimizer):
    """Moves nowhere: every run is stuck."""

    def __init__(self, point: torch.Tensor) -> None:
        super().__init__([point], {})

    def step(self, closure=None) -> None: ...


def attack(optimizer, restarts: int, evaluations: int = 10_000, **options):
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD())
    search = Search(model, update, batch.labels, optimizer, evaluations, restarts, **options)
    return search.run(generator(0, "a"))


def test_lbfgs_solves_a_quadratic_of_n_variables_without_line_search() -> None:
    n = 40
    draw = generator(0, "quadratic")
    basis = torch.linalg.qr(torch.randn(n, n, generator=draw, dtype=torch.float64))[0]
    hessian = basis @ torch.diag(torch.logspace(-1, 1, n, dtype=torch.float64)) @ basis.T
    solution = torch.randn(n, generator=draw, dtype=torch.float64)
    for scale in (1.0, 1e-12):  # no absolute thresholds: a tiny loss is solved as well as a large one
        point = torch.zeros(n, dtype=torch.float64, requires_grad=True)
        optimizer = LBFGS(point, history=20)  # smaller than the number of steps: forgetting is exercised
        for _ in range(200):
            point.grad = scale * (hessian @ (point.detach() - solution))
            optimizer.step()
        assert (point - solution).norm() < 1e-6 * solution.norm()


def test_lbfgs_direction_is_the_textbook_two_loop_recursion() -> None:
    draw = generator(1, "pairs")
    point = torch.zeros(30, dtype=torch.float64)
    optimizer = LBFGS(point, history=10)
    pairs = []
    for _ in range(7):
        move = torch.randn(30, generator=draw, dtype=torch.float64)
        change = move + 0.3 * torch.randn(30, generator=draw, dtype=torch.float64)
        pairs.append((move, change))
        optimizer._remember(move, change)
    gradient = torch.randn(30, generator=draw, dtype=torch.float64)
    q, alphas = gradient.clone(), []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q = q - alphas[-1] * y
    r = q * (pairs[-1][0] @ pairs[-1][1]) / pairs[-1][1].square().sum()
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r = r + s * (alpha - y @ r / (s @ y))
    assert torch.allclose(optimizer._times_inverse_hessian(gradient), r, rtol=1e-10)


def test_lbfgs_ignores_a_pair_without_positive_curvature() -> None:
    point = torch.zeros(3, dtype=torch.float64)
    optimizer = LBFGS(point)
    optimizer._remember(torch.ones(3, dtype=torch.float64), -torch.ones(3, dtype=torch.float64))
    assert optimizer.count == 0


@pytest.mark.slow
def test_a_stuck_run_is_seen_and_begun_again_within_the_budget() -> None:
    seen: list[Progress] = []
    found = attack(Standing, 2, callback=seen.append)
    assert found.loss > STUCK * found.baseline and found.restarts == 2
    assert found.evaluations == 3 * PATIENCE + 1 == len(seen)
    starts = [next(p.inputs for p in seen if p.restart == r) for r in range(3)]
    assert not torch.equal(starts[0], starts[1]) and not torch.equal(starts[1], starts[2])
    short = attack(Standing, 2, evaluations=250)
    assert short.evaluations == 250 and short.restarts == 1


def test_a_diverging_run_is_begun_again_and_never_returned() -> None:
    class Exploding(torch.optim.Adam):
        def __init__(self, point: torch.Tensor) -> None:
            super().__init__([point], lr=0.01)
            self.point = point

        def step(self, closure=None) -> None:
            self.point.data.fill_(math.nan)

    found = attack(Exploding, 3)
    assert found.restarts == 3 and found.evaluations == 8
    assert torch.isfinite(found.inputs).all() and math.isfinite(found.loss)


def test_a_search_that_strays_goes_back_to_its_best_point() -> None:
    class Drifting(torch.optim.Optimizer):
        """Walks away at a constant pace, whatever the loss says."""

        def __init__(self, point: torch.Tensor) -> None:
            super().__init__([point], {})
            self.point = point

        def step(self, closure=None) -> None:
            self.point.data.add_(0.05)

    seen: list[Progress] = []
    found = attack(Drifting, 0, evaluations=150, stray=30, callback=seen.append)
    best = min(range(150), key=lambda i: seen[i].loss)
    again = [i for i in range(150) if torch.equal(seen[i].inputs, seen[best].inputs)]
    assert again[:2] == [best, best + 31]
    assert torch.equal(found.inputs, seen[best].inputs.clamp(0, 1))


def test_the_best_pair_is_returned_not_the_last() -> None:
    class Away(torch.optim.SGD):
        """Climbs instead of descending, so that the first guess is the best."""

        def __init__(self, point: torch.Tensor) -> None:
            super().__init__([point], lr=100, maximize=True)

    seen: list[Progress] = []
    found = attack(Away, 0, evaluations=20, callback=seen.append)
    assert seen[-1].loss > seen[0].loss
    assert torch.equal(found.inputs, seen[0].inputs.clamp(0, 1))


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("attack", "reveal"),
    [(DLG(steps=40), False), (DLG(steps=40, known_labels=True), True), (IDLG(steps=40), False)],
    ids=lambda a: str(a),
)
def test_a_small_picture_comes_back(attack, reveal: bool) -> None:
    model, batch = tiny(), small()
    found = attack(model, share(model, batch, FedSGD(), reveal_labels=reveal), generator=generator(0, "a"))
    assert psnr(found.inputs, batch.inputs).item() > 40
    assert torch.equal(found.labels, batch.labels) and found.loss < 1e-6


def test_a_gray_picture_is_no_failure() -> None:
    """Mid-gray scores as well as the truth, which is it: nothing is below a share of that."""
    model, batch = tiny(), Batch(torch.full((1, 3, 8, 8), 0.5), torch.tensor([3]))
    found = IDLG(steps=20)(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
    assert found.baseline == 0 and found.restarts == 0
    assert psnr(found.inputs, batch.inputs).item() > 40


@pytest.mark.slow
def test_the_same_attack_reads_fedavg_by_unrolling_it() -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedAvg(lr=0.1, epochs=3))
    found = IDLG(steps=30)(model, update, generator=generator(0, "a"))
    assert psnr(found.inputs, batch.inputs).item() > 30


def test_adam_is_a_choice_and_lowers_the_loss() -> None:
    model, batch = tiny(), small()
    seen: list[Progress] = []
    update = share(model, batch, FedSGD(), reveal_labels=True)
    found = DLG(steps=100, optimizer="adam", known_labels=True)(
        model, update, generator=generator(0, "a"), callback=seen.append
    )
    assert len(seen) == found.evaluations == 100 and found.loss < seen[0].loss / 2


def test_joint_labels_of_a_batch_have_one_class_each() -> None:
    model, batch = tiny(), small(3)
    found = DLG(steps=1)(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
    assert found.inputs.shape == (3, 3, 8, 8) and found.labels.shape == (3,)


@pytest.mark.parametrize("cls", [DLG, IDLG])
def test_bad_fields(cls: type) -> None:
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        cls(steps=0)
    # The check of types, which is on in the tests alone, would see the string first.
    attack = cls()
    object.__setattr__(attack, "optimizer", "sgd")
    with pytest.raises(ValueError, match="optimizer must be 'lbfgs' or 'adam', got 'sgd'"):
        attack.__post_init__()


def test_labels_that_are_not_there_are_asked_for() -> None:
    model = tiny()
    with pytest.raises(ValueError, match="the update reveals none"):
        DLG(known_labels=True)(model, share(model, small(), FedSGD()), generator=generator(0, "a"))
    with pytest.raises(ValueError, match="got one from 2"):
        IDLG()(model, share(model, small(2), FedSGD()), generator=generator(0, "a"))


@pytest.mark.slow
@pytest.mark.sampled(1)
@pytest.mark.parametrize("attack", [DLG(steps=60), IDLG(steps=60)], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("init_scale", [0.5, None])
def test_a_photograph_comes_back_from_dlg_s_lenet(attack, init_scale: float | None) -> None:
    model, batch = LeNet(init_scale=init_scale).build(0), Photos().batch(0, 1)
    found = attack(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
    assert psnr(found.inputs, batch.inputs).item() > 30
    assert torch.equal(found.labels, batch.labels)
