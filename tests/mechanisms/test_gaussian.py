"""Clipping bounds what one unit can move, noise has the spread it says, and none goes without the other."""

from dataclasses import replace

import pytest
import torch
from scipy.stats import chi2

from leaklib.aggregation.central import CentralDP
from leaklib.attacks.dlg import IDLG
from leaklib.attacks.search.objectives import squared_error
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.quantize import Quantize
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.resnet import ResNet
from leaklib.rng import generator
from leaklib.types import Batch, Tensors, Update

MODEL = LeNet().build(0)


def sent(step=FedSGD(), size: int = 4, client: int = 0) -> Update:  # noqa: B008
    return share(MODEL, Photos().batch(client, size), step, client=client)


def norm(tensors: Tensors) -> float:
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()]).double().norm().item()


def difference(a: Tensors, b: Tensors) -> Tensors:
    return {name: a[name] - b[name] for name in a}


# --- clipping ---


@pytest.mark.parametrize("bound", [0.01, 1.0, 1e6])
@pytest.mark.parametrize("step", [FedSGD(), FedAvg(epochs=2)], ids=str)
def test_clipping_never_lengthens_and_never_turns(step, bound: float) -> None:
    update = sent(step)
    clipped = ClipNorm(bound)(update, generator=generator(0, "m"))
    assert clipped.sensitivity == bound
    assert norm(clipped.tensors) <= min(bound, norm(update.tensors)) * (1 + 1e-5)
    if bound > norm(update.tensors):
        assert all(torch.equal(clipped.tensors[n], t) for n, t in update.tensors.items())
    else:
        assert norm(clipped.tensors) == pytest.approx(bound, rel=1e-5)
        scale = bound / norm(update.tensors)
        assert norm({n: clipped.tensors[n] - scale * t for n, t in update.tensors.items()}) < 1e-5 * bound


@pytest.mark.parametrize("bound", [0.1, 3.0, 100.0])
def test_one_example_moves_the_mean_by_at_most_the_sensitivity(bound: float) -> None:
    batch, step = Photos().batch(0, 6), FedSGD(max_grad_norm=bound)
    update = share(MODEL, batch, step)
    assert update.sensitivity == pytest.approx(bound / 6)
    for gone in range(6):
        rest = [i for i in range(6) if i != gone]
        others = share(MODEL, Batch(batch.inputs[rest], batch.labels[rest]), step)
        without = {name: tensor * 5 / 6 for name, tensor in others.tensors.items()}  # the divisor stays
        moved = norm(difference(update.tensors, without))
        assert moved <= update.sensitivity * (1 + 1e-5)
        if bound == 0.1:  # every example is clipped: the bound is reached
            assert moved == pytest.approx(update.sensitivity, rel=1e-4)


def test_clipping_all_examples_at_once_is_clipping_one_by_one() -> None:
    for model, batch in (
        (MODEL.double(), Photos().batch(0, 5)),
        (ResNet(width=4, num_classes=10).build(0).double(), Photos().batch(0, 3)),
    ):
        inputs, labels, step = batch.inputs.double(), batch.labels, FedSGD(max_grad_norm=1.0)
        together = step(model, inputs, labels)
        each = [step(model, *one) for one in zip(inputs.split(1), labels.split(1), strict=True)]
        for name, tensor in together.items():
            assert torch.allclose(tensor, torch.stack([one[name] for one in each]).mean(0), atol=1e-12)
    MODEL.float()


def test_an_attack_goes_through_the_clip() -> None:
    base = Experiment(Photos(), ConvNet(16), FedSGD(), IDLG(steps=15), seed=1, first_client=1)
    clipped = run(replace(base, mechanism=ClipNorm(1e-2)))
    assert norm(clipped.update.tensors) == pytest.approx(1e-2, rel=1e-4)
    assert clipped.score.psnr > 30


# --- noise ---


