"""What every member of a role promises. Members are found by walking the package: a new file is tested.

A class counts as a member if it is a dataclass that can be called, defined in the role's folder.
"""

import copy
import dataclasses
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest
import torch
from torch import nn

import leaklib.aggregation
import leaklib.attacks
import leaklib.client
import leaklib.mechanisms
from leaklib.aggregation.plain import Plain
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.search.objectives import squared_error
from leaklib.client import FedSGD, share
from leaklib.data import Sentences
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm
from leaklib.mechanisms.parts.base import MechanismBase, send
from leaklib.mechanisms.sign import SignSGD
from leaklib.models.baited import Baited
from leaklib.models.imprint import Imprinted
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.models.parts.build import seeded
from leaklib.models.resnet import ResNet
from leaklib.models.transformer import TinyTransformer
from leaklib.rng import generator
from leaklib.types import Aggregation, Attack, Batch, ClientStep, Mechanism, Reconstruction, Update, View


def members(*modules) -> list[type]:
    found = []
    for module in modules:
        parts = [module]
        if hasattr(module, "__path__"):
            parts = [
                importlib.import_module(f"{module.__name__}.{p.name}")
                for p in pkgutil.iter_modules(module.__path__)
            ]
        for part in parts:
            found += [
                cls
                for name, cls in vars(part).items()
                if inspect.isclass(cls) and cls.__module__ == part.__name__ and not name.startswith("_")
                and dataclasses.is_dataclass(cls) and any("__call__" in vars(base) for base in cls.__mro__)
            ]  # fmt: skip
    return found


ATTACKS = members(leaklib.attacks)
STEPS = members(leaklib.client)
MECHANISMS = members(leaklib.mechanisms)
AGGREGATIONS = members(leaklib.aggregation)
ROLES = {Attack: ATTACKS, ClientStep: STEPS, Mechanism: MECHANISMS, Aggregation: AGGREGATIONS}


def by_name(cls: type) -> str:
    return cls.__name__


def quick(cls: type):
    """The attack with its own defaults, but few steps: a contract is about form, not about success."""
    names = {field.name for field in dataclasses.fields(cls)}
    if "attack" in names:  # an attack around another one
        return cls(attack=InvertingGradients(steps=3))
    return cls(**({"steps": 3} if "steps" in names else {}))


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.Sigmoid(), nn.Linear(16, 10))


def victim(attack) -> tuple[nn.Module, Update]:
    """A network that the attack accepts, with the update of one picture or sentence."""
    pixels = torch.rand(1, 3, 32, 32, generator=generator(0, "picture"))
    picture, small = (Batch(x, torch.tensor([4])) for x in (pixels, pixels[:, :1, ::2, ::2]))
    relu = Mlp((3, 32, 32), hidden=16, activation=nn.ReLU).build(0)
    networks = LeNet().build(0), seeded(0, mlp), Imprinted().build(0), ResNet(width=4).build(0), relu
    networks = *networks, Baited(LeNet(init_scale=None), label=4).build(0)
    little = LeNet(input_shape=(1, 16, 16)).build(0), small
    text = TinyTransformer(len(Sentences().vocabulary)).build(0), Sentences().batch(0, 1)
    refusals = []
    for model, batch in (little, *((network, picture) for network in networks), text):
        update = share(model, batch, FedSGD(), reveal_labels=True)
        try:
            attack(model, update, generator=generator(0, "attack"))
        except ValueError as refusal:
            refusals.append(refusal)
        else:
            return model, update
    raise AssertionError(f"{attack} refuses every victim of this test: {refusals}")


def several(clients: int) -> tuple[Update, ...]:
    """One picture's clipped update from each of several clients."""
    model, pixels = LeNet().build(0), torch.rand(clients, 3, 32, 32, generator=generator(0, "pictures"))
    return tuple(
        share(model, Batch(pixels[c : c + 1], torch.tensor([c])), FedSGD(max_grad_norm=1.0), client=c)
        for c in range(clients)
    )


def same(a: Reconstruction, b: Reconstruction) -> bool:
    return torch.equal(a.inputs, b.inputs) and torch.equal(a.labels, b.labels) and a.loss == b.loss


