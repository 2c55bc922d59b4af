"""The Jacobian of the gradient map, what follows from it, and the counting bound that no network beats."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from leaklib.attacks.search.jacobian import GradientMap
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos, Sentences
from leaklib.identifiability.counting import counting_bounds
from leaklib.identifiability.spectrum import Identifiability, identifiability
from leaklib.models.lenet import LeNet
from leaklib.models.lenet5 import LeNet5
from leaklib.models.parts.build import seeded
from leaklib.models.resnet import ResNet
from leaklib.models.transformer import TinyTransformer
from leaklib.rng import generator
from leaklib.types import Batch, Update

SMALL = LeNet(num_classes=8, input_shape=(1, 16, 16))


def gray(picture: int, size: int = 1) -> Batch:
    return Photos(size=16, gray=True).batch(picture, size)


def analyze(model: nn.Module, batch: Batch, step=None, **options) -> Identifiability:
    update = share(model, batch, step or FedSGD())
    return identifiability(model, update, batch.inputs, batch.labels, **options)


def random(*shape: int, role: str = "x") -> Tensor:
    return torch.rand(shape, generator=generator(0, role), dtype=torch.float64)


STEPS = [FedSGD(), FedSGD(max_grad_norm=0.1), FedAvg(lr=0.5, epochs=2), FedAvg(batch_size=1)]


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("spec", [SMALL, ResNet(width=4)], ids=["LeNet", "ResNet"])
def test_columns_are_directional_derivatives_for_any_model_and_step(spec, step) -> None:
    model, batch = spec.build(0), gray(0, 2) if spec == SMALL else Photos(size=16).batch(0, 2)
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradient = GradientMap(model, share(model, batch, step), batch.labels)
    point, along = batch.inputs.double(), random(3, *batch.inputs.shape) - 0.5
    pushed = gradient.push(point, along)
    for tangent, column in zip(along, pushed, strict=True):
        h = 1e-7  # small: a ReLU between the two points would spoil the comparison
        difference = (gradient.at(point + h * tangent) - gradient.at(point - h * tangent)) / (2 * h)
        assert (column - difference).norm() < 1e-5 * difference.norm()
    cotangent = random(gradient.equations, role="u")
    pulled = gradient.pull(point, cotangent)
    assert (pushed @ cotangent).allclose((along * pulled).flatten(1).sum(1))
    assert all(torch.equal(kept[name], tensor) for name, tensor in model.state_dict().items())


def test_pieces_of_any_size_give_the_same_spectrum_as_the_whole_matrix() -> None:
    model, batch = SMALL.build(0), gray(0)
    gradient = GradientMap(model, share(model, batch, FedSGD()), batch.labels)
    whole = torch.linalg.svdvals(gradient.transposed(batch.inputs))
    seen = []
    pieces = analyze(model, batch, memory=8 * 256 * 4000, progress=lambda *done: seen.append(done))
    assert analyze(model, batch).singular_values.allclose(whole, rtol=1e-10, atol=0)
    assert pieces.singular_values.allclose(whole, rtol=1e-10, atol=0)
    assert seen[-1] == (3 * 256, 3 * 256) and [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(("channels", "rank"), [(1, 66), (2, 174), (3, 256), (4, 256)])
def test_rank_of_the_small_lenet_is_what_counting_says(channels: int, rank: int) -> None:
    """At two networks and two pictures; beyond doubt, by the gap."""
    for seed, picture in ((0, 0), (1, 3)):
        found = analyze(replace(SMALL, channels=channels).build(seed), gray(picture))
        assert found.rank == found.counting_bound == rank and found.gap > 1e6
        assert found.identifiable == (rank == found.unknowns)


@pytest.mark.parametrize("channels", [8, 9, 10, 12])
def test_counting_sees_the_phase_transition_of_dlg_s_lenet(channels: int) -> None:
    model, batch = LeNet(channels=channels).build(0), Photos().batch(0, 1)
    bounds = counting_bounds(model, share(model, batch, FedSGD()))
    assert bounds[-1].rank == min(3072, channels * (331 - channels)) and bounds[-1].layer == "conv1"


def test_counting_sees_that_lenet_5_pools_too_much() -> None:
    model, batch = LeNet5().build(0), Photos().batch(0, 1)
    bounds = counting_bounds(model, share(model, batch, FedSGD()))
    assert bounds[-1].rank == 6 * 14 * 14 + 6 * 75 + 6 == 1632
    assert {b.layer: (b.rank, b.unknowns) for b in bounds}["pool1"] == (1176, 4704)


@pytest.mark.slow
def test_one_full_rank_on_32x32_pictures() -> None:
    """The row of the book's table that is nearest to the border, computed anew."""
    found = analyze(LeNet(channels=9).build(0), Photos().batch(3, 1))
    assert found.rank == 2898 == found.counting_bound and found.gap > 1e6


