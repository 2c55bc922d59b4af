"""Laws of the client: what is shared, from what, and that sharing changes nothing."""

import copy

import pytest
import torch
from torch import nn

from leaklib.client import FedAvg, FedSGD, batch_norm_statistics, share
from leaklib.models.lenet import LeNet
from leaklib.named import fingerprint
from leaklib.rng import generator
from leaklib.types import Batch


def some_batch(size: int, seed: int = 0) -> Batch:
    draw = generator(seed, "batch")
    return Batch(torch.rand(size, 3, 32, 32, generator=draw), torch.randint(10, (size,), generator=draw))


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


@pytest.fixture
def model() -> nn.Module:
    return LeNet().build(0).double()


def batch_norm_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, 4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 49, 10)
    ).double()


def test_gradient_is_what_autograd_gives(model: nn.Module) -> None:
    batch = some_batch(3)
    nn.functional.cross_entropy(model(batch.inputs.double()), batch.labels).backward()
    expected = {name: weight.grad for name, weight in model.named_parameters()}
    assert distance(share(model, batch, FedSGD()).tensors, expected) == 0


def test_mean_of_clients_is_the_gradient_of_the_joined_batch(model: nn.Module) -> None:
    batches = [some_batch(2, seed) for seed in range(4)]
    updates = [share(model, batch, FedSGD()).tensors for batch in batches]
    mean = {name: torch.stack([u[name] for u in updates]).mean(0) for name in updates[0]}
    joined = Batch(torch.cat([b.inputs for b in batches]), torch.cat([b.labels for b in batches]))
    assert distance(mean, share(model, joined, FedSGD()).tensors) < 1e-14


def test_one_fedavg_step_over_its_learning_rate_is_fedsgd(model: nn.Module) -> None:
    batch = some_batch(3)
    difference = share(model, batch, FedAvg(lr=0.25)).tensors
    assert (
        distance({n: t / 0.25 for n, t in difference.items()}, share(model, batch, FedSGD()).tensors) < 1e-14
    )