def test_the_walk_finds_the_roles() -> None:
    assert {
        "DLG",
        "Fishing",
        "IDLG",
        "InvertingGradients",
        "GaussNewton",
        "GradInversion",
        "Imprint",
        "LinearLayer",
        "Naive",
        "Precise",
        "Recursive",
        "Spear",
        "TokenRecovery",
        "Candidates",
    } <= {cls.__name__ for cls in ATTACKS}
    assert {"FedSGD", "FedAvg"} <= {cls.__name__ for cls in STEPS}
    known = {"Chain", "ClipNorm", "GaussianNoise", "Identity", "Quantize", "SignSGD", "Skellam", "TopK"}
    assert known <= {cls.__name__ for cls in MECHANISMS}
    known = {"ByzSecAgg", "CCESA", "CentralDP", "Enclave", "Plain", "SecAgg"}
    assert known <= {cls.__name__ for cls in AGGREGATIONS}


@pytest.mark.parametrize(("role", "cls"), [(r, c) for r, found in ROLES.items() for c in found])
def test_members_are_frozen_documented_and_have_the_role_s_signature(role: type, cls: type) -> None:
    assert cls.__dataclass_params__.frozen, f"{cls.__name__} must be a frozen dataclass"
    assert inspect.getdoc(cls) and not inspect.getdoc(cls).startswith(cls.__name__ + "(")
    ours, theirs = inspect.signature(cls.__call__).parameters, inspect.signature(role.__call__).parameters
    assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in theirs.values()]


def out_of_range() -> list[tuple[type, str, float | tuple[int]]]:
    """For every number among the fields of every member, values that no field may have."""
    cases = []
    for cls in (cls for found in ROLES.values() for cls in found):
        for field in dataclasses.fields(cls):
            if "tuple[int" in str(field.type):
                cases.append((cls, field.name, (-1,)))
            elif "float" in str(field.type):
                cases += [(cls, field.name, -1.0), (cls, field.name, float("nan"))]
            elif "int" in str(field.type):
                cases.append((cls, field.name, -1))
    return cases


@pytest.mark.parametrize(("cls", "field", "value"), out_of_range())
def test_a_field_out_of_range_is_named_with_what_came(cls: type, field: str, value) -> None:
    with pytest.raises(ValueError, match=rf"{field} must be .*got {re.escape(str(value))}"):
        cls(**{field: value})