def conv(*layers: nn.Module, channels: int = 2) -> nn.Sequential:
    """``layers`` on 2 × 8 × 8 pictures, and one fully connected layer."""
    size = nn.Sequential(*layers)(torch.zeros(1, channels, 8, 8)).numel()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, 4)).double()


S = nn.Sigmoid
NETWORKS = {
    "stride": lambda: conv(nn.Conv2d(2, 2, 3, stride=2, padding=1), S(), nn.Conv2d(2, 1, 3, stride=2), S()),
    "skipped pixels": lambda: conv(nn.Conv2d(2, 8, 1, stride=2), S()),
    "dilation": lambda: conv(nn.Conv2d(2, 1, 3, dilation=2, stride=2, padding=2), S()),
    "no bias": lambda: conv(nn.Conv2d(2, 1, 3, stride=2, bias=False), S()),
    "groups": lambda: conv(nn.Conv2d(2, 2, 3, stride=3, groups=2), S()),
    "circular": lambda: conv(nn.Conv2d(2, 1, 3, stride=2, padding=1, padding_mode="circular"), S()),
    "same": lambda: conv(nn.Conv2d(2, 1, 5, padding="same"), nn.Tanh(), nn.AvgPool2d(4)),
    "valid": lambda: conv(nn.Conv2d(2, 1, 3, padding="valid"), S(), nn.MaxPool2d(3)),
    "pool first": lambda: conv(nn.AvgPool2d(2), nn.Conv2d(2, 4, 3), S()),
    "1x1": lambda: conv(nn.Conv2d(2, 1, 1), S(), nn.AvgPool2d(2), nn.Conv2d(1, 1, 1), S()),
    "batch norm": lambda: conv(nn.Conv2d(2, 1, 3, stride=2), nn.BatchNorm2d(1), S()),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(128, 3), S(), nn.Linear(3, 4)).double(),
    "wide rows": lambda: nn.Sequential(nn.Linear(8, 3), S(), nn.Flatten(), nn.Linear(48, 4)).double(),
}


@pytest.mark.sampled(10)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_rank_is_above_the_counting_bound_at_any_layer(name: str, size: int) -> None:
    for seed in range(2):
        model = seeded(seed, NETWORKS[name])
        batch = Batch(random(size, 2, 8, 8, role=f"{seed}"), torch.arange(size))
        found = analyze(model, batch)
        assert found.rank <= found.counting_bound <= found.unknowns
        assert all(bound.rank <= bound.unknowns for bound in found.bounds)


@pytest.mark.parametrize("name", ["skipped pixels", "same", "no bias", "pool first", "linear"])
def test_the_bound_is_met_where_weights_are_generic(name: str) -> None:
    found = analyze(seeded(0, NETWORKS[name]), Batch(random(1, 2, 8, 8), torch.tensor([1])))
    assert found.rank == found.counting_bound


def test_two_pictures_are_too_many_for_dlg_s_lenet() -> None:
    model, batch = LeNet().build(0), Photos().batch(0, 2)
    assert counting_bounds(model, share(model, batch, FedSGD()))[-1].rank == 5904 < 2 * 3072


@pytest.mark.parametrize("step", [FedAvg(epochs=2), FedSGD(max_grad_norm=1.0)], ids=str)
def test_other_steps_and_networks_are_counted_by_their_numbers_alone(step) -> None:
    small = replace(SMALL, channels=1).build(0)
    (bound,) = counting_bounds(small, share(small, gray(0), step))
    assert (bound.rank, bound.unknowns) == (min(256, sum(p.numel() for p in small.parameters())), 256)
    residual = ResNet(width=4).build(0)
    (bound,) = counting_bounds(residual, share(residual, Photos().batch(0, 2), FedSGD()))
    assert bound.rank == min(6144, sum(p.numel() for p in residual.parameters()))


