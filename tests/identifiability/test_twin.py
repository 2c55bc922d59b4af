"""Two pictures, one gradient: where the rank is too low there are such pairs, elsewhere there are none."""

from dataclasses import replace

import pytest
import torch

from leaklib.attacks.search.jacobian import GradientMap
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.twin import twin
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet

SMALL = LeNet(num_classes=8, channels=2, input_shape=(1, 16, 16))


@pytest.mark.parametrize("step", [FedSGD(), FedAvg(lr=0.1, epochs=1)], ids=str)
@pytest.mark.parametrize(("picture", "goal"), [(0, 3), (4, 1)])
def test_a_twin_has_the_same_update_and_looks_different(step, picture: int, goal: int) -> None:
    model, photos = SMALL.build(picture).double(), Photos(size=16, gray=True)
    batch = photos.batch(picture, 1).to("cpu", torch.float64)
    toward = photos.batch(goal, 1).inputs.double()
    update, seen = share(model, batch, step), []
    found = twin(
        model, update, batch.inputs, batch.labels, toward=toward, progress=lambda *done: seen.append(done)
    )
    gradient = GradientMap(model, update, batch.labels)
    miss = gradient.at(found) - gradient.vector(update.tensors)
    assert miss.square().sum() < 1e-20
    assert psnr(found, batch.inputs) < 25 and psnr(found, toward) > psnr(batch.inputs, toward) + 1
    assert 0 <= found.min() and found.max() <= 1 and seen[-1] == (6, 6)


def test_a_determined_picture_has_none() -> None:
    model, batch = replace(SMALL, channels=12).build(0), Photos(size=16, gray=True).batch(0, 1)
    update = share(model, batch, FedSGD())
    with pytest.raises(ValueError, match="determines all 256 pixels: there is no twin nearby"):
        twin(model, update, batch.inputs, batch.labels, toward=torch.zeros_like(batch.inputs))


def test_the_wish_has_the_shape_of_the_batch() -> None:
    model, batch = SMALL.build(0), Photos(size=16, gray=True).batch(0, 1)
    update = share(model, batch, FedSGD())
    with pytest.raises(ValueError, match="toward must have the shape of inputs"):
        twin(model, update, batch.inputs, batch.labels, toward=torch.zeros(1, 3, 16, 16))
