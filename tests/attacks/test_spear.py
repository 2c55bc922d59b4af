"""Batches behind a ReLU layer are exact, from the gradient alone, and zeros tell the directions."""

from dataclasses import replace
from math import comb

import pytest
import torch
from torch import nn

from leaklib.attacks.parts.directions import Directions
from leaklib.attacks.spear import Spear
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.quantize import Quantize
from leaklib.metrics import score
from leaklib.models.convnet import ConvNet
from leaklib.models.mlp import Mlp
from leaklib.rng import generator
from leaklib.types import Batch, ClientStep, Progress, Reconstruction

RELU = Mlp((3, 32, 32), hidden=200, activation=nn.ReLU, normalize=True)
PLAIN, SPEAR = FedSGD(), Spear()


def attack(
    batch: Batch, network: Mlp = RELU, step: ClientStep = PLAIN, *, seed: int = 0, spear: Spear = SPEAR
) -> Reconstruction:
    model = network.build(seed).to(batch.inputs.dtype)
    return spear(model, share(model, batch, step), generator=generator(seed, "attack"))


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_batches_come_back_exactly_with_their_labels_and_nobody_reveals_them(size: int) -> None:
    for client in range(3):
        batch = Photos().batch(client, size)
        found = attack(batch, seed=client)
        result = score(found, batch)
        assert result.psnr.min() > 100 and result.label_accuracy == 1
        assert found.stop == "solved" and found.loss < 1e-10 * found.baseline


def test_pictures_of_one_label_are_no_harder() -> None:
    batch = replace(Photos().batch(0, 6), labels=torch.full((6,), 3))
    found = attack(batch)
    assert score(found, batch).psnr.min() > 100 and found.labels.eq(3).all()


def test_pixels_in_0_1_whose_units_fire_together_cost_more_samples_and_are_exact() -> None:
    batch = Photos().batch(1, 5)
    found, easier = attack(batch, replace(RELU, normalize=False)), attack(batch)
    assert score(found, batch).psnr.min() > 100 and found.evaluations > easier.evaluations


def test_float32_costs_digits_and_no_picture() -> None:
    batch = Photos().batch(0, 4)
    double = replace(batch, inputs=batch.inputs.double())
    coarse, fine = score(attack(batch), batch).psnr, score(attack(double), double).psnr
    assert 100 < coarse.min() < 200 < fine.min()


def test_one_local_step_of_fedavg_will_do() -> None:
    batch = Photos().batch(0, 4)
    assert score(attack(batch, step=FedAvg(lr=0.1)), batch).psnr.min() > 100


def test_a_spent_budget_is_said_and_seen_in_the_loss() -> None:
    batch = Photos().batch(0, 8)
    found = attack(batch, spear=Spear(samples=30))
    assert found.stop == "budget" and found.evaluations == 30 and found.loss > 0.1 * found.baseline
    assert score(found, batch).psnr.min() < 30


def test_the_caller_sees_every_comparison_and_can_end_it() -> None:
    seen: list[Progress] = []
    model, batch = RELU.build(0), Photos().batch(0, 4)
    update = share(model, batch, PLAIN)
    found = Spear()(model, update, callback=lambda progress: bool(seen.append(progress)) or True)
    assert len(seen) == 1 and found.stop == "stopped" and seen[0].evaluation == found.evaluations


def sparse(units: int, columns: int, zeros: float = 0.5) -> torch.Tensor:
    draw, double = generator(0, "sparse"), torch.float64
    mask = torch.rand(units, columns, generator=draw) >= zeros
    mask[~mask.any(1), 0] = True
    return mask * torch.randn(units, columns, generator=draw, dtype=double)


def begin(matrix: torch.Tensor) -> tuple[Directions, torch.Tensor]:
    """Directions for the column space of ``matrix``, and the ones that it should find, as rows."""
    left = torch.linalg.svd(matrix, full_matrices=False)[0]
    truth = torch.linalg.lstsq(left, matrix).solution.T
    directions = Directions(left / left.norm(dim=1, keepdim=True), 1e-13)
    return directions, truth / truth.norm(dim=1, keepdim=True)


