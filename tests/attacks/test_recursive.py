"""The closed form through the whole network: exact to the digits of the gradient, or refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import cho_factor
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import interpolate

from leaklib.attacks.parts import peel
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedAvg, FedSGD, share
from leaklib.metrics import psnr
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Normalize, seeded
from leaklib.rng import generator
from leaklib.types import Batch, ClientStep, Reconstruction

PLAIN = FedSGD()
CIFAR10 = Path(__file__).parents[2] / "../shared/data/cifar10_test_000-499.npz"


def picture(seed: int, size: int = 1) -> Batch:
    """Smooth, as pictures are, with some noise on top."""
    draw = generator(seed, "picture")
    coarse = interpolate(torch.rand(size, 3, 6, 6, generator=draw), (32, 32), mode="bicubic").clamp(0, 1)
    inputs = 0.9 * coarse + 0.1 * torch.rand(size, 3, 32, 32, generator=draw)
    return Batch(inputs, torch.randint(10, (size,), generator=draw))


def attack(model: nn.Module, batch: Batch, step: ClientStep = PLAIN, **facts: bool) -> Reconstruction:
    return Recursive()(model, share(model, batch, step, **facts), generator=generator(0, "attack"))


def decibel(model: nn.Module, batch: Batch) -> float:
    """How close the reconstruction comes; the label and the loss are checked on the way."""
    found = attack(model, batch)
    assert torch.equal(found.labels, batch.labels) and found.loss < 1e-6
    return psnr(found.inputs, batch.inputs.to(found.inputs)).item()


def lenet(activation: Callable[[], nn.Module] = nn.Sigmoid, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 12, 5, stride=2, padding=2, bias=bias),
        activation(),
        nn.Conv2d(12, 12, 5, stride=2, padding=2, bias=bias),
        activation(),
        nn.Conv2d(12, 12, 5, padding=2, bias=bias),
        activation(),
        nn.Flatten(),
        nn.Linear(768, 10),
    )


class Own(nn.Module):
    """A network as a reader writes it: functions in forward, a hidden linear layer, odd sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.wide = nn.Conv2d(3, 16, (5, 4), stride=2, padding=(2, 1))
        self.odd = nn.Conv2d(16, 20, (4, 5), stride=(2, 1), padding=(1, 2))
        self.hidden = nn.Linear(20 * 8 * 16, 30)
        self.last = nn.Linear(30, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sigmoid(self.wide(self.normalize(x)))
        x = torch.tanh(self.odd(x)).flatten(1)
        return self.last(self.hidden(x).sigmoid())


class Viewed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = nn.Sequential(*lenet()[:6]), nn.Linear(768, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.last(x.view(x.size(0), -1))


def mlp() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3072, 64),
        nn.Sigmoid(),
        nn.Linear(64, 32, bias=False),
        nn.Softplus(),
        nn.Linear(32, 10),
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("seed", range(5))
def test_dlg_s_lenet(seed: int) -> None:
    assert decibel(LeNet().build(seed), picture(seed)) > 75
    assert decibel(LeNet().build(seed).double(), picture(seed)) > 150
    assert decibel(LeNet(init_scale=None).build(seed), picture(seed)) > 75


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("network", "decibels"),
    [
        (lambda: lenet(nn.Tanh), 90),
        (lambda: lenet(nn.Softplus), 75),
        (lambda: lenet(lambda: nn.LeakyReLU(0.3)), 75),
        (lambda: lenet(bias=False), 75),
        (lambda: ConvNet(width=16, activation=nn.Tanh).build(0), 90),
        (lambda: with_layer(nn.Conv2d(3, 8, 3, padding="valid"), nn.Dropout(0.0), nn.Sigmoid()), 75),
        (mlp, 120),
        (Own, 90),
        (Viewed, 75),
    ],
)  # fmt: skip
def test_other_networks(network: Callable[[], nn.Module], decibels: float) -> None:
    model = seeded(0, network)
    assert decibel(model, picture(0)) > decibels
    assert decibel(model.double(), picture(0)) > 150


def test_ten_channels_suffice_and_nine_do_not() -> None:
    # The count of claim T3: 331 c − c² ≥ 3072 from c = 10 on.
    assert decibel(LeNet(channels=10).build(0), picture(0)) > 75
    with pytest.raises(ValueError, match=r"undo conv1: .* determine at most 2898 of its 3072 inputs"):
        attack(LeNet(channels=9).build(0), picture(0))


def test_a_deficit_that_counting_misses_is_found() -> None:
    # A stride of 2 splits the pixels by parity, and the kernel's parts do not suffice for each part alone.
    with pytest.raises(ValueError, match=r"undo conv2: .* determine at most 1984 of its 2048 inputs"):
        attack(LeNet(channels=8).build(0), picture(0))


def test_pixels_between_the_windows_are_missed() -> None:
    model = nn.Sequential(nn.Conv2d(3, 40, 1, stride=2), nn.Sigmoid(), nn.Flatten(), nn.Linear(10240, 10))
    with pytest.raises(ValueError, match=r"undo 0: .* determine at most 768 of its 3072 inputs"):
        attack(model, picture(0))


