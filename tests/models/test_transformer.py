"""The text model: causal, blind to padding, one prediction at the last token."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Sentences
from leaklib.models.transformer import PAD, TinyTransformer, last
from leaklib.types import Batch

VOCABULARY = len(Sentences().vocabulary)
SPECS = [
    TinyTransformer(VOCABULARY),
    TinyTransformer(VOCABULARY, tied=True),
    TinyTransformer(VOCABULARY, width=24, heads=3, blocks=3),
]


@pytest.fixture
def batch() -> Batch:
    return Sentences().batch(0, 8)


@pytest.fixture(params=SPECS, ids=str)
def model(request):
    return request.param.build(0)


def test_one_prediction_for_each_text(model, batch) -> None:
    assert model.training and model(batch.inputs).shape == (8, VOCABULARY)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_built_from_a_seed_alone(spec, batch) -> None:
    state = torch.get_rng_state()
    a, b, c = spec.build(1), spec.build(1), spec.build(2)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(a(batch.inputs), b(batch.inputs)) and not torch.equal(a(batch.inputs), c(batch.inputs))


def test_padding_has_no_effect_at_all(model, batch) -> None:
    before = model(batch.inputs)
    with torch.no_grad():
        model.position.weight[20:] = 100.0  # behind every text of these
        if not model.tied:
            model.embedding.weight[PAD] = -100.0
    short = (batch.inputs != PAD).sum(1) <= 20
    assert short.sum() >= 6
    assert torch.equal(model(batch.inputs)[short], before[short])


def test_padding_has_no_gradient_at_all(model, batch) -> None:
    short = (batch.inputs != PAD).sum(1) <= 20
    sent = share(model, Batch(batch.inputs[short], batch.labels[short]), FedSGD()).tensors
    assert not sent["position.weight"][20:].any()
    assert sent["position.weight"][:18].any(1).all()
    assert sent["embedding.weight"][PAD].any() == model.tied


def test_a_text_can_come_without_its_padding(model, batch) -> None:
    for row in batch.inputs:
        assert torch.allclose(model(row[None, row != PAD]), model(row[None]), atol=1e-5)


def test_no_position_sees_a_later_one(model, batch) -> None:
    changed = batch.inputs.clone()
    changed[:, 3] = 99
    before, after = (model.blocks(model.embed(inputs)) for inputs in (batch.inputs, changed))
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.isclose(before[:, 3], after[:, 3]).all(1).any()


def test_last_picks_the_last_token() -> None:
    inputs = torch.tensor([[5, 1, PAD, PAD], [5, 6, 7, 1], [1, PAD, PAD, PAD]])
    hidden = torch.arange(12.0).reshape(3, 4, 1)
    assert last(inputs, hidden).flatten().tolist() == [1, 7, 8]


def test_tied_means_one_matrix() -> None:
    tied, untied = (TinyTransformer(50, width=8, heads=1, tied=tied).build(0) for tied in (True, False))
    assert tied.tied and not untied.tied
    assert set(dict(untied.named_parameters())) - set(dict(tied.named_parameters())) == {"head.weight"}


@pytest.mark.parametrize("step", [FedSGD(), FedAvg(lr=0.05, epochs=2, batch_size=4)], ids=str)
def test_the_client_step_is_training(step, model, batch) -> None:
    """The update lowers the loss, and the mean of the examples' gradients is the batch's."""
    sent = share(model, batch, step).tensors
    loss = cross_entropy(model(batch.inputs), batch.labels)
    if isinstance(step, FedSGD):
        loss.backward()
        assert all(torch.allclose(p.grad, sent[name], atol=1e-6) for name, p in model.named_parameters())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight -= sent[name]
    assert cross_entropy(model(batch.inputs), batch.labels) < loss


def test_attention_is_what_the_formula_says() -> None:
    """Against softmax(q kᵀ / √part) v, written out for each head."""
    block = TinyTransformer(50, width=12, heads=3).build(0).block(0)
    hidden = torch.linspace(-1, 1, 2 * 5 * 12).sin().reshape(2, 5, 12)
    seen = block.norm1(hidden)
    query, key, value = (layer(seen).split(4, -1) for layer in (block.query, block.key, block.value))
    mask = torch.full((5, 5), -torch.inf).triu(1)
    heads = [(q @ k.mT / 4**0.5 + mask).softmax(-1) @ v for q, k, v in zip(query, key, value, strict=True)]
    assert torch.allclose(block.attend(hidden), hidden + block.merge(torch.cat(heads, -1)), atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(1, 3, 32, 32), r"got torch\.float32 of shape \(1, 3, 32, 32\)"),
        (torch.ones(2, 33, dtype=torch.int64), "at most 32 positions, .* of shape .2, 33."),
        (torch.ones(2, 8), r"integer tokens .* got torch\.float32"),
    ],
)
def test_what_is_no_text_is_refused(inputs, message) -> None:
    with pytest.raises(ValueError, match=message):
        TinyTransformer(50).build(0)(inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocabulary": 1}, "vocabulary must be at least 2, got 1"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"heads": 0}, "heads must be at least 1, got 0"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"width": 10, "heads": 4}, "width must be a multiple of heads=4, got 10"),
    ],
)
def test_bad_fields(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        TinyTransformer(**{"vocabulary": 50} | fields)
