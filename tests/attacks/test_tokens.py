"""Text from gradients: the token set, the order, the labels, and every way in which it must not work."""

from dataclasses import replace

import pytest
import torch

from leaklib.attacks.tokens import TokenRecovery, outside, span, tokens_present
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Sentences
from leaklib.experiment import Experiment, run
from leaklib.metrics import score
from leaklib.models.lora import Lora
from leaklib.models.transformer import PAD, TinyTransformer
from leaklib.rng import generator
from leaklib.types import Batch

TEXTS = Sentences()
VOCABULARY = len(TEXTS.vocabulary)


def transformer(**fields):
    return TinyTransformer(VOCABULARY, **fields)


def recover(model, batch, step=None, **fields):
    update = share(model, batch, step or FedSGD())
    return TokenRecovery(**fields)(model, update, generator=generator(0, "attack"))


def same(found, batch) -> bool:
    """Whether both hold the same sentences with the same labels, each equally often."""
    rows = [sorted(zip(x.inputs.tolist(), x.labels.tolist(), strict=True)) for x in (found, batch)]
    return rows[0] == rows[1]


def prefixes(batch) -> int:
    rows = [row[row != PAD].tolist() for row in batch.inputs]
    return len({tuple(row[:n]) for row in rows for n in range(1, len(row) + 1)})


# --- which tokens ---


@pytest.mark.parametrize("size", [1, 8, 40])
@pytest.mark.parametrize(
    "step", [FedSGD(), FedSGD(max_grad_norm=0.1), FedAvg(epochs=3, batch_size=2)], ids=str
)
def test_the_token_set_is_the_batch_s(size, step) -> None:
    batch = TEXTS.batch(0, size)
    found = tokens_present(share(transformer().build(0), batch, step))
    assert found.tolist() == sorted(set(batch.inputs[batch.inputs != PAD].tolist()))


def test_labels_are_not_in_the_token_set() -> None:
    batch = TEXTS.batch(0, 1)
    assert batch.labels[0] not in tokens_present(share(transformer().build(0), batch, FedSGD()))


def test_a_tied_embedding_hides_the_token_set() -> None:
    update = share(transformer(tied=True).build(0), TEXTS.batch(0, 1), FedSGD())
    with pytest.raises(ValueError, match="even padding has one: the head is tied"):
        tokens_present(update)
    with pytest.raises(ValueError, match=r"must hold the gradient of embedding\.weight"):
        tokens_present(replace(update, tensors={"x": torch.ones(3)}))


# --- spans ---


def test_a_span_holds_the_inputs_and_nothing_else() -> None:
    draw = generator(0, "span")
    inputs, signals = torch.randn(5, 30, generator=draw), torch.randn(5, 50, generator=draw)
    basis = span(signals.T @ inputs, 1e-5)
    assert len(basis) == 5 and torch.allclose(basis @ basis.T, torch.eye(5), atol=1e-5)
    assert outside(inputs, basis).max() < 1e-5
    assert outside(torch.randn(100, 30, generator=draw), basis).min() > 0.5
    assert outside(7 * inputs[0], basis) < 1e-5  # a share of the length, whatever the length


def test_the_last_block_s_attention_has_too_little_to_say() -> None:
    """Read out at one position, a text sends at most 1 + 2 heads directions back: why step 3 uses the MLP."""
    model = transformer().build(0).double()
    batch = TEXTS.say("i am writing this in the car because i do not want the kids to hear me cry")
    sent = share(model, batch, FedSGD()).tensors
    ranks = []
    for block in (0, 1):
        names = [f"blocks.{block}.{name}.weight" for name in ("query", "key", "value")]
        ranks.append(len(span(torch.cat([sent[name] for name in names]), 1e-10)))
    assert ranks == [18, 1 + 2 * 4]
    assert len(span(sent["blocks.0.expand.weight"], 1e-10)) == 18


# --- exact ---


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("size", [1, 8])
def test_every_sentence_comes_back(size, tied) -> None:
    for client in range(3):
        batch = TEXTS.batch(client, size)
        found = recover(transformer(tied=tied).build(client), batch)
        assert same(found, batch) and found.loss < 1e-10 and found.baseline > 0.1


@pytest.mark.parametrize("fields", [{"blocks": 3, "heads": 2}, {"width": 136, "heads": 1}], ids=str)
def test_other_shapes_of_the_network(fields) -> None:
    batch = TEXTS.batch(4, 8)
    assert same(recover(transformer(**fields).build(0), batch), batch)


