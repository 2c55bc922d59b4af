"""Someone's own model and gradients: in whatever form they come, they become an update to attack."""

import re
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.aggregation.parts.pooled import pooled
from leaklib.attacks.candidates import Candidates
from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.gauss_newton import GaussNewton
from leaklib.attacks.grad_inversion import GradInversion
from leaklib.attacks.imprint import Imprint
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.parts.labels import infer_label
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.spectrum import identifiability
from leaklib.identifiability.twin import twin
from leaklib.mechanisms.quantize import Quantize
from leaklib.models.imprint import Imprinted
from leaklib.models.parts.build import Normalize, seeded
from leaklib.models.transformer import TinyTransformer
from leaklib.rng import generator
from leaklib.types import Batch, Update

SHAPE = (3, 8, 8)


def batch(size: int = 1, dtype: torch.dtype = torch.float64) -> Batch:
    return Photos(size=8).batch(2, size).to("cpu", dtype)


def layers() -> dict[str, nn.Module]:
    return {
        "conv": nn.Conv2d(3, 8, 3, stride=2, padding=1),
        "norm": nn.BatchNorm2d(8),
        "act": nn.Tanh(),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(128, 10),
    }


def network(*first: tuple[str, nn.Module]) -> nn.Module:
    return seeded(0, lambda: nn.Sequential(OrderedDict([*first, *layers().items()]))).double()


def frozen() -> nn.Module:
    model = network()
    for name in ("conv", "norm"):
        model.get_submodule(name).requires_grad_(False)
    return model


def gradients(model: nn.Module, examples: Batch) -> list[Tensor]:
    loss = cross_entropy(model(examples.inputs), examples.labels)
    return list(torch.autograd.grad(loss, [w for w in model.parameters() if w.requires_grad]))


def same(a: Update, b: Update) -> bool:
    """Up to the rounding of two ways to the same gradient."""
    assert list(a.tensors) == list(b.tensors) and a.step == b.step
    assert (a.num_examples, a.input_shape, a.bounds) == (b.num_examples, b.input_shape, b.bounds)
    return all((a.tensors[n] - t).abs().max() < 1e-12 * t.abs().max() for n, t in b.tensors.items())


# Gradients, in whatever form.


@pytest.mark.parametrize("make", [network, frozen])
@pytest.mark.parametrize("form", ["list", "tuple with None for frozen ones", "dict", "grad"])
def test_gradients_become_what_the_client_step_shares(make, form: str) -> None:
    model, examples = make().eval(), batch(2)
    given = gradients(model, examples)
    names = [name for name, weight in model.named_parameters() if weight.requires_grad]
    if form == "tuple with None for frozen ones":
        left = iter(given)
        given = tuple(next(left) if weight.requires_grad else None for weight in model.parameters())
    elif form == "dict":
        given = dict(reversed(list(zip(names, given, strict=True))))
    elif form == "grad":
        cross_entropy(model(examples.inputs), examples.labels).backward()
        given = None
    update = Update.from_gradients(model, given, input_shape=SHAPE, num_examples=2)
    assert list(update.tensors) == names
    assert same(update, share(model, examples, FedSGD()))


def test_the_update_keeps_its_numbers_when_the_gradients_are_overwritten() -> None:
    model, examples = network(), batch(2)
    cross_entropy(model(examples.inputs), examples.labels).backward()
    update = Update.from_gradients(model, None, input_shape=SHAPE, num_examples=2)
    model.zero_grad(set_to_none=False)
    assert all(tensor.any() for name, tensor in update.tensors.items() if name != "conv.bias")


def test_a_list_is_enough_to_attack_and_no_generator_is_needed() -> None:
    model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 10)))
    examples = batch(dtype=torch.float32)
    found = LinearLayer()(model, Update.from_gradients(model, gradients(model, examples), input_shape=SHAPE))
    assert (found.inputs - examples.inputs).abs().max() < 1e-5 and found.labels == examples.labels


def drop(given: list[Tensor]) -> list[Tensor]:
    return given[:-1]