def test_the_sparsest_directions_are_the_columns() -> None:
    directions, truth = begin(sparse(100, 5))
    while directions.drawn < 2000:
        directions.draw(2000, generator(directions.drawn, "attack"))
    assert (directions.kept @ truth.T).abs().amax(0).min() > 1 - 1e-12
    assert torch.equal(
        directions.zeros(directions.kept).sum(1).sort().values, (sparse(100, 5) == 0).sum(0).sort().values
    )


def test_a_sample_gives_a_column_away_as_often_as_its_zeros_say() -> None:
    columns, count = 5, 20_000
    matrix = sparse(400, columns)
    directions, truth = begin(matrix)
    kernels = directions._kernels(count, generator(0, "attack"))
    near = ((kernels @ truth.T).abs() > 1 - 1e-9).sum(0)
    zeros = (matrix == 0).sum(0)
    # All rows drawn are zero in the column; some of these samples are no line, by repeated or dependent rows.
    expected = torch.tensor([comb(int(z), columns - 1) / comb(400, columns - 1) for z in zeros]) * count
    assert (near < 1.1 * expected).all() and (near > 0.5 * expected).all()


def test_without_zeros_there_is_nothing_to_find() -> None:
    directions, truth = begin(sparse(100, 5, zeros=0))
    directions.draw(5000, generator(0, "attack"))
    assert directions.zeros(directions.kept).sum(1).max() <= 5
    assert (directions.kept @ truth.T).abs().max() < 1 - 1e-3


def test_refusals() -> None:
    batch = Photos().batch(0, 4)
    with pytest.raises(ValueError, match="begins with a Linear with a bias and a ReLU, got Linear and GELU"):
        attack(batch, replace(RELU, activation=nn.GELU))
    convolutional = ConvNet(4, activation=nn.ReLU).build(0)
    with pytest.raises(ValueError, match="got Conv2d and ReLU at 'conv1'"):
        Spear()(convolutional, share(convolutional, batch, PLAIN))
    with pytest.raises(ValueError, match=r"without clipping, got FedSGD\(max_grad_norm=1.0\)"):
        attack(batch, step=FedSGD(max_grad_norm=1.0))
    with pytest.raises(ValueError, match="one local step, got one from 2"):
        attack(batch, step=FedAvg(epochs=2))
    model = RELU.build(0)
    update = share(model, batch, PLAIN)
    with pytest.raises(ValueError, match="as the client computed it"):
        Spear()(model, Quantize(8)(update))


def test_the_rank_must_be_the_number_of_examples() -> None:
    batch = Photos().batch(0, 4)
    twice = Batch(batch.inputs[[0, 1, 2, 2]], batch.labels[[0, 1, 2, 2]])
    with pytest.raises(ValueError, match=r"the number of examples, 4, .* got rank 3 of"):
        attack(twice)
    with pytest.raises(ValueError, match="rank"):
        attack(batch, replace(RELU, hidden=4))
    model = RELU.build(0)
    update = share(model, batch, PLAIN)
    with pytest.raises(ValueError, match=r"the number of examples, 3, .* got rank 4"):
        Spear()(model, replace(update, num_examples=3))
    rounded = {name: tensor.half().float() for name, tensor in update.tensors.items()}
    with pytest.raises(ValueError, match="did something round the update"):
        Spear()(model, replace(update, tensors=rounded))


def test_wrong_bounds_are_named() -> None:
    model, batch = RELU.build(0), Photos().batch(0, 2)
    update = share(model, Batch(3 * batch.inputs - 1, batch.labels), PLAIN)
    with pytest.raises(ValueError, match="beyond the bounds"):
        Spear()(model, update)
    found = Spear()(model, replace(update, bounds=(-1, 2)))
    assert (
        found.inputs.flatten(1).sort(0).values - (3 * batch.inputs - 1).flatten(1).sort(0).values
    ).abs().max() < 1e-4