def test_texts_shorter_than_the_model_s_length() -> None:
    texts = Sentences(length=12)
    batch = texts.batch(0, 4)
    found = recover(transformer().build(0), batch)
    assert found.inputs.shape == (4, 12) and same(found, batch)


@pytest.mark.slow
def test_eight_texts_that_fill_every_position() -> None:
    everything = TEXTS.batch(0, len(TEXTS))
    full = (everything.inputs != PAD).all(1)
    batch = Batch(everything.inputs[full], everything.labels[full])
    assert batch.inputs.shape == (8, 32)
    assert same(recover(transformer(width=320).build(0), batch), batch)


@pytest.mark.parametrize(
    "sentences",
    [
        ["I cannot sleep"] * 3,
        ["I cannot sleep", "I cannot sleep", "I cannot work", "We cannot sleep", "I cannot sleep"],
        ["I am", "I am bored", "I am bored in this meeting"],
        ["my name is zoe", "I earn 4711 euros"],
        ["the the the the", "the the the the the the"],
    ],
    ids=["repeated", "same text, other label", "one begins another", "spelled", "one word"],
)
@pytest.mark.parametrize("tied", [False, True])
def test_batches_that_are_easy_to_mix_up(sentences, tied) -> None:
    batch = TEXTS.say(*sentences)
    assert same(recover(transformer(tied=tied).build(0), batch), batch)


def test_one_local_step_and_16_bits_leave_it_intact() -> None:
    model, batch = transformer().build(0), TEXTS.batch(3, 8)
    assert same(recover(model, batch, FedAvg(lr=0.1)), batch)
    assert same(recover(model, batch, FedAvg(lr=0.01, epochs=2), tolerance=1e-5, threshold=1e-2), batch)
    update = share(model, batch, FedSGD())
    half = replace(update, tensors={name: t.half().float() for name, t in update.tensors.items()})
    attack = TokenRecovery(tolerance=1e-4, threshold=3e-2)
    assert same(attack(model, half, generator=generator(0, "attack")), batch)


def test_the_whole_line() -> None:
    result = run(Experiment(TEXTS, transformer(), FedSGD(), TokenRecovery(), clients=2, batch_size=8))
    assert result.score.token_accuracy.tolist() == [1.0] * 8 and result.score.label_accuracy == 1
    assert result.score.psnr.isnan().all() and torch.equal(
        result.reconstruction.inputs[result.score.order], result.batch.inputs
    )


# --- adapters ---


def adapted(batch, rank, up=0.0, seed=0):
    """What a client sends that trains adapters only, whose B has entries of size ``up``; and the network."""
    model, draw = Lora(transformer(), rank).build(seed), generator(seed, "B")
    for name, weight in model.named_parameters():
        if name.endswith("up"):
            weight.data = up * torch.randn(weight.shape, generator=draw)
    return model, share(model, batch, FedSGD())


SHORT = TEXTS.say("we walk home", "we walk out of here", "i walk out")  # 3 + 3 + 3 prefixes


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("up", "border"), [(0.0, 10), (0.1, 9)], ids=["B zero", "B not zero"])
def test_adapters_leak_up_to_their_rank(up, border, seed) -> None:
    """With B zero there must be fewer prefixes than ranks; with another B as many will do."""
    assert prefixes(SHORT) == 9
    model, update = adapted(SHORT, border, up, seed)
    found = TokenRecovery()(model, update)
    assert same(found, SHORT) and found.loss < 1e-10
    model, update = adapted(SHORT, border - 1, up, seed)
    with pytest.raises(
        ValueError, match="needs a gradient of rank" if not up else "found no sentence that fits"
    ):
        TokenRecovery()(model, update)


@pytest.mark.parametrize(("client", "count"), [(0, 104), (2, 126)])
def test_adapters_of_full_rank_leak_what_the_network_itself_does(client, count) -> None:
    batch = TEXTS.batch(client, 8)
    assert prefixes(batch) == count  # of 126 that fit
    model, update = adapted(batch, 160)
    assert same(TokenRecovery()(model, update), batch)


def test_local_steps_leave_the_first_test_as_it_was() -> None:
    """What the first attention receives is frozen: after any number of steps A has moved within its span."""
    batch = TEXTS.batch(0, 1)
    model = Lora(transformer(), 16).build(0).double()
    sent = share(model, batch, FedAvg(lr=0.5, epochs=6)).tensors
    rows = torch.cat([sent[f"blocks.0.{name}.down"] for name in ("query", "key", "value")])
    seen = model.block(0).norm1(model.embed(batch.inputs))[0, : prefixes(batch)].detach()
    assert outside(seen, span(rows, 1e-10)).max() < 1e-6
    wrong = model.block(0).norm1(model.embed(TEXTS.batch(1, 1).inputs))[0].detach()
    assert outside(wrong, span(rows, 1e-10))[:3].min() > 0.1