@pytest.mark.parametrize(("multiplier", "bound"), [(1.0, 1.0), (0.5, 10.0), (30.0, 0.01)])
def test_the_noise_has_the_spread_that_it_says(multiplier: float, bound: float) -> None:
    clipped = ClipNorm(bound)(sent(), generator=generator(0, "m"))
    noisy = Chain((ClipNorm(bound), GaussianNoise(multiplier)))(sent(), generator=generator(0, "m"))
    central = CentralDP(multiplier)((clipped,), generator=generator(0, "m")).updates[0]
    for update in (noisy, central):
        assert update.sensitivity is None
        noise = difference(update.tensors, clipped.tensors)
        entries = sum(tensor.numel() for tensor in noise.values())
        square = (norm(noise) / (multiplier * bound)) ** 2
        assert chi2.ppf(1e-6, entries) < square < chi2.ppf(1 - 1e-6, entries)


def test_central_noise_is_smaller_by_the_number_of_clients() -> None:
    clipped = tuple(ClipNorm(1.0)(sent(client=c), generator=generator(0, "m")) for c in range(5))
    view = CentralDP(2.0)(clipped, generator=generator(0, "g"))
    (published,) = view.updates
    exact = {name: torch.stack([u.tensors[name] for u in clipped]).mean(0) for name in published.tensors}
    noise = difference(published.tensors, exact)
    entries = sum(tensor.numel() for tensor in noise.values())
    assert chi2.ppf(1e-6, entries) < (norm(noise) / (2.0 / 5)) ** 2 < chi2.ppf(1 - 1e-6, entries)
    assert published.clients == (0, 1, 2, 3, 4) and published.num_examples == 20 and not view.sealed


def test_every_tensor_has_noise_of_its_own() -> None:
    """The same noise on two tensors would cancel in their difference."""
    zeros = {"a": torch.zeros(5000), "b": torch.zeros(5000)}
    update = Update(zeros, FedSGD(), 1, (3,), sensitivity=1.0)
    for noisy in (GaussianNoise()(update), CentralDP()((update,)).updates[0]):
        moved = noisy.tensors["a"] - noisy.tensors["b"]
        assert moved.std().item() == pytest.approx(2**0.5, rel=0.05)


def test_far_pictures_explain_a_noisy_update_worse() -> None:
    mechanism = Chain((ClipNorm(1.0), GaussianNoise(1e-3)))
    noisy = mechanism(sent(size=1), generator=generator(0, "m"))
    right, wrong = (
        mechanism.distance(sent(size=1, client=c).tensors, noisy.tensors, squared_error) for c in (0, 1)
    )
    assert right < 0.1 * wrong


# --- no noise without clipping ---


def test_noise_without_clipping_is_refused() -> None:
    with pytest.raises(ValueError, match="bounded sensitivity, got one without: clip first"):
        GaussianNoise()(sent(), generator=generator(0, "m"))
    for order in ((GaussianNoise(), ClipNorm()), (ClipNorm(), Quantize(8), GaussianNoise())):
        with pytest.raises(ValueError, match="clip first"):
            Chain(order)(sent(), generator=generator(0, "m"))
    for update in (sent(), replace(sent(FedSGD(max_grad_norm=1.0)), sensitivity=None)):
        with pytest.raises(ValueError, match="CentralDP needs updates of bounded sensitivity"):
            CentralDP()((update,), generator=generator(0, "g"))
    half = (ClipNorm()(sent(), generator=generator(0, "m")), sent(client=1))
    with pytest.raises(ValueError, match="CentralDP needs updates of bounded sensitivity"):
        CentralDP()(half, generator=generator(0, "g"))
    noisy = Chain((ClipNorm(), GaussianNoise()))(sent(), generator=generator(0, "m"))
    with pytest.raises(ValueError, match="CentralDP needs updates of bounded sensitivity"):
        CentralDP()((noisy,), generator=generator(0, "g"))


def test_statistics_that_travel_without_noise_are_refused() -> None:
    model = ResNet(width=4).build(0)
    update = share(model, Photos().batch(0, 2), FedSGD(max_grad_norm=1.0), reveal_statistics=True)
    with pytest.raises(ValueError, match="statistics travel along without noise"):
        GaussianNoise()(update, generator=generator(0, "m"))
