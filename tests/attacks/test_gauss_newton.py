"""Gauss–Newton on the gradient map: exact from random starts, quadratic near the end, limited by noise."""

import math
from dataclasses import replace

import pytest
import torch

from leaklib.attacks.gauss_newton import GaussNewton
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.spectrum import identifiability
from leaklib.metrics import psnr, score
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Batch, Reconstruction, Update

SMALL = LeNet(num_classes=8, input_shape=(1, 16, 16))


def gray(picture: int, size: int = 1) -> Batch:
    return Photos(size=16, gray=True).batch(picture, size).to("cpu", torch.float64)


def attack(model, update: Update, seed: int = 0, **fields) -> Reconstruction:
    return GaussNewton(**fields)(model, update, generator=generator(seed, "attack"))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(3))
def test_a_picture_comes_back_to_the_last_digit_from_any_start(seed: int) -> None:
    model, batch = SMALL.build(seed).double(), gray(seed)
    found = attack(model, share(model, batch, FedSGD()), seed)
    assert psnr(found.inputs, batch.inputs).item() > 250 and found.evaluations < 30
    assert torch.equal(found.labels, batch.labels) and found.loss < 1e-25


@pytest.mark.slow
def test_a_batch_comes_back_in_the_order_of_its_labels() -> None:
    model, batch = SMALL.build(0).double(), gray(0, 2)
    found = attack(model, share(model, batch, FedSGD(), reveal_labels=True))
    assert psnr(found.inputs, batch.inputs).min() > 200  # the labels say which is which


@pytest.mark.slow
def test_local_steps_are_undone_by_the_same_code() -> None:
    model, batch = SMALL.build(0).double(), gray(0)
    found = attack(model, share(model, batch, FedAvg(lr=0.1, epochs=2), reveal_labels=True))
    assert psnr(found.inputs, batch.inputs).item() > 200


def test_the_error_is_squared_in_every_step_near_the_end() -> None:
    """Undamped, from a start at a distance of 1.6: the error's exponent."""
    model, batch = SMALL.build(0).double(), gray(3)
    update, errors = share(model, batch, FedSGD()), []
    GaussNewton(damping=0.0, spread=0.1)(
        model,
        update,
        generator=generator(0, "attack"),
        callback=lambda p: errors.append((p.inputs - batch.inputs).norm().item()),
    )
    tail = [error for error in errors if error > 1e-12]
    slopes = [math.log(c / b) / math.log(b / a) for a, b, c in zip(tail, tail[1:], tail[2:], strict=False)]
    assert errors[-1] < 1e-10 and slopes[-1] >= 1.8


@pytest.mark.sampled(1)
@pytest.mark.parametrize("prior_std", [None, 0.25])
@pytest.mark.parametrize("sigma", [1e-4, 1e-3])
def test_noise_costs_what_the_bound_says(sigma: float, prior_std: float | None) -> None:
    """Within 1.5 dB of the linear-Gaussian bound, and not better than chance allows."""
    errors, bounds = [], []
    for picture in (2, 4):
        model, batch = SMALL.build(picture).double(), gray(picture)
        update, draw = share(model, batch, FedSGD()), generator(picture, "noise")
        noisy = {
            n: t + sigma * torch.randn(t.shape, generator=draw, dtype=t.dtype)
            for n, t in update.tensors.items()
        }
        found = attack(model, replace(update, tensors=noisy), noise_std=sigma, prior_std=prior_std)
        errors.append((found.inputs - batch.inputs).square().mean().item())
        known = identifiability(model, update, batch.inputs, batch.labels)
        bounds.append(10 ** (-known.predicted_psnr(sigma, prior_std=prior_std) / 10))
        assert found.restarts == 0  # what noise leaves unexplained is no reason to begin again
    lost = 10 * math.log10(sum(errors) / sum(bounds))
    assert -1.5 < lost < 1.5


def test_a_prior_fills_in_what_the_gradient_leaves_open() -> None:
    model, batch = replace(SMALL, channels=2).build(0).double(), gray(4)
    update = share(model, batch, FedSGD())
    found = attack(model, update, noise_std=1e-4, prior_std=0.25)
    known = identifiability(model, update, batch.inputs, batch.labels)
    assert known.rank < known.unknowns and found.loss < 1e-6
    flat = torch.full_like(batch.inputs, 0.5)
    assert psnr(found.inputs, batch.inputs) > psnr(flat, batch.inputs) + 1


@pytest.mark.slow
def test_a_stuck_start_is_followed_by_another() -> None:
    """Far from gray the sigmoids are flat, and the first start goes nowhere."""
    model, batch = SMALL.build(0).double(), gray(0)
    update = share(model, batch, FedSGD())
    found = attack(model, update, spread=30.0, steps=15, restarts=2)
    assert found.restarts >= 1 and found.evaluations > 15
    assert attack(model, update, spread=30.0, steps=15, restarts=0).loss >= found.loss


@pytest.mark.slow
def test_a_batch_without_order_is_scored_after_matching() -> None:
    model, batch = replace(SMALL, channels=16).build(1), Photos(size=16, gray=True).batch(0, 2)
    found = attack(model, share(model, batch, FedSGD()))
    assert score(found, batch).psnr.min() > 80  # from a float32 gradient
