"""Attacks on compressed updates: what they compare, what they refuse, which labels they read."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.grad_inversion import GradInversion
from leaklib.attacks.imprint import Imprint
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.attacks.naive import Naive
from leaklib.attacks.parts.labels import infer_label, infer_label_counts
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.search.matching import compare, explain
from leaklib.attacks.search.objectives import squared_error, total_variation
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.metrics import psnr
from leaklib.models.convnet import ConvNet
from leaklib.models.imprint import Imprinted
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import seeded
from leaklib.rng import generator
from leaklib.types import Attack, Batch, ClientStep, Mechanism, Update

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from compression import sign_disagreement

SENT_THROUGH = [
    Quantize(8),
    Quantize(4, stochastic=True),
    SignSGD(),
    TopK(0.1),
    Chain((TopK(0.3), Quantize(8))),
]


def tiny(seed: int = 0, bias: bool = True, activation: type[nn.Module] = nn.GELU) -> nn.Module:
    """A network on 8×8 pictures with about 40 weights per pixel: an attack on it takes seconds."""
    return seeded(
        seed,
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 5, 2, 2), activation(),
            nn.Conv2d(16, 16, 5, 1, 2), activation(),
            nn.Flatten(), nn.Linear(256, 10, bias=bias),
        ),
    )  # fmt: skip


def small(size: int = 1) -> Batch:
    return Photos(size=8).batch(0, size)


def sent(
    mechanism: Mechanism, model: nn.Module, batch: Batch, step: ClientStep | None = None, reveal: bool = False
) -> Update:
    update = share(model, batch, step or FedSGD(), reveal_labels=reveal)
    return mechanism(update, generator=generator(0, "mechanism"))


# --- what is compared ---


@pytest.mark.parametrize("mechanism", SENT_THROUGH, ids=repr)
def test_a_reconstruction_s_loss_is_the_mechanism_s_comparison(mechanism: Mechanism) -> None:
    model, batch = tiny(), small()
    update = sent(mechanism, model, batch)
    found = explain(model, update, torch.rand(1, 3, 8, 8, generator=generator(0, "guess")), batch.labels)
    candidate = FedSGD()(model, found.inputs, found.labels)
    expected = mechanism.distance(candidate, update.tensors, squared_error).item()
    assert found.loss == pytest.approx(expected, rel=1e-5)
    truth = explain(model, update, batch.inputs, batch.labels)
    assert truth.loss < min(truth.baseline, found.loss)


def test_without_a_mechanism_the_comparison_is_the_objective_itself() -> None:
    model, batch = tiny(), small()
    update = share(model, batch, FedSGD())
    candidate = FedSGD()(model, batch.inputs.flip(3), batch.labels)
    assert torch.equal(compare(candidate, update, squared_error), squared_error(candidate, update.tensors))


def test_sign_disagreement_counts() -> None:
    observed = {"a": torch.tensor([1.0, -1.0, 1.0]), "b": torch.tensor([[1.0]])}
    guess = {"a": torch.tensor([3.0, 0.0, -0.1]), "b": torch.tensor([[0.0]])}
    assert sign_disagreement(guess, observed) == 0.5
    assert sign_disagreement(observed, observed) == 0


# --- attacks ---


@pytest.mark.parametrize("attack", [DLG(steps=1), IDLG(steps=1), InvertingGradients(steps=5)], ids=repr)
@pytest.mark.parametrize("mechanism", SENT_THROUGH, ids=repr)
def test_every_matching_attack_runs_on_every_compressed_update(attack: Attack, mechanism: Mechanism) -> None:
    model, batch = tiny(), small()
    update = sent(mechanism, model, batch)
    found = attack(model, update, generator=generator(0, "attack"))
    assert found.inputs.shape == (1, 3, 8, 8)
    assert found.loss == pytest.approx(explain(model, update, found.inputs, found.labels).loss, rel=1e-5)


def test_restarts_and_grad_inversion_compare_through_the_mechanism_too() -> None:
    model, batch = tiny(), small()
    update = sent(SignSGD(), model, batch)
    for attack in (InvertingGradients(steps=5, restarts=1), GradInversion(steps=5, statistics="none")):
        found = attack(model, update, generator=generator(0, "attack"))
        assert found.loss == pytest.approx(explain(model, update, found.inputs, found.labels).loss)


@pytest.mark.slow
def test_local_steps_are_unrolled_behind_a_mechanism() -> None:
    model, batch = tiny(), small()
    update = sent(SignSGD(), model, batch, FedAvg(lr=0.1, epochs=3))
    found = InvertingGradients(steps=300, signed=False, lr=0.05)(
        model, update, generator=generator(0, "attack")
    )
    assert found.loss < 0.3 * found.baseline


@pytest.mark.slow
@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("mechanism", "adaptive", "gain"),
    [(SignSGD(), 20, 3), (TopK(0.3), 28, 5), (Quantize(2), 14, 4)],
    ids=repr,
)
def test_an_attacker_who_knows_the_compressor_sees_more(
    mechanism: Mechanism, adaptive: float, gain: float
) -> None:
    """Of four bits the naive attacker sees as much without a prior: the levels are near the entries."""
    model, batch = tiny(), small()
    update = sent(mechanism, model, batch)
    attack = InvertingGradients(steps=600, signed=False, lr=0.05)
    knowing, naive = (
        psnr(a(model, update, generator=generator(0, "attack")).inputs, batch.inputs).item()
        for a in (attack, Naive(attack))
    )
    assert knowing > adaptive and knowing > naive + gain


def test_the_naive_attacker_forgets_the_mechanism_and_nothing_else() -> None:
    model, batch = tiny(), small()
    update, attack = sent(SignSGD(), model, batch), InvertingGradients(steps=5)
    naive = Naive(attack)(model, update, generator=generator(0, "attack"))
    plain = attack(model, replace(update, mechanism=None), generator=generator(0, "attack"))
    assert torch.equal(naive.inputs, plain.inputs) and naive.loss == plain.loss
    adaptive = attack(model, update, generator=generator(0, "attack"))
    assert not torch.equal(naive.inputs, adaptive.inputs)


def test_the_straight_line_hands_the_mechanism_to_the_attack() -> None:
    attack = InvertingGradients(steps=5)
    experiment = Experiment(Photos(), ConvNet(4), FedSGD(), attack, mechanism=SignSGD())
    adaptive, naive = run(experiment), run(replace(experiment, attack=Naive(attack)))
    assert adaptive.update.mechanism == SignSGD()
    assert adaptive.reconstruction.loss != naive.reconstruction.loss


@pytest.mark.parametrize(
    ("attack", "model"),
    [
        (LinearLayer(), nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))),
        (Recursive(), LeNet().build(0)),
        (Imprint(), Imprinted().build(0)),
    ],
    ids=repr,
)
def test_closed_forms_refuse_compressed_updates(attack: Attack, model: nn.Module) -> None:
    update = sent(Quantize(8), model, Photos().batch(0, 1))
    with pytest.raises(ValueError, match=r"needs every entry as the client computed it, .*Quantize\(bits=8"):
        attack(model, update, generator=generator(0, "attack"))


def test_a_naive_closed_form_reads_eight_bits_as_if_they_were_all() -> None:
    model, batch = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), Photos().batch(0, 1)
    update = sent(Quantize(8), model, batch)
    found = Naive(LinearLayer())(model, update, generator=generator(0, "attack"))
    assert psnr(found.inputs, batch.inputs).item() > 40


# --- labels ---


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "mechanism",
    [
        *(Quantize(bits) for bits in (1, 4, 8)), *(Quantize(bits, stochastic=True) for bits in (2, 4)),
        SignSGD(), TopK(0.3), Chain((TopK(0.3), Quantize(8))),
    ],
    ids=repr,
)  # fmt: skip
def test_the_label_shows_in_compressed_updates(mechanism: Mechanism, bias: bool) -> None:
    for seed in range(10):
        model = tiny(seed, bias)
        batch = Photos(size=8).batch(seed, 1)
        assert infer_label(sent(mechanism, model, batch)) == batch.labels


def test_a_label_that_was_not_sent_is_refused() -> None:
    update = sent(TopK(0.1), tiny(), small())
    nothing = {n: t * (not n.startswith("5")) for n, t in update.tensors.items()}
    with pytest.raises(ValueError, match="no class has the negative gradient"):
        infer_label(replace(update, tensors=nothing))


def test_counts_survive_eight_bits_and_are_refused_from_signs() -> None:
    model, batch = tiny(), small(6)
    counts = infer_label_counts(sent(Quantize(8), model, batch), model)
    assert torch.equal(counts, infer_label_counts(share(model, batch, FedSGD()), model))
    for mechanism in (SignSGD(), Quantize(1)):
        with pytest.raises(ValueError, match="only the signs of the last layer's gradient are left"):
            infer_label_counts(sent(mechanism, model, batch), model)


# --- the prior ---


@pytest.mark.slow
def test_a_prior_makes_up_for_what_was_not_sent() -> None:
    model, batch = tiny(), small()
    update = sent(TopK(0.01), model, batch)  # 102 numbers for 192 pixels
    bare, smooth = (
        psnr(
            IDLG(steps=20, total_variation=weight)(model, update, generator=generator(0, "attack")).inputs,
            batch.inputs,
        ).item()
        for weight in (0.0, 0.01)
    )
    assert smooth > bare + 1


def test_the_prior_is_relative_to_gray_and_off_by_default() -> None:
    model, batch = tiny(), small()
    update, seen = sent(Quantize(8), model, batch, reveal=True), {}
    for attack in (DLG(steps=1, known_labels=True), DLG(steps=1, known_labels=True, total_variation=0.5)):
        attack(
            model,
            update,
            generator=generator(0, "attack"),
            callback=lambda p, weight=attack.total_variation: seen.setdefault(weight, p) is None,
        )
    assert torch.equal(seen[0.0].inputs, seen[0.5].inputs)
    gray = explain(model, update, torch.full_like(batch.inputs, 0.5), batch.labels).loss
    prior = 0.5 * gray * total_variation(seen[0.5].inputs[None]).item()
    assert seen[0.5].loss - seen[0.0].loss == pytest.approx(prior, rel=1e-3)
