"""Adapters: the network they start as, what is trained, and what their gradients are sketches of."""

import pytest
import torch
from torch import nn

from leaklib.client import FedSGD, share
from leaklib.data import Sentences
from leaklib.models.lora import LINEAR, Adapted, Lora
from leaklib.models.transformer import TinyTransformer
from leaklib.named import trained

TEXTS = Sentences()
BASE = TinyTransformer(len(TEXTS.vocabulary), width=32)


def moved(model: nn.Module) -> nn.Module:
    """The model with every B away from zero, by the same draw each time."""
    draw = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if name.endswith("up"):
            weight.data = torch.randn(weight.shape, generator=draw).to(weight) / 10
    return model


def test_it_starts_as_the_base_network() -> None:
    inputs = TEXTS.batch(0, 4).inputs
    plain, adapted = BASE.build(3), Lora(BASE, rank=4).build(3)
    assert torch.equal(adapted(inputs), plain(inputs))
    assert adapted.load_state_dict(plain.state_dict(), strict=False).unexpected_keys == []
    assert not torch.equal(moved(adapted)(inputs), plain(inputs))


def test_built_from_a_seed_alone() -> None:
    state = torch.get_rng_state()
    one, same, other = (Lora(BASE).build(seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    name = "blocks.0.value.down"
    assert torch.equal(one[name], same[name]) and not torch.equal(one[name], other[name])


@pytest.mark.parametrize("layers", [LINEAR, ("query", "value")], ids=len)
def test_only_adapters_are_trained(layers) -> None:
    names = trained(Lora(BASE, rank=4, layers=layers).build(0))
    assert set(names) == {f"blocks.{b}.{n}.{p}" for b in (0, 1) for n in layers for p in ("down", "up")}
    sent = sum(weight.numel() for weight in names.values())
    assert sent < sum(weight.numel() for weight in BASE.build(0).parameters()) / 2


def test_the_gradients_are_two_sketches_of_the_plain_one() -> None:
    """∂A = s BᵀG and ∂B = s GAᵀ, where G is the gradient of a plain layer with the weights W + s B A."""
    model, batch = moved(Lora(BASE, rank=4, alpha=2).build(0)).double(), TEXTS.batch(0, 2)
    plain = BASE.build(0).double()
    for block, twin in zip(model.blocks, plain.blocks, strict=True):
        for name in LINEAR:
            layer = getattr(block, name)
            assert isinstance(layer, Adapted) and layer.scale == 0.5
            getattr(twin, name).weight.data += 0.5 * (layer.up @ layer.down).data
    sent, full = (share(m, batch, FedSGD()).tensors for m in (model, plain))
    for index, block in enumerate(model.blocks):
        for name in LINEAR:
            layer, place = getattr(block, name), f"blocks.{index}.{name}"
            gradient = full[f"{place}.weight"]
            assert torch.allclose(sent[f"{place}.down"], 0.5 * layer.up.T @ gradient, atol=1e-12)
            assert torch.allclose(sent[f"{place}.up"], 0.5 * gradient @ layer.down.T, atol=1e-12)


def test_the_first_gradient_of_a_is_zero() -> None:
    sent = share(Lora(BASE).build(0), TEXTS.batch(0, 1), FedSGD()).tensors
    assert not any(tensor.any() for name, tensor in sent.items() if name.endswith("down"))
    assert all(tensor.any() for name, tensor in sent.items() if name.endswith("up"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"alpha": 0}, "alpha must be above 0 and finite, got 0"),
        ({"layers": ()}, r"layers must be some of query, .*, contract, got \(\)"),
        ({"layers": ("head",)}, r"layers must be some of query, .*, contract, got \('head',\)"),
    ],
)
def test_bad_fields(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        Lora(BASE, **fields)
