"""The closed form of a fully connected layer: exact for any activation above it, and honest where it ends."""

import pytest
import torch
from torch import nn

from leaklib.attacks.linear_layer import LinearLayer, invert_linear
from leaklib.client import FedAvg, FedSGD, share
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Normalize, seeded
from leaklib.rng import generator
from leaklib.types import Batch


def mlp(
    activation: type[nn.Module] = nn.ReLU, before: tuple[nn.Module, ...] = (), bias: bool = True
) -> nn.Module:
    return seeded(
        0,
        lambda: nn.Sequential(
            *before, nn.Flatten(), nn.Linear(3072, 64, bias=bias), activation(), nn.Linear(64, 10)
        ),
    )


def some(size: int, seed: int = 0) -> Batch:
    draw = generator(seed, "some")
    return Batch(torch.rand(size, 3, 32, 32, generator=draw), torch.randint(10, (size,), generator=draw))


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.ReLU, nn.Tanh, nn.GELU])
@pytest.mark.parametrize(("dtype", "decibel"), [(torch.float32, 100), (torch.float64, 250)])
def test_exact_to_float_precision(activation: type[nn.Module], dtype: torch.dtype, decibel: float) -> None:
    model = mlp(activation).to(dtype)
    for seed in range(5):
        batch = some(1, seed)
        found = LinearLayer()(model, share(model, batch, FedSGD()), generator=generator(0, "a"))
        assert psnr(found.inputs, batch.inputs.to(dtype)).item() > decibel
        assert torch.equal(found.labels, batch.labels) and found.loss < 1e-9


def test_any_one_row_would_do_and_scale_does_not_matter() -> None:
    x, delta = torch.rand(20, generator=generator(0, "x")), torch.randn(5, generator=generator(0, "d"))
    weight_grad = delta[:, None] * x
    for rows in ([2], [0, 4], range(5)):
        for scale in (1.0, 1e-30, 1e30):
            got = invert_linear(weight_grad[list(rows)] * scale, delta[list(rows)] * scale)
            assert torch.allclose(got, x, rtol=1e-5)


def test_one_local_step_of_fedavg_is_a_scaled_gradient() -> None:
    model, batch = mlp(), some(1)
    found = LinearLayer()(model, share(model, batch, FedAvg(lr=0.1)), generator=generator(0, "a"))
    assert psnr(found.inputs, batch.inputs).item() > 60


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (
            LeNet().build(0),
            some(1),
            "needs a network whose first layer is Linear with a bias, got Conv2d as 'conv1'",
        ),
        (mlp(bias=False), some(1), "first layer is Linear with a bias"),
        (mlp(before=(Normalize(),)), some(1), "is Linear with a bias, got Normalize"),
        (mlp(), some(2), "needs an update from 1 example, got one from 2"),
    ],
)
def test_refusals(model: nn.Module, batch: Batch, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinearLayer()(model, share(model, batch, FedSGD()), generator=generator(0, "a"))


def test_a_layer_without_error_tells_nothing() -> None:
    with pytest.raises(ValueError, match="bias gradient is zero"):
        invert_linear(torch.zeros(4, 3), torch.zeros(4))
    # All ReLUs dead: the layer above still has a gradient, the first has none.
    model = mlp(nn.ReLU)
    with torch.no_grad():
        model[1].bias.fill_(-100)
    with pytest.raises(ValueError, match="bias gradient is zero"):
        LinearLayer()(model, share(model, some(1), FedSGD()), generator=generator(0, "a"))