def by_name(given: list[Tensor]) -> dict[str, Tensor | None]:
    return dict(zip(dict(network().named_parameters()), given, strict=True))


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (network, drop, r"expected 6 gradients in the order of model.parameters\(\), or the 6 .* got 5"),
        (frozen, lambda g: g * 2, r"expected 6 gradients .* or the 2 that are not frozen, got 4"),
        (network, lambda g: [None, *g[1:]], "there is no gradient of conv.weight: .* freeze it"),
        (network, lambda g: {n: t for n, t in by_name(g).items() if "norm" not in n}, "norm.bias, norm.wei"),
        (network, lambda g: None, r"conv.bias, conv.weight, .* and 1 more: call backward\(\)"),
        (network, lambda g: by_name(g) | {"head.weight": g[0]}, "no parameter head.weight: .* another model"),
        (
            frozen,
            lambda g: [torch.ones(1)] * 4 + g,
            "is frozen in the model and has a gradient",
        ),
    ],
)
def test_what_does_not_fit_is_named(make, change, message: str) -> None:
    model = make()
    with pytest.raises(ValueError, match=message):
        Update.from_gradients(model, change(gradients(model, batch(2))), input_shape=SHAPE, num_examples=2)


class Tied(nn.Module):
    """Two names for one matrix, as language models have."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(192, 192)
        self.second = nn.Linear(192, 192)
        self.second.weight = self.first.weight
        self.fc = nn.Linear(192, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.fc(self.second(self.first(inputs.flatten(1)).tanh()).tanh())


def test_tied_weights_count_once() -> None:
    model, examples = seeded(0, Tied).double(), batch(2)
    given = gradients(model, examples)
    sent = share(model, examples, FedSGD())
    assert same(Update.from_gradients(model, given, input_shape=SHAPE, num_examples=2), sent)
    named = dict(zip([n for n, _ in model.named_parameters()], given, strict=True))
    named["second.weight"] = named.pop("first.weight")
    assert same(Update.from_gradients(model, named, input_shape=SHAPE, num_examples=2), sent)


# Weights before and after.


def train(model: nn.Module, examples: Batch, step: FedAvg) -> None:
    """Local training as one writes it, for whole batches."""
    optimizer = torch.optim.SGD(model.parameters(), lr=step.lr)
    for _ in range(step.epochs):
        optimizer.zero_grad()
        cross_entropy(model(examples.inputs), examples.labels).backward()
        optimizer.step()


@pytest.mark.parametrize("make", [network, frozen, lambda: seeded(0, Tied).double()])
def test_two_state_dicts_become_what_the_client_step_shares(make) -> None:
    model, examples, step = make(), batch(2), FedAvg(lr=0.05, epochs=3)
    sent = share(model, examples, step)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, examples, step)
    if "norm.running_mean" in before:
        assert not torch.equal(before["norm.running_mean"], model.state_dict()["norm.running_mean"])
    update = Update.from_weights(before, model.state_dict(), input_shape=SHAPE, num_examples=2, step=step)
    # A conv's bias before BatchNorm moves by nothing but rounding.
    assert {n for n in sent.tensors if n != "conv.bias"} == {n for n in update.tensors if n != "conv.bias"}
    for name, tensor in update.tensors.items():
        assert (tensor - sent.tensors[name]).abs().max() < 1e-12
    assert (update.step, update.num_examples, update.input_shape) == (step, 2, SHAPE)


def test_weights_that_do_not_belong_together_are_named() -> None:
    state = network().state_dict()
    less = {name: tensor for name, tensor in state.items() if name != "fc.bias"}
    for after, message in ((less, "only one of them has fc.bias"), (state, "the same weights")):
        with pytest.raises(ValueError, match=message):
            Update.from_weights(state, after, input_shape=SHAPE, num_examples=1, step=FedAvg())


# Frozen parameters.


@pytest.mark.parametrize("step", [FedSGD(), FedSGD(max_grad_norm=0.1), FedAvg(lr=0.1, epochs=2)], ids=str)
def test_a_frozen_backbone_takes_no_part_in_the_step(step) -> None:
    """The head's part of the update is that of a head alone, on the backbone's output."""
    model, examples = frozen().eval(), batch(3)
    head = nn.Sequential(OrderedDict(fc=model.fc))
    features = model[:-1](examples.inputs)
    ours, alone = share(model, examples, step), share(head, Batch(features, examples.labels), step)
    assert list(ours.tensors) == ["fc.weight", "fc.bias"]
    assert all((ours.tensors[name] - tensor).abs().max() < 1e-12 for name, tensor in alone.tensors.items())
    lanes = step(model, examples.inputs[:, None], examples.labels[:, None], lanes=True)
    single = share(model, Batch(examples.inputs[:1], examples.labels[:1]), step)
    assert all((lanes[name][0] - tensor).abs().max() < 1e-12 for name, tensor in single.tensors.items())


def test_attacks_search_through_a_frozen_backbone() -> None:
    model, examples = frozen().eval(), batch()
    update = Update.from_gradients(model, gradients(model, examples), input_shape=SHAPE)
    found = InvertingGradients(steps=60)(model, update)
    assert found.labels == examples.labels and found.loss < 0.1 * found.baseline
    assert identifiability(model, update, examples.inputs, examples.labels).rank <= 128


@pytest.mark.parametrize(
    ("attack", "freeze", "message"),
    [
        (LinearLayer(), "0", "LinearLayer needs the gradient of 0.bias, 0.weight, which is frozen"),
        (Recursive(), "0", "Recursive cannot undo 0: it is frozen"),
        (InvertingGradients(steps=1), "2", "2.weight is frozen in the model, .* they must be revealed"),
        (DLG(steps=1), "2", "2.weight is frozen in the model, .* they must be revealed"),
        (IDLG(steps=1), "2", "2.weight is frozen in the model, .* they must be revealed"),
    ],
)
def test_what_needs_a_frozen_layer_says_so(attack, freeze: str, message: str) -> None:
    model = seeded(0, lambda: nn.Sequential(nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 4))).double()
    model.get_submodule(freeze).requires_grad_(False)
    examples = Batch(torch.rand(1, 12, generator=generator(0, "x"), dtype=torch.float64), torch.tensor([1]))
    with pytest.raises(ValueError, match=message):
        attack(model, share(model, examples, FedSGD()))


def test_imprint_needs_its_layer() -> None:
    model = Imprinted().build(0)
    model.imprint.requires_grad_(False)
    with pytest.raises(ValueError, match=r"Imprint needs the gradient of imprint.bias, imprint.weight"):
        Imprint()(model, share(model, Photos().batch(0, 2), FedSGD()))


def test_freezing_that_differs_from_the_client_s_is_told() -> None:
    update = share(network(), batch(2), FedSGD())
    with pytest.raises(ValueError, match=r"holds conv.bias, .* or has frozen"):
        InvertingGradients(steps=1)(frozen(), update)
    with pytest.raises(ValueError, match=r"lacks conv.bias, .* that is not frozen"):
        InvertingGradients(steps=1)(network(), share(frozen(), batch(2), FedSGD()))
    with pytest.raises(ValueError, match="no parameters to train"):
        share(network().requires_grad_(False), batch(2), FedSGD())


# Inputs that were normalized outside the model.

MEAN, STD = (0.5, 0.375, 0.25), (0.25, 0.3125, 0.5)  # exact in float32, too
BOUNDS = tuple((-m / s, (1 - m) / s) for m, s in zip(MEAN, STD, strict=True))


def inside() -> nn.Module:
    return network(("normalize", Normalize(MEAN, STD))).eval()


def normalized(examples: Batch) -> Batch:
    return Batch(Normalize(MEAN, STD).double()(examples.inputs), examples.labels)


def both(size: int, **options: bool) -> tuple[tuple[nn.Module, Update], tuple[nn.Module, Update]]:
    """The same client twice: with a model that normalizes, and one that is handed normalized pictures."""
    within, without = inside(), network().eval()
    return (
        (within, share(within, batch(size), FedSGD(), **options)),
        (without, share(without, normalized(batch(size)), FedSGD(), bounds=BOUNDS, **options)),
    )


ATTACKS = [
    DLG(steps=2),
    DLG(steps=2, known_labels=True, total_variation=0.01),
    DLG(steps=20, optimizer="adam"),
    InvertingGradients(steps=10, restarts=1),
    GradInversion(steps=5, seeds=2, statistics="exact"),
    GaussNewton(steps=2, restarts=1),
]


@pytest.mark.parametrize("attack", [*ATTACKS, Candidates(data=Photos(size=8), count=4)], ids=repr)
def test_an_attack_within_bounds_is_the_attack_on_a_model_that_normalizes(attack) -> None:
    size = 1 if isinstance(attack, Candidates) else 2
    results, seen = [], ([], [])
    for (model, update), progress in zip(
        both(size, reveal_labels=True, reveal_statistics=True), seen, strict=True
    ):
        found = attack(model, update, callback=lambda p, to=progress: bool(to.append(p)))
        results.append((found, update.to_pictures(found.inputs)))
        for step in progress:
            assert torch.equal(
                step.inputs, update.to_inputs(update.to_pictures(step.inputs))
            ) or update.bounds != (0, 1)
    (ours, pictures), (theirs, normal) = results
    assert (pictures - normal).abs().max() < 1e-6
    assert theirs.loss == pytest.approx(ours.loss, rel=1e-5)
    assert theirs.baseline == pytest.approx(ours.baseline)
    assert len(seen[0]) == len(seen[1])
    last = [update.to_pictures(p[-1].inputs) for (_, update), p in zip(both(size), seen, strict=True) if p]
    assert not last or (last[0] - last[1]).abs().max() < 1e-6


def test_found_inputs_lie_within_their_channel_s_bounds() -> None:
    model, update = both(2)[1]
    found = replace(update, labels=None)
    inputs = DLG(steps=1, lr=50.0)(model, found).inputs  # far too large a step: the guess leaves the bounds
    ends = zip(inputs.transpose(0, 1), BOUNDS, strict=True)
    assert all(low <= channel.min() and channel.max() <= high for channel, (low, high) in ends)


def test_what_the_spectrum_says_does_not_depend_on_where_one_normalizes() -> None:
    examples, (ours, theirs) = batch(), both(1)
    a = identifiability(*ours, examples.inputs, examples.labels)
    b = identifiability(*theirs, normalized(examples).inputs, examples.labels)
    assert (
        a.rank == b.rank and (a.singular_values - b.singular_values).abs().max() < 1e-9 * a.singular_values[0]
    )


def test_a_twin_stays_within_the_bounds() -> None:
    model = seeded(
        0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh(), nn.Linear(4, 10))
    ).double()
    model[1].requires_grad_(False)  # its gradient would be the picture
    examples, other = normalized(batch()), normalized(Photos(size=8).batch(3, 1).to("cpu", torch.float64))
    update = share(model, examples, FedSGD(), bounds=BOUNDS)
    found = twin(model, update, examples.inputs, examples.labels, toward=other.inputs, steps=1)
    assert (update.to_pictures(found) - update.to_pictures(examples.inputs)).abs().max() > 0.1
    assert torch.equal(found, update.clamp(found))
    again = share(model, Batch(found, examples.labels), FedSGD()).tensors
    assert all((again[name] - tensor).abs().max() < 1e-9 for name, tensor in update.tensors.items())


def test_a_closed_form_does_not_cut_normalized_inputs_in_silence() -> None:
    model = seeded(0, lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 10)))
    examples = normalized(batch()).to("cpu", torch.float32)
    for attack in (LinearLayer(), Recursive()):
        with pytest.raises(ValueError, match=r"reaches from -.* to .*, beyond the bounds \(0.0, 1.0\)"):
            attack(model, share(model, examples, FedSGD()))
        found = attack(model, share(model, examples, FedSGD(), bounds=BOUNDS))
        assert (found.inputs - examples.inputs).abs().max() < 1e-4


@pytest.mark.slow
def test_a_search_says_how_far_it_had_to_clamp() -> None:
    model, examples = seeded(0, inside), batch()
    inner = nn.Sequential(*list(model.children())[1:])  # without what normalizes inside
    outside = normalized(examples)
    wrong, right = (
        IDLG(steps=15)(inner, share(inner, outside, FedSGD(), bounds=bounds))
        for bounds in ((0.0, 1.0), BOUNDS)
    )
    assert wrong.clamped > 0.5 and wrong.loss > 0.01 * wrong.baseline
    assert right.clamped < 0.05 and right.loss < 1e-3 * right.baseline


def test_bounds_travel_with_the_update() -> None:
    model = network()
    sent = [share(model, normalized(batch()), FedSGD(), client=c, bounds=BOUNDS) for c in range(2)]
    assert Quantize()(sent[0]).bounds == BOUNDS
    assert pooled(tuple(sent), sent[0].tensors).bounds == BOUNDS
    with pytest.raises(ValueError, match="shape and bounds are"):
        pooled((sent[0], replace(sent[1], bounds=(0.0, 1.0))), sent[0].tensors)


@pytest.mark.parametrize("bounds", [(0, 1), (-1.0, 3.0), BOUNDS])
@pytest.mark.parametrize("lanes", [(), (5,)])
def test_pictures_and_inputs_are_two_ways_to_write_one_thing(bounds, lanes: tuple[int, ...]) -> None:
    update = Update({}, FedSGD(), 2, SHAPE, bounds=bounds)
    pictures = torch.rand(*lanes, 2, *SHAPE, generator=generator(0, "pictures"), dtype=torch.float64)
    inputs = update.to_inputs(pictures)
    assert (update.to_pictures(inputs) - pictures).abs().max() < 1e-15 * 10
    assert torch.equal(update.clamp(inputs), inputs)
    pairs = bounds if isinstance(bounds[0], tuple) else (bounds,) * 3
    for end in (0, 1):
        flat = update.to_inputs(torch.full_like(pictures, end))
        assert all((flat[..., c, :, :] - pair[end]).abs().max() < 1e-14 for c, pair in enumerate(pairs))


@pytest.mark.parametrize("bounds", [(1.0, 0.0), (0.0, float("inf")), (float("nan"), 1.0), ((0.0, 1.0),) * 2])
def test_bounds_that_are_none_are_refused(bounds) -> None:
    with pytest.raises(ValueError, match=f"bounds must be .* 3 channels, got {re.escape(str(bounds))}"):
        Update({}, FedSGD(), 1, SHAPE, bounds=bounds)


# What a model returns, and the loss.


def smoothed(output: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(output, labels, label_smoothing=0.3)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": self.net(inputs)}


def test_a_model_that_returns_a_dict_gets_a_sentence_and_then_a_hook() -> None:
    model, examples = Wrapped().eval(), batch()
    with pytest.raises(ValueError, match=r"expected logits, N×classes, from Wrapped, got a dict: .*hook"):
        share(model, examples, FedSGD())
    loss = cross_entropy(model(examples.inputs)["logits"], examples.labels)
    given = torch.autograd.grad(loss, list(model.parameters()))
    model.register_forward_hook(lambda module, inputs, output: output["logits"])
    update = Update.from_gradients(model, given, input_shape=SHAPE)
    assert same(update, share(model, examples, FedSGD()))
    assert InvertingGradients(steps=2)(model, update).labels == examples.labels


def test_logits_of_another_shape_get_a_sentence() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).double()
    with pytest.raises(ValueError, match=r"expected logits, N×classes, from Sequential, got \(1, 4, 6, 6\)"):
        share(model, batch(), FedSGD())


@pytest.mark.parametrize("make", [FedSGD, FedAvg])
def test_a_step_takes_a_loss_of_one_s_own(make) -> None:
    model, examples, step = network().eval(), batch(2), make(loss=smoothed)
    loss = smoothed(model(examples.inputs), examples.labels)
    given = torch.autograd.grad(loss, list(model.parameters()))
    scale = 1.0 if make is FedSGD else step.lr
    tensors = share(model, examples, step).tensors
    assert all(
        (tensor - scale * mine).abs().max() < 1e-12
        for tensor, mine in zip(tensors.values(), given, strict=True)
    )
    assert step != make() and repr(step) == repr(make())


@pytest.mark.parametrize(
    "attack", [DLG(steps=1), InvertingGradients(steps=1), GaussNewton(steps=1)], ids=repr
)
def test_labels_are_not_inferred_from_another_loss(attack) -> None:
    model = network().eval()
    update = share(model, batch(), FedSGD(loss=smoothed))
    with pytest.raises(ValueError, match="a loss of its own: they must be revealed"):
        attack(model, update)
    with pytest.raises(ValueError, match="a loss of its own: they must be revealed"):
        infer_label(update)


def test_with_revealed_labels_any_loss_can_be_searched() -> None:
    model, examples = network().eval(), batch()
    update = share(model, examples, FedSGD(loss=smoothed), reveal_labels=True)
    found = InvertingGradients(steps=60)(model, update)
    assert found.loss < 0.2 * found.baseline


def test_a_parameter_that_the_loss_does_not_use_is_named() -> None:
    model = network()
    model.add_module("spare", nn.Identity())
    model.spare.register_parameter("weight", nn.Parameter(torch.zeros(2, dtype=torch.float64)))
    with pytest.raises(ValueError, match=r"does not depend on spare.weight: freeze it"):
        share(model, batch(2), FedSGD())
    model.spare.requires_grad_(False)
    assert "spare.weight" not in share(model, batch(2), FedSGD()).tensors


def test_a_language_model_s_gradients_come_as_a_list_too() -> None:
    model = seeded(0, lambda: TinyTransformer(20, tied=True).build(0))
    tokens, labels = torch.tensor([[4, 7, 1, 0]]), torch.tensor([3])
    given = torch.autograd.grad(cross_entropy(model(tokens), labels), list(model.parameters()))
    update = Update.from_gradients(model, given, input_shape=(4,))
    sent = share(model, Batch(tokens, labels), FedSGD())
    assert all(torch.allclose(update.tensors[name], tensor) for name, tensor in sent.tensors.items())


# README's first example.


@pytest.mark.slow
def test_the_readme_s_first_example_runs_as_it_stands() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    names: dict = {}
    state = torch.get_rng_state()
    exec(compile(code, "README.md", "exec"), names)
    torch.set_rng_state(state)
    found, picture = names["found"], names["picture"]
    assert torch.equal(found.labels, names["label"]) and (found.inputs - picture).abs().max() < 0.01
