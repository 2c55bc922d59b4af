"""An attacker in float64: what rounding hides from others, and what it leaves as it was."""

import copy

import pytest
import torch

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.naive import Precise
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.tokens import TokenRecovery
from leaklib.client import FedSGD, share
from leaklib.data import Photos, Sentences
from leaklib.mechanisms.quantize import Quantize
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.models.transformer import TinyTransformer
from leaklib.rng import generator
from leaklib.types import Progress, Update

LITTLE = LeNet(input_shape=(1, 8, 8))


def victim(dtype: torch.dtype = torch.float32) -> tuple[torch.nn.Module, Update]:
    model = LITTLE.build(0).to(dtype)
    batch = Photos(8, gray=True).batch(0, 1).to("cpu", dtype)
    return model, share(model, batch, FedSGD(), reveal_labels=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_computes_in_float64_and_answers_in_the_model_s_type(dtype: torch.dtype) -> None:
    model, update = victim(dtype)
    weights = copy.deepcopy(model.state_dict())
    sent = {name: tensor.clone() for name, tensor in update.tensors.items()}
    seen: list[Progress] = []
    found = Precise(DLG(steps=1))(model, update, generator=generator(0, "attack"), callback=seen.append)
    assert {p.inputs.dtype for p in seen} == {torch.float64} and len(seen) == found.evaluations == 20
    assert found.inputs.dtype == dtype and not found.inputs.requires_grad
    assert all(p.dtype == dtype and p.grad is None for p in model.parameters())
    assert all(torch.equal(weights[n], w) for n, w in model.state_dict().items())
    assert all(torch.equal(sent[n], t) and t.dtype == dtype for n, t in update.tensors.items())


def test_in_float64_it_changes_nothing() -> None:
    model, update = victim(torch.float64)
    attack = InvertingGradients(steps=5)
    ours, theirs = (a(model, update, generator=generator(0, "attack")) for a in (Precise(attack), attack))
    assert torch.equal(ours.inputs, theirs.inputs) and ours.loss == theirs.loss


def test_it_hands_on_the_mechanism_and_the_callback_s_word() -> None:
    model, update = victim()
    compressed = Quantize(4)(update, generator=generator(0, "mechanism"))
    attack = Precise(IDLG(steps=5))
    found = attack(model, compressed, generator=generator(0, "attack"), callback=lambda p: p.evaluation == 3)
    assert found.evaluations == 3
    with pytest.raises(ValueError, match="needs every entry as the client computed it"):
        Precise(Recursive())(model, compressed, generator=generator(0, "attack"))


def test_tokens_stay_whole_numbers() -> None:
    texts = Sentences()
    model, batch = TinyTransformer(len(texts.vocabulary)).build(0), texts.batch(0, 1)
    update = share(model, batch, FedSGD())
    found = Precise(TokenRecovery())(model, update, generator=generator(0, "attack"))
    assert found.inputs.dtype == torch.int64 and found.inputs.shape == batch.inputs.shape


@pytest.mark.slow
def test_rounding_is_where_float32_ends_on_lenet_and_not_the_update() -> None:
    model, batch = LeNet(input_shape=(3, 16, 16)).build(0), Photos(16).batch(0, 1)
    update = share(model, batch, FedSGD(), reveal_labels=True)
    attack = DLG(steps=30, known_labels=True, history=600)
    precise, single = (a(model, update, generator=generator(0, "attack")) for a in (Precise(attack), attack))
    decibel = [psnr(found.inputs, batch.inputs).item() for found in (precise, single)]
    assert precise.loss < 0.1 * single.loss and decibel[0] > decibel[1] + 10