def test_an_embedding_that_is_not_sent_hides_nothing() -> None:
    model, batch = transformer().build(0), TEXTS.batch(0, 8)
    model.embedding.requires_grad_(False)
    update = share(model, batch, FedSGD())
    with pytest.raises(ValueError, match=r"must hold the gradient of embedding\.weight"):
        tokens_present(update)
    assert same(TokenRecovery()(model, update), batch)


def test_adapters_at_queries_and_values_alone_are_too_few_for_sentences() -> None:
    model = Lora(transformer(), layers=("query", "value")).build(0)
    with pytest.raises(
        ValueError, match=r"needs the gradient of blocks\.0\.expand, blocks\.1\.contract, or of"
    ):
        TokenRecovery()(model, share(model, TEXTS.batch(0, 1), FedSGD()))


# --- refused ---


@pytest.mark.parametrize("tied", [False, True])
def test_as_many_tokens_as_dimensions_are_refused(tied) -> None:
    for width in (32, 64, 96):
        with pytest.raises(ValueError, match=rf"rank at most {width - 2} in \w+, got \d+, so all tokens fit"):
            recover(transformer(width=width, tied=tied).build(0), TEXTS.batch(0, 8))


def test_the_border_is_where_the_docstring_says() -> None:
    """126 prefixes fit in width 128 and not in width 124, whose LayerNorm leaves 123 dimensions."""
    batch = TEXTS.batch(2, 8)
    assert prefixes(batch) == 126
    assert same(recover(transformer(width=128).build(0), batch), batch)
    with pytest.raises(ValueError, match="rank at most 122"):
        recover(transformer(width=124).build(0), batch)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (FedSGD(max_grad_norm=1.0), "from FedAvg or from FedSGD without clipping, got FedSGD"),
        (FedAvg(lr=0.5, epochs=10), "rank at most|found"),
    ],
    ids=str,
)
def test_other_steps_are_refused(step, message) -> None:
    with pytest.raises(ValueError, match=message):
        recover(transformer().build(0), TEXTS.batch(0, 8), step)


def test_another_network_s_gradient_is_refused() -> None:
    batch = TEXTS.batch(0, 1)
    update = share(transformer().build(0), batch, FedSGD())
    with pytest.raises(ValueError, match="found no sentence that fits and ends with token 1"):
        TokenRecovery()(transformer().build(1), update, generator=generator(0, "attack"))
    with pytest.raises(ValueError, match="at least 2 blocks, got 1"):
        recover(transformer(blocks=1).build(0), batch)


def test_noise_is_refused_and_not_guessed_at() -> None:
    model, batch, draw = transformer().build(0), TEXTS.batch(0, 2), generator(0, "noise")
    update = share(model, batch, FedSGD())
    noisy = {n: t + 1e-4 * t.std() * torch.randn(t.shape, generator=draw) for n, t in update.tensors.items()}
    with pytest.raises(ValueError, match="raise the tolerance if it is noisy"):
        TokenRecovery()(model, replace(update, tensors=noisy), generator=generator(0, "attack"))


def test_a_gradient_of_too_many_texts_for_the_number_it_claims_is_refused() -> None:
    model = transformer().build(0)
    update = replace(share(model, TEXTS.batch(0, 8), FedSGD()), num_examples=4)
    with pytest.raises(ValueError, match="found"):
        TokenRecovery()(model, update, generator=generator(0, "attack"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tolerance": 0.0}, r"tolerance must be above 0 and below 1, got 0\.0"),
        ({"threshold": 1.0}, r"threshold must be above 0 and below 1, got 1\.0"),
        ({"end": 0}, "end must be a token above 0, which is padding, got 0"),
    ],
)
def test_bad_fields(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        TokenRecovery(**fields)


def test_the_score_of_a_wrong_sentence() -> None:
    """What a reader sees if an attack got it wrong: never a perfect score."""
    batch = TEXTS.batch(0, 2)
    found = recover(transformer().build(0), batch)
    wrong = replace(found, inputs=found.inputs.clone())
    wrong.inputs[0, 1] = 99
    assert score(found, batch).token_accuracy.tolist() == [1, 1]
    assert 0 < score(wrong, batch).token_accuracy.min() < 1