def test_revealed_labels_are_taken_and_the_rest_is_left_alone() -> None:
    model, batch = LeNet().build(0), picture(0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found, again = attack(model, batch, reveal_labels=True), attack(model, batch)
    assert torch.equal(found.inputs, again.inputs) and found.loss == again.loss
    assert found.evaluations == 0 and found.restarts == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.slow
def test_what_saturation_ruins_shows_in_the_loss() -> None:
    found = [attack(LeNet(init_scale=2.0).build(seed), picture(seed)) for seed in range(4)]
    quality = [psnr(f.inputs, picture(seed).inputs).item() for seed, f in enumerate(found)]
    assert min(quality) < 30 < 75 < max(quality)
    assert all((f.loss > 1e-5) == (q < 40) for f, q in zip(found, quality, strict=True))
    with pytest.raises(ValueError, match=r"undo conv2: .* determine at most"):
        attack(LeNet(init_scale=4.0).build(0), picture(0))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3072, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last((x + self.conv(x)).flatten(1))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3072, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.flatten(1) if x.mean() > 0 else -x.flatten(1))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3072, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(self.conv(x).sigmoid()).sigmoid().flatten(1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = (
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Linear(3072, 10),
        )
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.b(self.a(x).sigmoid()).sigmoid().flatten(1))


def with_layer(*layers: nn.Module) -> nn.Sequential:
    """A network that is fine but for ``layers``, which leave a 3 × 32 × 32 picture its size or halve it."""
    size = nn.Sequential(*layers).eval()(torch.zeros(1, 3, 32, 32)).numel()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, 10)).train()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: lenet(nn.ReLU), r"undo 1 \(ReLU\): it maps many values to one"),
        (lambda: lenet(nn.GELU), r"undo 1 \(GELU\): it is not one-to-one"),
        (lambda: lenet(nn.SiLU), r"undo 1 \(SiLU\): it is not one-to-one"),
        (lambda: with_layer(nn.LeakyReLU(0.0)), r"undo 0 \(LeakyReLU\): its negative_slope is not above 0"),
        (lambda: with_layer(nn.MaxPool2d(2)), r"undo 0 \(MaxPool2d\): it keeps fewer numbers than it gets"),
        (lambda: with_layer(nn.AvgPool2d(2)), r"undo 0 \(AvgPool2d\): it keeps fewer numbers"),
        (lambda: with_layer(nn.BatchNorm2d(3)), r"undo 0 \(BatchNorm2d\): in train mode it removes the mean"),
        (lambda: with_layer(nn.Dropout(0.5)), r"undo 0 \(Dropout\): in train mode it drops values"),
        (lambda: with_layer(nn.Softmax(1)), r"undo 0 \(Softmax\): it knows no inverse of it"),
        (lambda: with_layer(nn.Conv2d(3, 3, 3, groups=3)), r"undo 0 \(Conv2d\): it has groups"),
        (lambda: with_layer(nn.Conv2d(3, 3, 3, dilation=2)), r"undo 0 \(Conv2d\): it has groups, dilation"),
        (lambda: with_layer(nn.Conv2d(3, 3, 3, padding="same")), r"undo 0 \(Conv2d\): .* special padding"),
        (lambda: nn.Sequential(*lenet()[:7], nn.Linear(768, 10, bias=False)), "a last layer that is Linear"),
        (lambda: nn.Sequential(*lenet(), nn.Sigmoid()), "last layer that is .* a bias, got 8: Sigmoid"),
        (lambda: with_layer(nn.Linear(32, 8)), "undo 0: it sees more than one vector"),
        (Residual, "needs a chain of layers: add takes other than just conv"),
        (Branching, "cannot follow the forward of Branching"),
        (Twice, "undo conv: its weights are used in two places"),
        (Tied, "undo b: its weights are used in two places"),
    ],
)  # fmt: skip
def test_a_layer_that_cannot_be_undone_is_named(network: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attack(seeded(0, network), picture(0))


def test_what_it_asks_of_the_update() -> None:
    model = LeNet().build(0)
    with pytest.raises(ValueError, match="Recursive needs an update from 1 example, got one from 2"):
        attack(model, picture(0, size=2))
    for step in (FedAvg(epochs=2), FedSGD(max_grad_norm=1.0)):
        with pytest.raises(ValueError, match=r"needs an update from FedSGD\(\) without clipping, got Fed"):
            attack(model, picture(0), step)


def test_nothing_passes_a_dead_layer() -> None:
    model = seeded(0, mlp)
    with torch.no_grad():
        model[5].weight.zero_()
    with pytest.raises(ValueError, match="undo 3: the gradient in its output is zero"):
        attack(model, picture(0))


def test_scipy_keeps_to_as_many_threads_as_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    def factor(*arguments, **options):
        used.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        return cho_factor(*arguments, **options)

    monkeypatch.setattr(peel, "cho_factor", factor)
    with threadpool_limits(2, user_api="blas"):
        attack(LeNet().build(0), picture(0))
    assert used and set(used) == {torch.get_num_threads()} == {1}


@pytest.mark.slow
@pytest.mark.sampled(1)
@pytest.mark.skipif(not CIFAR10.exists(), reason=f"no CIFAR-10 pictures at {CIFAR10.resolve()}")
@pytest.mark.parametrize(
    ("init_scale", "dtype", "median", "least"),
    [(0.5, torch.float32, 100, 85), (0.5, torch.float64, 200, 150), (None, torch.float32, 95, 90)],
)
def test_fifty_pictures_of_cifar10(
    init_scale: float | None, dtype: torch.dtype, median: float, least: float
) -> None:
    archive = np.load(CIFAR10)
    images = torch.tensor(archive["images"][:50]).permute(0, 3, 1, 2).to(dtype) / 255
    labels = torch.tensor(archive["labels"][:50]).long()
    scores = [
        decibel(LeNet(init_scale=init_scale).build(i).to(dtype), Batch(images[i : i + 1], labels[i : i + 1]))
        for i in range(50)
    ]
    assert np.median(scores) > median and min(scores) > least