def test_one_step_of_fedavg_is_as_good_as_a_gradient() -> None:
    model = replace(SMALL, channels=2).build(0)
    found = analyze(model, gray(0), FedAvg(lr=0.5))
    assert found.rank == found.counting_bound == 174


def test_moves_in_the_null_space_leave_the_update_alone() -> None:
    model, batch = replace(SMALL, channels=2).build(0), gray(0)
    found = analyze(model, batch)
    basis = found.null_space()
    assert basis.shape == (256 - 174, 1, 1, 16, 16)
    assert (basis.flatten(1) @ basis.flatten(1).T).allclose(torch.eye(82).double(), atol=1e-10)
    gradient = GradientMap(model, share(model, batch, FedSGD()), batch.labels)
    assert gradient.push(batch.inputs, basis).norm() < 1e-10 * found.singular_values[0]
    assert len(analyze(SMALL.build(0), batch).null_space()) == 0


def test_predictions_are_the_formulas() -> None:
    found = analyze(SMALL.build(0), gray(0))
    s = found.singular_values
    assert found.predicted_psnr(1e-3) == pytest.approx(-10 * math.log10(1e-6 * (s**-2).sum().item() / 256))
    with_prior = 1 / (s.square() / 1e-6 + 16)
    assert found.predicted_psnr(1e-3, prior_std=0.25) == pytest.approx(
        -10 * math.log10(with_prior.mean().item())
    )
    # Without any information there is the prior alone; it can only help.
    assert found.predicted_psnr(1e9, prior_std=0.25) == pytest.approx(-20 * math.log10(0.25))
    assert found.predicted_psnr(1e-2, prior_std=0.25) > found.predicted_psnr(1e-2)
    blind = analyze(replace(SMALL, channels=1).build(0), gray(0))
    assert blind.predicted_psnr(1e-3) == -math.inf and blind.condition_number == math.inf
    assert blind.predicted_psnr(1e-3, prior_std=0.25) > -20 * math.log10(0.25)


def test_noise_that_differs_between_tensors_counts_by_the_tensor() -> None:
    model, batch = SMALL.build(0), gray(0)
    names = list(share(model, batch, FedSGD()).tensors)
    same = analyze(model, batch, noise=dict.fromkeys(names, 1e-3))
    assert same.predicted_psnr(1.0) == pytest.approx(analyze(model, batch).predicted_psnr(1e-3))
    louder = analyze(model, batch, noise=dict.fromkeys(names, 1e-3) | {"conv1.weight": 1e-1})
    assert louder.predicted_psnr(1.0) < same.predicted_psnr(1.0)


def bad_calls() -> dict[str, tuple]:
    model, batch = SMALL.build(0), gray(0)
    update = share(model, batch, FedSGD())
    return {
        "expected the batch behind the update": (
            model, update, Photos().batch(0, 1).inputs, batch.labels, {},
        ),
        "noise must name every tensor .* conv1.bias": (
            model, update, batch.inputs, batch.labels, {"noise": {"conv1.weight": 1.0}},
        ),
        "noise must be above 0": (
            model, update, batch.inputs, batch.labels, {"noise": dict.fromkeys(update.tensors, 0.0)},
        ),
        "holds NaN": (
            model, Update({n: t * torch.nan for n, t in update.tensors.items()}, FedSGD(), 1, (1, 16, 16)),
            batch.inputs, batch.labels, {},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("message", bad_calls())
def test_bad_input_gets_a_sentence(message: str) -> None:
    model, update, inputs, labels, options = bad_calls()[message]
    with pytest.raises(ValueError, match=message):
        identifiability(model, update, inputs, labels, **options)


def test_tokens_and_senseless_noise_are_refused() -> None:
    sentences = Sentences()
    model, batch = TinyTransformer(len(sentences.vocabulary)).build(0), sentences.batch(0, 1)
    with pytest.raises(ValueError, match="expected pictures as floats, got"):
        identifiability(model, share(model, batch, FedSGD()), batch.inputs, batch.labels)
    found = analyze(replace(SMALL, channels=1).build(0), gray(0))
    for options in ({"noise_std": 0.0}, {"noise_std": 1.0, "prior_std": -1.0}):
        with pytest.raises(ValueError, match=r"(noise|prior)_std must be above 0( or None)?, got"):
            found.predicted_psnr(**options)
