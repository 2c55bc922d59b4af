"""The noise floor: what the true batch is expected to score, from what was sent alone."""

from dataclasses import replace

import pytest
import torch

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.search.matching import STUCK, fitted, misfit
from leaklib.attacks.search.objectives import squared_error
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.parts.base import MechanismBase
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Update

INITIALISATIONS = {"default": None, "uniform": 0.5}
PICTURES = (0, 3, 4, 5, 7, 30, 77, 200)


def ratio(mechanism: MechanismBase, scale: float | None, picture: int, step: FedSGD | None = None) -> float:
    """What the true picture scores, in units of the floor."""
    model, batch = LeNet(init_scale=scale).build(picture), Photos().batch(picture, 1)
    update = mechanism(share(model, batch, step or FedSGD()), generator=generator(picture, "mechanism"))
    score = misfit(model, update, batch.inputs, batch.labels, squared_error).item()
    return score / mechanism.noise_floor(update)


def noisy(multiplier: float, clip: float = 1.0) -> Chain:
    return Chain((ClipNorm(clip), GaussianNoise(multiplier)))


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
@pytest.mark.parametrize("multiplier", [1e-5, 1e-3, 0.1])
def test_noise_leaves_its_own_norm(multiplier: float, scale: float | None) -> None:
    # 15,826 squared draws: their mean has a standard deviation of 1.1 %.
    for picture in PICTURES:
        assert ratio(noisy(multiplier), scale, picture) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
@pytest.mark.parametrize("bits", [6, 8, 12])
def test_rounding_leaves_a_twelfth_of_a_squared_step_for_entries_above_one(bits, scale) -> None:
    ratios = torch.tensor([ratio(Quantize(bits), scale, picture) for picture in PICTURES])
    # The largest entries, of which there are few, have most of the error that is left to chance.
    assert ratios.mean() == pytest.approx(1, abs=0.05)
    assert (ratios - 1).abs().max() < 0.15


def test_entries_below_a_step_count_by_how_many_they_are() -> None:
    draw = torch.rand(100_000, generator=generator(0, "entries"), dtype=torch.float64)
    for power in (0.2, 0.5, 1.0, 2.0):
        # Within t of zero lies a share of t^power, and one entry sets the scale: a step of 1/127.
        entries = torch.cat([draw ** (1 / power) * 2.5 / 127, torch.ones(1, dtype=torch.float64)])
        update = Update({"w": entries}, FedSGD(), 1, (3, 32, 32))
        sent = Quantize(8)(update)
        score = Quantize(8).distance(update.tensors, sent.tensors, squared_error).item()
        assert score == pytest.approx(Quantize(8).noise_floor(sent), rel=0.06), power


def test_only_what_clips_at_known_norms_before_the_noise_has_a_floor() -> None:
    plain = share(LeNet().build(0), Photos().batch(0, 2), FedSGD())
    update = noisy(0.1, clip=2.0)(plain)
    floor = noisy(0.1, clip=2.0).noise_floor(update)
    assert noisy(0.1, clip=1.0).noise_floor(update) == pytest.approx(floor / 4)
    assert Chain((ClipNorm(9), ClipNorm(2), GaussianNoise(0.1))).noise_floor(update) == floor
    assert Chain((ClipNorm(2), TopK(0.5), GaussianNoise(0.1))).noise_floor(update) == 0
    assert Chain((ClipNorm(2), Quantize(8))).noise_floor(update) == Quantize(8).noise_floor(update) > 0
    assert Chain((GaussianNoise(0.1),)).noise_floor(update) == 0 == Chain().noise_floor(update)
    # A step that clips each example says by itself how far one of two moves the mean.
    stepped = replace(update, step=FedSGD(max_grad_norm=4.0))
    assert (
        GaussianNoise(0.1).noise_floor(stepped) == floor == Chain((GaussianNoise(0.1),)).noise_floor(stepped)
    )
    assert ratio(GaussianNoise(0.01), 0.5, 3, FedSGD(max_grad_norm=1.0)) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize(
    "mechanism",
    [Identity(), SignSGD(), TopK(0.1), Quantize(1), Quantize(4), Quantize(8, stochastic=True), ClipNorm()],
    ids=repr,
)
def test_no_floor_where_the_truth_scores_zero_or_nobody_knows(mechanism: MechanismBase) -> None:
    assert mechanism.noise_floor(mechanism(share(LeNet().build(0), Photos().batch(0, 1), FedSGD()))) == 0


def test_a_search_goes_on_below_the_floor_until_it_has_nearly_fitted_the_noise() -> None:
    # With 4 equations 2 unknowns can fit half of the noise, and have fitted four fifths of that.
    assert fitted(0.1, 1.0, 2, 4) == pytest.approx(0.06)
    # A search that comes below a thousandth of its yardstick is not begun again: there is nothing to stop.
    assert fitted(1e-4, 6.01e-5 / STUCK, 2, 4) == 0 < fitted(1e-4, 5.99e-5 / STUCK, 2, 4)
    # The yardstick is what gray scores, and 1 where gray scores more.
    assert fitted(1.01e-3 / 0.6, 1e3, 2, 4) > 0 == fitted(0.99e-3 / 0.6, 1e3, 2, 4)
    # With far more unknowns than equations all noise can be fitted.
    assert fitted(0.1, 1.0, 5, 4) == fitted(0.0, 1.0, 3, 4) == 0


def test_an_attack_that_is_told_to_stops_in_the_noise_and_does_not_begin_again() -> None:
    model, batch = LeNet().build(0), Photos().batch(3, 1)
    plain = share(model, batch, FedSGD(), reveal_labels=True)
    mechanism = noisy(3e-3)
    update = mechanism(plain, generator=generator(0, "mechanism"))
    gray = misfit(model, update, torch.full_like(batch.inputs, 0.5), batch.labels, squared_error).item()
    enough = fitted(mechanism.noise_floor(update), gray, 3072, 15826)
    for attack in (IDLG(steps=6, stop_at_noise=True), DLG(steps=6, stop_at_noise=True, known_labels=True)):
        losses: list[float] = []
        found = attack(model, update, callback=lambda progress, to=losses: to.append(progress.loss))
        assert losses[-1] < enough <= min(losses[:-1]) and found.restarts == 0
        assert len(losses) == found.evaluations < 120
    going = IDLG(steps=6)(model, update)
    assert going.evaluations == 120
    assert psnr(found.inputs, batch.inputs) > psnr(going.inputs, batch.inputs) + 2
    # Nothing was lost here, so there is nothing to stop for.
    still = IDLG(steps=1, stop_at_noise=True)
    assert still(model, plain).evaluations == 20 and still(model, TopK(0.5)(plain)).evaluations == 20
