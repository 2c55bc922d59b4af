"""iDLG's rule reads every untrained network, the row-sum rule of its code does not; batches are counted."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from leaklib.attacks.parts.label_counts import possible
from leaklib.attacks.parts.labels import infer_label, infer_label_counts, infer_labels, num_classes
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import seeded
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


@pytest.mark.sampled(2)
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


# --- counts of a batch ---


def counts_of(labels: Tensor, classes: int = 10) -> Tensor:
    return torch.bincount(labels, minlength=classes)


def several(seed: int, size: int, classes: int = 10) -> Batch:
    draw = generator(seed, "several")
    return Batch(torch.rand(size, 3, 4, 4, generator=draw), torch.randint(classes, (size,), generator=draw))


def loud(seed: int, activation: type[nn.Module]) -> nn.Module:
    """A network whose probabilities are far from uniform."""
    model = net(seed, activation, True)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 5
    return model


@pytest.mark.sampled(1)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_counts_of_one_example_are_its_label_on_any_network(activation: type[nn.Module]) -> None:
    """One feature vector is all there is, so the equations hold exactly: untrained or not does not matter."""
    for seed in range(NETS):
        model, batch = loud(seed, activation).double(), one(seed)  # float32 rounds sure networks to p = 1
        found = infer_label_counts(share(model, batch, FedSGD()), model)
        assert torch.equal(found, counts_of(batch.labels))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_counts_are_exact_where_all_examples_look_alike(activation: type[nn.Module]) -> None:
    for seed in range(50):
        model, batch = loud(seed, activation), several(seed, 2 + seed)
        alike = Batch(batch.inputs[:1].expand_as(batch.inputs), batch.labels)
        found = infer_label_counts(share(model.double(), alike, FedSGD()), model)
        assert torch.equal(found, counts_of(batch.labels))


@pytest.mark.sampled(3)
@pytest.mark.parametrize("size", [2, 8, 32])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_counts_are_exact_on_untrained_networks(activation: type[nn.Module], size: int) -> None:
    for seed in range(20):
        model, batch = net(seed, activation, True), several(seed, size)
        assert torch.equal(infer_label_counts(share(model, batch, FedSGD()), model), counts_of(batch.labels))


@pytest.mark.parametrize("make", [LeNet(), LeNet(init_scale=None), ConvNet(width=16)], ids=str)
def test_counts_are_exact_on_photographs(make: LeNet | ConvNet) -> None:
    for client in range(7):
        model, batch = make.build(client), Photos().batch(client, 32)
        assert torch.equal(infer_label_counts(share(model, batch, FedSGD()), model), counts_of(batch.labels))


def test_a_class_that_is_there_is_never_ruled_out() -> None:
    """The directions of the gradient alone say so much, trained or not; with few examples they say it all."""
    ruled_out = 0
    for seed in range(50):
        batch = several(seed, 3)
        update = share(loud(seed, nn.Tanh).double(), batch, FedSGD())
        found = possible(update.tensors["3.weight"], 3)
        assert found[batch.labels].all()
        ruled_out += int((~found).sum())
    assert ruled_out > 0.9 * 50 * 7
    assert possible(update.tensors["3.weight"], 10).all()  # as many examples as classes: no telling
    assert possible(torch.ones(10, 32, dtype=torch.float64), 3).all()  # one direction from three examples


def test_without_the_model_the_weights_must_be_small() -> None:
    batch = several(0, 8)
    flat = net(0, nn.Tanh, True)
    with torch.no_grad():
        flat[3].weight.zero_()
        flat[3].bias.zero_()
    assert torch.equal(infer_label_counts(share(flat, batch, FedSGD())), counts_of(batch.labels))
    sure = net(0, nn.Tanh, True)
    with torch.no_grad():
        sure[3].bias[3] = 5.0
    update = share(sure, batch, FedSGD())
    assert not torch.equal(infer_label_counts(update), counts_of(batch.labels))
    assert torch.equal(infer_label_counts(update, sure), counts_of(batch.labels))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_counts_are_integers_that_sum_to_the_batch_whatever_the_update(size: int) -> None:
    model = net(0, nn.Tanh, True)
    update = share(model, several(0, size), FedSGD())
    for seed in range(20):
        draw = generator(seed, "noise")
        noise = {n: torch.randn(t.shape, generator=draw) for n, t in update.tensors.items()}
        for known in (model, None):
            counts = infer_label_counts(replace(update, tensors=noise), known)
            assert counts.dtype == torch.int64 and counts.min() >= 0 and counts.sum() == size


@pytest.mark.parametrize("step", [FedAvg(lr=0.01, epochs=3), FedAvg(lr=0.01, epochs=2, batch_size=4)])
def test_counts_of_a_fedavg_update(step: FedAvg) -> None:
    """To be divided by lr and by 3 steps, or by 2 × 4: one pass over 16 examples has 4 mini-batches."""
    for seed in range(10):
        model, batch = net(seed, nn.Tanh, True), several(seed, 16)
        assert torch.equal(infer_label_counts(share(model, batch, step), model), counts_of(batch.labels))


def test_labels_are_the_revealed_ones_or_the_inferred() -> None:
    model, batch = net(0, nn.Tanh, True), several(3, 6)
    revealed = share(model, batch, FedSGD(), reveal_labels=True)
    assert torch.equal(infer_labels(model, revealed), batch.labels)
    assert torch.equal(infer_labels(model, replace(revealed, labels=None)), batch.labels.sort().values)
    single = share(net(0, nn.Tanh, False), one(0), FedSGD())  # no bias: what infer_label can do is enough
    assert torch.equal(infer_labels(net(0, nn.Tanh, False), single), one(0).labels)


def test_counts_refuse_what_they_cannot_read() -> None:
    model, batch = net(0, nn.Tanh, True), several(0, 4)
    update = share(model, batch, FedSGD())
    with pytest.raises(ValueError, match="a last layer with a bias, 3 has none"):
        infer_label_counts(share(net(0, nn.Tanh, False), batch, FedSGD()))
    with pytest.raises(ValueError, match=r"without clipping, got FedSGD\(max_grad_norm=1.0\)"):
        infer_label_counts(share(model, batch, FedSGD(max_grad_norm=1.0)), model)
    with pytest.raises(ValueError, match="zero or not finite"):
        infer_label_counts(replace(update, tensors={n: 0 * t for n, t in update.tensors.items()}))
    with pytest.raises(ValueError, match="the update lacks"):
        infer_label_counts(
            replace(update, tensors={n: update.tensors[n] for n in ("3.weight", "3.bias")}), model
        )
