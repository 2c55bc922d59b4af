"""iDLG's rule reads the label off every untrained network; the row-sum rule of its code does not."""

import pytest
import torch
from torch import nn

from leaklib.attacks.labels import infer_label, num_classes
from leaklib.client import FedSGD, share
from leaklib.models.build import seeded
from leaklib.rng import generator
from leaklib.types import Batch

ACTIVATIONS = [nn.Sigmoid, nn.ReLU, nn.Tanh]
NETS = 200


def net(seed: int, activation: type[nn.Module], bias: bool, classes: int = 10) -> nn.Module:
    return seeded(
        seed,
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(48, 32), activation(), nn.Linear(32, classes, bias=bias)
        ),
    )


def one(seed: int, classes: int = 10) -> Batch:
    draw = generator(seed, "one")
    return Batch(torch.rand(1, 3, 4, 4, generator=draw), torch.randint(classes, (1,), generator=draw))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_right_on_every_one_of_200_networks(activation: type[nn.Module], bias: bool) -> None:
    right = 0
    for seed in range(NETS):
        batch = one(seed)
        right += torch.equal(infer_label(share(net(seed, activation, bias), batch, FedSGD())), batch.labels)
    assert right == NETS


@pytest.mark.parametrize(("activation", "reliable"), [(nn.Sigmoid, True), (nn.ReLU, True), (nn.Tanh, False)])
def test_the_row_sum_rule_needs_a_positive_layer_input(activation: type[nn.Module], reliable: bool) -> None:
    right = 0
    for seed in range(NETS):
        batch = one(seed)
        rows = share(net(seed, activation, False), batch, FedSGD()).tensors["3.weight"]
        right += int(rows.sum(1).argmin()) == int(batch.labels)
    assert right == NETS if reliable else right < 150


def test_refusals() -> None:
    two = Batch(one(0).inputs.repeat(2, 1, 1, 1), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="needs an update from 1 example, got one from 2"):
        infer_label(share(net(0, nn.Tanh, True), two, FedSGD()))
    with pytest.raises(ValueError, match="3 classes or more, got 2"):
        infer_label(share(net(0, nn.Tanh, False, classes=2), one(0, 2), FedSGD()))
    soft = share(
        net(0, nn.Tanh, True),
        one(0),
        lambda model, x, y: {n: t.abs() for n, t in FedSGD()(model, x, y).items()},
    )
    with pytest.raises(ValueError, match="no class has the negative gradient"):
        infer_label(soft)
    convolution = nn.Sequential(nn.Conv2d(3, 10, 4), nn.Flatten())
    with pytest.raises(ValueError, match="no weight matrix"):
        infer_label(share(convolution, one(0), FedSGD()))


def test_classes_are_counted_at_the_last_layer() -> None:
    assert num_classes(share(net(0, nn.Tanh, True, classes=7), one(0, 7), FedSGD())) == 7
