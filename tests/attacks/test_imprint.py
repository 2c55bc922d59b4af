"""The imprint layer: exactly the pictures alone in their bin come back, and no other server gets them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from leaklib.attacks.imprint import Imprint
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import ImageFile, Photos
from leaklib.models.convnet import ConvNet
from leaklib.models.imprint import Imprinted
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Batch, ClientStep, Reconstruction

CIFAR10 = Path(__file__).parents[2] / "../shared/data/cifar10_test_000-499.npz"
PLAIN = FedSGD()
PHOTOS = Imprinted(ConvNet(width=16), mean=0.4, std=0.18)  # what a server may know of photographs


def attack(server: Imprinted, batch: Batch, step: ClientStep = PLAIN, seed: int = 0) -> Reconstruction:
    model = server.build(seed)
    return Imprint()(model, share(model, batch, step), generator=generator(0, "attack"))


def alone(server: Imprinted, batch: Batch) -> Tensor:
    """Which pictures share their bin with no other."""
    bins = torch.bucketize(batch.inputs.mean((1, 2, 3)), server.edges())
    return bins.bincount()[bins] == 1


def nearest(found: Reconstruction, batch: Batch) -> tuple[Tensor, Tensor]:
    """PSNR of the reconstruction nearest to each picture, and which one it is."""
    errors = torch.cdist(batch.inputs.double().flatten(1), found.inputs.double().flatten(1)).square()
    best = errors.min(1)
    return -10 * (best.values / batch.inputs[0].numel()).log10(), best.indices


@pytest.mark.parametrize("client", range(3))
def test_recovered_are_those_alone_in_their_bin(client: int) -> None:
    batch = Photos().batch(client, 64)
    found = attack(PHOTOS, batch, seed=client)
    decibel, where = nearest(found, batch)
    expected = alone(PHOTOS, batch)
    assert torch.equal(decibel > 60, expected) and expected.double().mean() > 0.5
    assert torch.equal(found.labels[where][expected], batch.labels[expected])
    assert torch.equal(found.labels.sort().values, batch.labels.sort().values)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("bins", [64, 128, 256, 512])
def test_recovered_are_those_alone_in_their_bin_on_cifar10(bins: int) -> None:
    if not CIFAR10.exists():
        pytest.skip("needs the CIFAR-10 pictures, which are not part of the project")
    share_alone, lucky = [], 0
    for client in range(7):
        batch, server = ImageFile(CIFAR10).batch(client, 64), Imprinted(bins=bins)
        decibel, _ = nearest(attack(server, batch, seed=client), batch)
        expected = alone(server, batch)
        assert (decibel[expected] > 60).all()
        lucky += int((decibel[~expected] > 60).sum())
        share_alone.append(expected.double().mean())
    # A mixture is nearly one picture if the error signal of the other is a thousandth of its own.
    assert lucky <= (1 if bins == 64 else 0)
    uniform = (1 - 1 / bins) ** 63  # were all bins as probable; some are more so, which costs a little
    assert uniform - 0.1 < torch.stack(share_alone).mean() < uniform + 0.05


def test_what_is_not_alone_comes_back_mixed_and_the_rest_is_gray() -> None:
    batch = Photos().batch(0, 64)
    found = attack(replace(PHOTOS, bins=16), batch)
    occupied = torch.bucketize(batch.inputs.mean((1, 2, 3)), replace(PHOTOS, bins=16).edges()).unique()
    gray = (found.inputs == 0.5).flatten(1).all(1)
    assert int((~gray).sum()) == len(occupied) and gray[len(occupied) :].all()


@pytest.mark.parametrize("base", [ConvNet(width=16), LeNet(init_scale=None)])
def test_one_picture_is_exact_on_any_base(base: ConvNet | LeNet) -> None:
    for client in range(5):
        batch = Photos().batch(client, 1)
        found = attack(Imprinted(base), batch, seed=client)
        assert nearest(found, batch)[0] > 100 and found.loss < 1e-8
        assert torch.equal(found.labels, batch.labels)


def test_one_local_step_of_fedavg_is_as_good_and_says_so_in_the_loss() -> None:
    batch = Photos().batch(0, 8)
    expected = alone(PHOTOS, batch)
    for step in (FedAvg(lr=0.01), FedAvg(lr=0.1, batch_size=8)):
        decibel, _ = nearest(attack(PHOTOS, batch, step), batch)
        assert torch.equal(decibel > 60, expected)


def test_the_network_works_and_its_output_depends_on_the_bins() -> None:
    model = Imprinted().build(0)
    levels = torch.linspace(0, 1, 11)[:, None, None, None].expand(11, 3, 32, 32)
    seen = nn.Sequential(*list(model.children())[:5])(levels)
    assert seen.shape == (11, 3, 32, 32) and torch.allclose(seen.amax((1, 2, 3)), seen.amin((1, 2, 3)))
    assert (seen[:, 0, 0, 0].diff() > 0).all() and abs(seen[0, 0, 0, 0]) < 1e-3
    assert abs(seen[-1, 0, 0, 0] - 1) < 1e-3
    assert model(levels).std(0).min() > 1e-4  # the error signal comes back because the output moves
    assert torch.equal(model.get_submodule("base").conv1.weight, ConvNet().build(0).conv1.weight)


def test_edges_are_the_quantiles_of_what_the_server_knows() -> None:
    server = Imprinted(bins=4, mean=0.5, std=0.1)
    assert server.edges()[0] < 0
    assert torch.allclose(server.edges()[1:], torch.tensor([0.43255, 0.5, 0.56745]), atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bins": 1}, "bins must be at least 2, got 1"),
        ({"mean": 1.5}, "mean must be in 0..1, got 1.5"),
        ({"std": 0.0}, "std must be above 0, got 0.0"),
    ],
)
def test_bad_fields(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Imprinted(**fields)


def test_refusals() -> None:
    batch = Photos().batch(0, 4)
    for step in (FedAvg(epochs=2), FedAvg(batch_size=2)):
        with pytest.raises(ValueError, match="one local step, got one from 2"):
            attack(PHOTOS, batch, step)
    with pytest.raises(
        ValueError, match=r"Imprint needs .* without clipping, got FedSGD\(max_grad_norm=1.0\)"
    ):
        attack(PHOTOS, batch, FedSGD(max_grad_norm=1.0))
    honest = ConvNet(width=16).build(0)
    with pytest.raises(ValueError, match="needs a network with an imprint layer"):
        Imprint()(honest, share(honest, batch, PLAIN), generator=generator(0, "attack"))
    moved = PHOTOS.build(0)
    with torch.no_grad():
        moved.get_submodule("imprint").weight[3] *= 2
    with pytest.raises(ValueError, match="as the server sent it"):
        Imprint()(moved, share(moved, batch, PLAIN), generator=generator(0, "attack"))
    model = PHOTOS.build(0)
    update = share(model, batch, PLAIN)
    silent = {n: 0 * t if n.startswith("imprint") else t for n, t in update.tensors.items()}
    with pytest.raises(ValueError, match="no error signal came back"):
        Imprint()(model, replace(update, tensors=silent), generator=generator(0, "attack"))


def test_a_base_with_batchnorm_is_left_as_it_was() -> None:
    class Normed:
        def build(self, seed: int) -> nn.Module:
            base = ConvNet(width=4).build(seed)
            return nn.Sequential(nn.BatchNorm2d(3), base)

    model, batch = Imprinted(Normed()).build(0), Photos().batch(0, 8)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    Imprint()(model, share(model, batch, PLAIN), generator=generator(0, "attack"))
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())
