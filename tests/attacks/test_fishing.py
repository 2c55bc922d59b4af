"""Bait lets one picture of a batch through, counted and exact; an honest network does not."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.attacks.fishing import Catch, Fishing, bait_of, fish
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.quantize import Quantize
from leaklib.metrics import psnr
from leaklib.models.baited import Baited
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.rng import generator
from leaklib.types import Batch

PLAIN, HONEST = FedSGD(), ConvNet(width=8)
LAST = ("fc.", "fc2.")  # layer of a ConvNet and of an Mlp
QUICK = Mlp((3, 32, 32), hidden=32, activation=nn.Sigmoid)
BAIT = Baited(HONEST, label=2)


def caught(batch: Batch, bait: Baited = BAIT, seed: int = 0) -> Catch:
    return fish(lambda model: share(model, batch, PLAIN), bait, seed)


def logits(batch: Batch, seed: int = 0) -> Tensor:
    """Of the honest network, without the bias: what the threshold is compared with."""
    model = HONEST.build(seed)
    with torch.no_grad():
        return (model(batch.inputs) - model.get_parameter("fc.bias"))[:, BAIT.label]


def alone(catch: Catch, picture: Tensor, sign: float = 1.0) -> dict[str, Tensor]:
    """What that picture sends through the logit of the bait, in a batch of this size."""
    model, size = catch.model, sign * catch.update.num_examples
    logit = model(picture)[0, bait_of(model)[1]] / size
    return dict(
        zip(dict(model.named_parameters()), torch.autograd.grad(logit, list(model.parameters())), strict=True)
    )


def rest(update: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """What differs below the last layer, relative to what should be there."""
    below = [name for name in expected if not name.startswith(LAST)]
    misses, sizes = zip(*((update[n] - expected[n], expected[n]) for n in below), strict=True)
    return (sum(x.square().sum() for x in misses) / sum(x.square().sum() for x in sizes)).sqrt().item()


@pytest.mark.parametrize(
    ("base", "client"),
    [(QUICK, 1), (QUICK, 2), pytest.param(ConvNet(width=32), 0, marks=pytest.mark.slow)],
)
def test_one_picture_of_64_comes_back(base: ConvNet | Mlp, client: int) -> None:
    batch = Photos().batch(client, 64)
    catch = caught(batch, Baited(base, label=2), seed=client)
    found = Fishing(steps=20)(catch.model, catch.update)
    victim = int(catch.model(batch.inputs)[:, 2].argmax())
    assert found.inputs.shape == (1, 3, 32, 32)
    assert psnr(found.inputs, batch.inputs[victim : victim + 1])[0] > 30
    assert found.loss < 1e-3 * found.baseline and catch.rounds <= 20


@pytest.mark.parametrize("seed", range(3))
def test_the_difference_is_what_the_picture_of_the_highest_logit_sends_alone(seed: int) -> None:
    batch = Photos().batch(seed, 32)
    catch = caught(batch, seed=seed)
    victim = int(logits(batch, seed).argmax())
    expected = alone(catch, batch.inputs[victim : victim + 1])
    assert rest(catch.update.tensors, expected) < 1e-4


def test_the_bias_counts_the_pictures_above_every_threshold() -> None:
    batch = Photos().batch(0, 32)
    seen = logits(batch).sort().values
    for above in (0, 1, 2, 16, 31, 32):
        edges = torch.cat([seen[:1] - 1, (seen[1:] + seen[:-1]) / 2, seen[-1:] + 1])
        bait = replace(BAIT, threshold=edges[32 - above].item())
        sent = share(bait.build(0), batch, PLAIN).tensors["fc.bias"][BAIT.label] * 32
        assert sent.item() == pytest.approx(above - (batch.labels == BAIT.label).sum().item(), abs=0.01)


def test_a_class_that_occurs_once_needs_one_round_and_shows_its_label() -> None:
    batch = replace(Photos().batch(0, 16), labels=torch.arange(16) % 2 + 3)
    batch.labels[5] = BAIT.label
    model = replace(BAIT, base=QUICK).build(0)
    update = share(model, batch, PLAIN)
    assert rest(update.tensors, alone(Catch(model, update, 1), batch.inputs[[5]], sign=-1)) < 1e-5
    found = Fishing(steps=10)(model, update)
    assert found.labels.tolist() == [BAIT.label] and psnr(found.inputs, batch.inputs[[5]])[0] > 30


def test_without_bait_there_is_no_picture() -> None:
    batch = Photos().batch(0, 32)
    honest, baited = HONEST.build(0), BAIT.build(0)
    with pytest.raises(ValueError, match=r"last layer is 0 but for one class, .* got 10 such rows"):
        Fishing()(honest, share(honest, batch, PLAIN))
    with pytest.raises(ValueError, match="needs a model that lets one picture through, got one that let"):
        Fishing()(baited, share(honest, batch, PLAIN))
    # What the honest network sends of the batch is nothing like what it sends of any of its pictures.
    whole = share(honest, batch, PLAIN).tensors
    each = [share(honest, Batch(batch.inputs[[i]], batch.labels[[i]]), PLAIN).tensors for i in range(8)]
    assert min(rest({n: 32 * t for n, t in whole.items()}, one) for one in each) > 0.9


def test_a_class_that_occurs_twice_is_a_mixture_and_is_refused() -> None:
    batch = replace(Photos().batch(0, 8), labels=torch.tensor([2, 2, 0, 0, 1, 1, 3, 3]))
    model = BAIT.build(0)
    with pytest.raises(ValueError, match="got one that let 2 of class 2 through"):
        Fishing()(model, share(model, batch, PLAIN))


def test_bait_changes_the_last_layer_alone_and_a_client_could_see_it() -> None:
    for base in (HONEST, LeNet(), Mlp((3, 32, 32))):
        honest, model = base.build(0), replace(BAIT, base=base).build(0)
        changed = [n for n, w in model.named_parameters() if not torch.equal(w, honest.get_parameter(n))]
        assert changed == list(dict(model.named_parameters()))[-2:]
    batch = replace(Photos().batch(0, 8), labels=torch.full((8,), BAIT.label))
    assert cross_entropy(BAIT.build(0)(batch.inputs), batch.labels) > 1e3
    assert cross_entropy(HONEST.build(0)(batch.inputs), batch.labels) < 3


def test_refusals() -> None:
    batch = replace(Photos().batch(0, 4), labels=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="no picture of the batch has class 2"):
        caught(batch)
    with pytest.raises(ValueError, match="no threshold isolates a picture within 3 rounds"):
        fish(lambda model: share(model, batch, PLAIN), replace(BAIT, label=0, gain=0.1), 0, most=3)
    with pytest.raises(ValueError, match="a last layer with a bias and a class 10"):
        Baited(HONEST, label=10).build(0)
    model = BAIT.build(0)
    for step in (FedAvg(), FedSGD(max_grad_norm=1.0)):
        with pytest.raises(ValueError, match="needs an update from FedSGD"):
            Fishing()(model, share(model, batch, step))
    with pytest.raises(ValueError, match="as the client computed it"):
        Fishing()(model, Quantize(8)(share(model, batch, PLAIN)), generator=generator(0, "attack"))