@pytest.mark.sampled(4)
@pytest.mark.parametrize("cls", ATTACKS, ids=by_name)
def test_an_attack_is_deterministic_and_leaves_everything_as_it_was(cls: type) -> None:
    attack = quick(cls)
    model, update = victim(attack)
    frozen = copy.deepcopy(model.state_dict()), {n: t.clone() for n, t in update.tensors.items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = attack(model, update, generator=generator(1, "a"))
    assert same(first, attack(model, update, generator=generator(1, "a")))
    assert same(attack(model, update), attack(model, update, generator=generator(0, "attack")))
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert all(torch.equal(frozen[0][name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(frozen[1][name], tensor) for name, tensor in update.tensors.items())
    assert model.training and all(w.grad is None and w.requires_grad for w in model.parameters())


@pytest.mark.sampled(4)
@pytest.mark.parametrize("cls", ATTACKS, ids=by_name)
def test_a_reconstruction_has_the_batch_s_shape_and_explains_itself(cls: type) -> None:
    attack = quick(cls)
    model, update = victim(attack)
    found = attack(model, update, generator=generator(1, "a"))
    text = len(update.input_shape) == 1
    assert found.inputs.shape == (1, *update.input_shape) and not found.inputs.requires_grad
    assert found.inputs.dtype == (torch.int64 if text else torch.float32)
    assert 0 <= found.inputs.min() and found.inputs.max() <= (len(Sentences().vocabulary) - 1 if text else 1)
    assert found.labels.shape == (1,) and found.labels.dtype == torch.int64
    candidate = FedSGD()(model, found.inputs, found.labels)
    square = sum((candidate[n] - t).square().sum().item() for n, t in update.tensors.items())
    assert found.loss == pytest.approx(
        square / sum(t.square().sum().item() for t in update.tensors.values()), rel=1e-3
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("cls", [c for c in ATTACKS if "steps" in c.__dataclass_fields__], ids=by_name)
def test_an_optimisation_reports_and_stops_when_told(cls: type) -> None:
    attack = quick(cls)
    model, update = victim(attack)
    seen = []
    found = attack(
        model, update, generator=generator(1, "a"), callback=lambda p: seen.append(p) or len(seen) == 2
    )
    assert [p.evaluation for p in seen] == [1, 2] and found.evaluations == 2
    assert all(p.inputs.shape == (1, *update.input_shape) for p in seen)
    # The picture that comes back is one that was evaluated, and the best of them.
    best = min(seen, key=lambda p: p.loss)
    assert torch.equal(found.inputs, best.inputs.clamp(0, 1).to(found.inputs))


def damaged(update: Update) -> dict[str, Update]:
    name, tensor = next(iter(update.tensors.items()))
    rest = {n: t for n, t in update.tensors.items() if n != name}
    return {
        f"lacks {name}": dataclasses.replace(update, tensors=rest),
        "holds extra.weight": dataclasses.replace(update, tensors=update.tensors | {"extra.weight": tensor}),
        rf"{name} has shape": dataclasses.replace(update, tensors=update.tensors | {name: tensor[:1]}),
        f"{name} holds NaN or infinite": dataclasses.replace(
            update, tensors=update.tensors | {name: tensor * torch.nan}
        ),
        f"{name} holds NaN or infinite.*": dataclasses.replace(
            update, tensors=update.tensors | {name: tensor / 0}
        ),
        "zero everywhere": dataclasses.replace(update, tensors={n: 0 * t for n, t in update.tensors.items()}),
    }


@pytest.mark.sampled(4)
@pytest.mark.parametrize("cls", ATTACKS, ids=by_name)
def test_a_damaged_update_gets_one_clear_error(cls: type) -> None:
    attack = quick(cls)
    model, update = victim(attack)
    for message, bad in damaged(update).items():
        with pytest.raises(ValueError, match=message):
            attack(model, bad, generator=generator(1, "a"))
    other = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    with pytest.raises(ValueError, match="update"):
        attack(other, update, generator=generator(1, "a"))


def bounded() -> Update:
    """One picture's clipped update, as one among ten thousand: noise does not drown it."""
    return dataclasses.replace(several(1)[0], sensitivity=1e-4)


@pytest.mark.parametrize("cls", MECHANISMS, ids=by_name)
def test_a_mechanism_is_deterministic_and_leaves_the_update_alone(cls: type) -> None:
    update = bounded()
    before = {n: t.clone() for n, t in update.tensors.items()}
    sent, again = (cls()(update, generator=generator(1, "m")) for _ in range(2))
    assert all(torch.equal(sent.tensors[n], again.tensors[n]) for n in before)
    assert {n: t.shape for n, t in sent.tensors.items()} == {n: t.shape for n, t in before.items()}
    unseeded, seeded = cls()(update), cls()(update, generator=generator(0, "mechanism of client 0"))
    assert all(torch.equal(unseeded.tensors[n], seeded.tensors[n]) for n in before)
    assert all(torch.equal(before[n], t) for n, t in update.tensors.items())


@pytest.mark.parametrize("cls", MECHANISMS, ids=by_name)
def test_a_mechanism_says_what_it_sends_and_how_to_compare(cls: type) -> None:
    mechanism, update = cls(), bounded()
    assert isinstance(mechanism, Mechanism)
    sent = mechanism(update, generator=generator(1, "m"))
    unchanged = all(torch.equal(sent.tensors[n], t) for n, t in update.tensors.items())
    assert sent.mechanism == mechanism or (unchanged and sent.mechanism is None)
    bits = mechanism.bits_sent(update)
    assert isinstance(bits, int) and 0 < bits == mechanism.bits_sent(sent)
    # The truth is nearer than the truth upside down, whose lengths are the same.
    flipped = {n: -t.clone().requires_grad_() for n, t in update.tensors.items()}
    near, far = (mechanism.distance(c, sent.tensors, squared_error) for c in (update.tensors, flipped))
    assert 0 <= near < far and far.requires_grad


def differences_in_a_chain(mechanism: MechanismBase, update: Update) -> list[str]:
    """What ``mechanism`` does otherwise as the only one of a Chain than alone."""
    chain, draw = Chain((mechanism,)), lambda: generator(1, "m")
    sent, chained = mechanism(update, generator=draw()), chain(update, generator=draw())
    turned = {n: -t for n, t in update.tensors.items()}
    alone, within = (m.distance(turned, sent.tensors, squared_error) for m in (mechanism, chain))
    same = {
        "tensors": all(torch.equal(sent.tensors[n], t) for n, t in chained.tensors.items()),
        "sensitivity": sent.sensitivity == chained.sensitivity,
        "bits_sent": mechanism.bits_sent(update) == chain.bits_sent(update),
        "distance": torch.equal(alone, within),
        "noise_floor": mechanism.noise_floor(update) == chain.noise_floor(update),
    }
    return [name for name, agrees in same.items() if not agrees]


@pytest.mark.parametrize("cls", MECHANISMS, ids=by_name)
def test_a_mechanism_is_the_same_within_a_chain(cls: type) -> None:
    assert differences_in_a_chain(cls(), bounded()) == []


@dataclasses.dataclass(frozen=True)
class Halve(MechanismBase):
    """As CONTRIBUTING says it: only what is sent."""

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        return send(update, {name: tensor / 2 for name, tensor in update.tensors.items()}, self)


@dataclasses.dataclass(frozen=True)
class Miscounted(Halve):
    """Counts its bits where a chain cannot see it."""

    def bits_sent(self, update: Update) -> int:
        return 8


@dataclasses.dataclass(frozen=True)
class Alone:
    """A mechanism by the letter of its role, without the base."""

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        return update

    def bits_sent(self, update: Update) -> int:
        return 8

    def distance(self, candidate, observed, objective):
        return objective(candidate, observed)


def test_the_defaults_of_the_base_do_within_a_chain_and_what_would_not_is_noticed() -> None:
    assert differences_in_a_chain(Halve(), bounded()) == []
    entries = sum(t.numel() for t in bounded().tensors.values())
    assert Chain((Halve(), SignSGD())).bits_sent(bounded()) == entries
    assert Chain((SignSGD(), Halve())).bits_sent(bounded()) == entries
    assert differences_in_a_chain(Miscounted(), bounded()) == ["bits_sent"]
    assert isinstance(Alone(), Mechanism)
    chain = Chain()
    object.__setattr__(chain, "mechanisms", (Alone(),))  # the types that tests check would see it first
    with pytest.raises(ValueError, match=r"must be mechanisms on top of MechanismBase, got \(Alone\(\),\)"):
        chain.__post_init__()


@pytest.mark.parametrize("cls", MECHANISMS, ids=by_name)
def test_only_what_clips_says_how_far_one_unit_can_move_the_update(cls: type) -> None:
    for update in (bounded(), dataclasses.replace(bounded(), sensitivity=None)):
        try:
            sent = cls()(update, generator=generator(1, "m"))
        except ValueError as refusal:
            assert update.sensitivity is None and "clip first" in str(refusal)
        else:
            untouched = all(torch.equal(sent.tensors[n], t) for n, t in update.tensors.items())
            assert sent.sensitivity is None or cls is ClipNorm or (untouched and update.sensitivity)


@pytest.mark.parametrize("cls", AGGREGATIONS, ids=by_name)
def test_an_aggregation_gives_a_view_of_the_updates(cls: type) -> None:
    updates = several(8)
    before = [{n: t.clone() for n, t in update.tensors.items()} for update in updates]
    view, again = (cls()(updates, generator=generator(1, "g")) for _ in range(2))
    assert isinstance(view, View) and 1 <= len(view.updates) <= 8
    assert view.smallest().num_examples == min(u.num_examples for u in view.updates)
    # Nobody is in two of the updates, and each is the mean over those whose it says it is.
    read = [client for update in view.updates for client in update.clients]
    assert len(read) == len(set(read)) and set(read) <= set(range(8))
    assert all(u.num_examples == len(u.clients) for u in view.updates)
    assert all(
        torch.equal(a.tensors[n], b.tensors[n])
        for a, b in zip(view.updates, again.updates, strict=True)
        for n in a.tensors
    )
    assert view.cost is not None and view.cost == again.cost and view.cost.client_up > 0
    # Nothing of what the clients hold was touched.
    for update, tensors in zip(updates, before, strict=True):
        assert all(torch.equal(update.tensors[n], t) for n, t in tensors.items())


@pytest.mark.parametrize("cls", AGGREGATIONS, ids=by_name)
def test_an_aggregation_refuses_what_has_no_mean(cls: type) -> None:
    if cls is Plain:  # it makes no mean
        return
    first, *rest = several(8)
    strangers = {
        "same client": dataclasses.replace(first, client=1),
        "BatchNorm": dataclasses.replace(first, statistics={"layer": torch.zeros(2, 3)}),
        "alike": dataclasses.replace(first, num_examples=2),
    }
    for message, stranger in strangers.items():
        with pytest.raises(ValueError, match=message):
            cls()((stranger, *rest), generator=generator(1, "g"))
    with pytest.raises(ValueError, match="at least one update"):
        cls()((), generator=generator(1, "g"))