def test_fedavg_is_plain_sgd_over_the_batch_in_order() -> None:
    model, batch = batch_norm_net(), some_batch(5)
    trained = copy.deepcopy(model)
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
    for _ in range(2):
        for inputs, labels in zip(batch.inputs.double().split(2), batch.labels.split(2), strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(trained(inputs), labels).backward()
            optimizer.step()
    moved = dict(trained.named_parameters())
    expected = {name: (weight - moved[name]).detach() for name, weight in model.named_parameters()}
    assert distance(share(model, batch, FedAvg(lr=0.1, epochs=2, batch_size=2)).tensors, expected) < 1e-14


def test_clipping_bounds_every_example(model: nn.Module) -> None:
    batch = some_batch(3)
    norms = [
        sum(t.square().sum() for t in share(model, Batch(x[None], y[None]), FedSGD()).tensors.values()).sqrt()
        for x, y in zip(batch.inputs, batch.labels, strict=True)
    ]
    bound = min(norms).item() / 2
    clipped = share(model, batch, FedSGD(max_grad_norm=bound)).tensors
    one = share(model, Batch(batch.inputs[:1], batch.labels[:1]), FedSGD(max_grad_norm=bound)).tensors
    assert sum(t.square().sum() for t in one.values()).sqrt().item() == pytest.approx(bound)
    assert sum(t.square().sum() for t in clipped.values()).sqrt().item() <= bound * (1 + 1e-12)
    loose = share(model, batch, FedSGD(max_grad_norm=2 * max(norms).item())).tensors
    assert distance(loose, share(model, batch, FedSGD()).tensors) < 1e-14


@pytest.mark.parametrize("step", [FedSGD(), FedSGD(max_grad_norm=1.0), FedAvg(epochs=2, batch_size=2)])
@pytest.mark.parametrize("training", [True, False])
def test_sharing_leaves_the_model_and_its_batch_norm_alone(step, training: bool) -> None:
    model = batch_norm_net().train(training)
    if step == FedSGD(max_grad_norm=1.0):
        model.eval()  # BatchNorm in training mode has no per-example gradient
    before = copy.deepcopy(model.state_dict())
    share(model, some_batch(4), step)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("step", [FedSGD(), FedAvg(lr=0.1, epochs=2, batch_size=1)])
def test_a_step_can_be_differentiated_in_the_inputs_and_in_soft_labels(step, model: nn.Module) -> None:
    inputs = some_batch(2).inputs.double().requires_grad_()
    logits = torch.zeros(2, 10, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(inputs.shape, generator=generator(1, "direction"), dtype=torch.float64)

    def value(x: torch.Tensor) -> torch.Tensor:
        return sum(t.square().sum() for t in step(model, x, logits.softmax(1)).values())

    gradient, label_gradient = torch.autograd.grad(value(inputs), [inputs, logits])
    h = 1e-5
    numeric = (value(inputs.detach() + h * direction) - value(inputs.detach() - h * direction)) / (2 * h)
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-6)
    assert label_gradient.abs().max() > 0


def test_labels_travel_only_when_revealed(model: nn.Module) -> None:
    batch = some_batch(2)
    assert share(model, batch, FedSGD()).labels is None
    revealed = share(model, batch, FedSGD(), client=3, reveal_labels=True)
    assert revealed.labels is not None and torch.equal(revealed.labels, batch.labels)
    assert (revealed.client, revealed.num_examples, revealed.input_shape) == (3, 2, (3, 32, 32))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FedSGD(max_grad_norm=0.0), "max_grad_norm must be above 0 and finite or None, got 0.0"),
        (lambda: FedAvg(lr=-1.0), "lr must be above 0, got -1.0"),
        (lambda: FedAvg(epochs=0), "epochs must be at least 1, got 0"),
        (lambda: FedAvg(batch_size=0), "batch_size must be at least 1 or None, got 0"),
        (lambda: Batch(torch.zeros(2, 3, 4, 4), torch.zeros(1, dtype=torch.int64)), "2 inputs and 1 labels"),
        (lambda: share(nn.Flatten(), some_batch(1), FedSGD()), "the model has no parameters"),
    ],
)
def test_bad_input_gets_one_sentence(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


STEPS = [FedSGD(), FedSGD(max_grad_norm=0.1), FedAvg(lr=0.2, epochs=2, batch_size=2)]


@pytest.mark.parametrize("step", STEPS, ids=str)
@pytest.mark.parametrize("soft", [False, True])
def test_a_lane_has_the_update_that_its_guess_has_alone(step, soft: bool) -> None:
    model, draw = batch_norm_net(), generator(0, "lanes")
    before = copy.deepcopy(model.state_dict())
    inputs = torch.rand(4, 3, 3, 32, 32, generator=draw, dtype=torch.float64)
    labels = torch.randint(10, (4, 3), generator=draw)
    if soft:
        labels = torch.randn(4, 3, 10, generator=draw, dtype=torch.float64).softmax(-1)
    if step == FedSGD(max_grad_norm=0.1):
        model.eval()  # clipping needs a gradient per example, which BatchNorm in training mode has not
    together = step(model, inputs, labels, lanes=True)
    for lane in range(4):
        alone = step(model, inputs[lane], labels[lane])
        assert distance({n: t[lane] for n, t in together.items()}, alone) < 1e-13
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_lanes_are_differentiable_and_do_not_mix() -> None:
    model, draw = batch_norm_net(), generator(0, "lanes")
    inputs = torch.rand(3, 2, 3, 32, 32, generator=draw, dtype=torch.float64).requires_grad_()
    update = FedAvg(lr=0.2, epochs=2)(model, inputs, torch.tensor([[1, 2]]).expand(3, -1), lanes=True)
    (gradient,) = torch.autograd.grad(sum(t[1].square().sum() for t in update.values()), inputs)
    assert gradient[1].any() and not gradient[0].any() and not gradient[2].any()


def test_statistics_are_those_that_batch_norm_measures() -> None:
    model, batch = batch_norm_net(), some_batch(5)
    before = copy.deepcopy(model.state_dict())
    update = share(model, batch, FedSGD(), reveal_statistics=True)
    assert share(model, batch, FedSGD()).statistics is None
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    model[1].momentum = 1.0
    model(batch.inputs.double())  # the running statistics are now the batch's own
    mean, variance = update.statistics["1"]
    count = 5 * 7 * 7
    assert (mean - model[1].running_mean).abs().max() < 1e-14
    assert (variance * count / (count - 1) - model[1].running_var).abs().max() < 1e-14


def test_statistics_can_be_differentiated_and_leave_no_hook() -> None:
    model, inputs = batch_norm_net(), some_batch(3).inputs.double().requires_grad_()
    statistics = batch_norm_statistics(model, inputs)
    assert torch.autograd.grad(statistics["1"].sum(), inputs)[0].any()
    assert not any(layer._forward_pre_hooks for layer in model.modules())
    assert batch_norm_statistics(LeNet().build(0), some_batch(1).inputs) == {}


def test_an_update_names_the_very_model_that_it_was_computed_at() -> None:
    batch = some_batch(1)
    model, same, other = (LeNet().build(seed) for seed in (0, 0, 1))
    updates = [share(m, batch, FedSGD()) for m in (model, same, other)]
    assert updates[0].model == updates[1].model == fingerprint(model) != updates[2].model
    with torch.no_grad():
        next(same.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(same) != fingerprint(model)
    norm = nn.BatchNorm1d(3)
    before = fingerprint(norm)
    norm(torch.randn(4, 3, generator=generator(0, "x")))  # moves the running statistics, which are sent, too
    assert fingerprint(norm) != before
