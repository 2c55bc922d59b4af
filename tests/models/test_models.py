"""Networks: right shapes and sizes, the same from the same seed, nothing global moved."""

import pytest
import torch
from torch import nn

from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.lenet5 import LeNet5
from leaklib.models.parts.build import Normalize
from leaklib.rng import generator

SPECS = [
    LeNet(),
    LeNet(num_classes=100, channels=4),
    LeNet(init_scale=None),
    LeNet(input_shape=(1, 28, 28)),
    LeNet5(),
    LeNet5(num_classes=4, activation=nn.ReLU, pool=nn.MaxPool2d),
    ConvNet(),
    ConvNet(width=8, activation=nn.Tanh),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_built_from_a_seed_alone(spec) -> None:
    state = torch.get_rng_state()
    a, b, c = spec.build(1), spec.build(1), spec.build(2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not any(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))
    inputs = torch.rand(2, *getattr(spec, "input_shape", (3, 32, 32)), generator=generator(0, "x"))
    assert a.training and a(inputs).shape == (2, spec.num_classes)


def test_dlg_s_network_has_the_size_of_the_released_one() -> None:
    count = lambda spec: sum(p.numel() for p in spec.build(0).parameters())  # noqa: E731
    assert count(LeNet()) == 15_826 and count(LeNet(num_classes=100)) == 85_036
    weights = torch.cat([p.flatten() for p in LeNet().build(0).parameters()])
    assert weights.abs().max() <= 0.5 and abs(weights.mean()) < 0.01
    assert weights.var().item() == pytest.approx(1 / 12, rel=0.05)


def test_lenet_5_has_the_classic_sizes() -> None:
    model = LeNet5().build(0)
    assert sum(p.numel() for p in model.parameters()) == 456 + 2416 + 48_120 + 10_164 + 850


def test_default_initialisation_is_pytorch_s() -> None:
    fc = LeNet(init_scale=None).build(0).get_submodule("fc")
    assert isinstance(fc, nn.Linear) and fc.weight.abs().max() <= 768**-0.5


def test_pictures_are_normalised_inside() -> None:
    mean = torch.tensor([0.4914, 0.4822, 0.4465])[None, :, None, None].expand(1, 3, 32, 32)
    assert Normalize()(mean).abs().max() < 1e-6
    assert isinstance(next(ConvNet().build(0).children()), Normalize)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LeNet(channels=0), "channels must be at least 1, got 0"),
        (lambda: LeNet(num_classes=1), "num_classes must be at least 2, got 1"),
        (lambda: LeNet(init_scale=0.0), "init_scale must be above 0 or None, got 0.0"),
        (lambda: LeNet(input_shape=(1, 3, 8)), r"input_shape must be at least 1 × 4 × 4, got \(1, 3, 8\)"),
        (lambda: LeNet5(num_classes=1), "num_classes must be at least 2, got 1"),
        (lambda: ConvNet(width=0), "width must be at least 1, got 0"),
    ],
)
def test_bad_fields(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
