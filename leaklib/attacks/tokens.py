"""Sentences from a gradient, exactly: which tokens, in which order, with which label.

A linear layer's weight gradient is the sum of δ aᵀ over all its inputs a, so its rows lie in the span of
these inputs. With fewer inputs than dimensions a wrong one is almost surely outside. Tokens are discrete, so
all of them can be tried:

1. tokens: the rows of the embedding's gradient that are not zero,
2. positions: LayerNorm(embedding + position) in the span of the first block's query, key and value gradients,
3. sentences: prefixes grown token by token, what the first block's MLP receives in the span of its gradient,
4. labels: the last block's second MLP layer sees each text at its last token only, so its gradient is
   Σ δ uᵀ / N with one term per example. The inputs u follow from the sentences, which gives each sentence's
   sum of δ. What δ would be for a sentence and a label is known too, so the sum tells how often each label
   occurs with it.

With adapters (``Lora``) two sketches of a layer's gradient G are sent instead, and the span test goes on with
them. G Aᵀ shows the inputs through A: a vector a can be tested as A a, in r dimensions, while the inputs span
fewer than r. Bᵀ G, once B is not zero, has r rows in the span of the inputs itself, and holds all of it if
that has at most r dimensions. The list of tokens is gone, so every token is tried.

Source: Petrov, Dimitrov, Baader, Müller, Vechev, "DAGER: Exact Gradient Inversion for Large Language Models",
NeurIPS 2024. Differs: step 3 looks at the first block's MLP instead of the second block's attention, which in
the last block gets an error signal of low rank when the model reads out at one position; it gives up instead
of guessing; step 4, sentences that occur twice, and G Aᵀ are ours.
Chapter: 7.
"""

import copy
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, pad

from leaklib.attacks.parts.base import AttackBase, steps_and_scale
from leaklib.attacks.search.objectives import squared_error
from leaklib.fields import Inner, Range
from leaklib.models.lora import Adapted
from leaklib.models.transformer import Transformer, last
from leaklib.named import listed
from leaklib.types import PAD, Labels, Reconstruction, Tensors, Update

Basis = Float[Tensor, "rank width"]
Tokens = Int[Tensor, "tokens"]
Prefixes = tuple[Tensor, ...]
"""Tokens, and the keys and values of the first block for them, which later tokens do not change."""


def tokens_present(update: Update) -> Tokens:
    """The ids of all tokens in the batch, in increasing order: the embedding's rows with a gradient.

    Labels are not among them, unless they also occur in an input. Exact unless the error signals of a token
    cancel. ValueError if there is no ``embedding.weight``, or if even padding has a gradient: the head shares
    the matrix, or noise was added.
    """
    gradient = update.tensors.get("embedding.weight")
    if gradient is None:
        raise ValueError("the update must hold the gradient of embedding.weight, whose rows are the tokens")
    used = gradient.any(1)
    if used[PAD]:
        raise ValueError(
            "the embedding's gradient must be zero where a token does not occur, but even padding has one: "
            "the head is tied to the embedding, or the update has noise"
        )
    return used.nonzero()[:, 0]


def span(gradient: Float[Tensor, "out width"], tolerance: float) -> Basis:
    """An orthonormal basis of the row space; singular values up to ``tolerance`` of the largest are noise."""
    _, values, rows = torch.linalg.svd(gradient, full_matrices=False)
    return rows[values > tolerance * values[0]]


class SpanTest(NamedTuple):
    """Do vectors lie in a span? Looked at ``through`` a matrix, of which ``basis`` spans the images."""

    basis: Basis
    through: Float[Tensor, "rank width"] | None = None

    def outside(self, vectors: Float[Tensor, "*n width"]) -> Float[Tensor, "*n"]:
        """The share of each vector's length, or of its image's, that is not in the span."""
        seen = vectors if self.through is None else vectors @ self.through.T
        return outside(seen, self.basis)


def outside(vectors: Float[Tensor, "*n width"], basis: Basis) -> Float[Tensor, "*n"]:
    """The share of each vector's length that is not in the span: 0 in it, 1 orthogonal to it."""
    unit = normalize(vectors, dim=-1)
    return (unit - unit @ basis.T @ basis).norm(dim=-1)


@dataclass(frozen=True)
class TokenRecovery(AttackBase):
    """Every sentence of the batch with its label, exactly, or a ValueError that says why not.

    For ``TinyTransformer`` with at least two blocks, and inputs that end with token ``end`` (``<next>``). The
    batch must have fewer than width - 1 different prefixes, counting each beginning of a sentence, of every
    length, once: LayerNorm takes one dimension. With adapters (``Lora``, at values, ``expand`` and
    ``contract`` at least) it must also have fewer prefixes than they have ranks; as many will do where B is
    not zero.

    ``tolerance`` is the share of the largest singular value up to which the others count as rounding errors,
    ``threshold`` the share of a vector's length outside the span up to which it counts as inside, and the
    largest loss of a result. The defaults are for 32-bit gradients: there, noise stays below 1e-7 of the
    largest singular value, and true tokens below 1e-4 outside. For coarser numbers raise both. FedAvg sends
    differences of weights, which are coarser the smaller the learning rate, and several local steps only look
    like one gradient while the weights hardly move: (1e-5, 1e-2) is right for some of them. The result is
    checked against the update, so what does not work is refused. ``benchmarks/text.py`` measures all this.
    """

    tolerance: Inner = 2e-7
    threshold: Inner = 1e-4
    end: Annotated[int, Range(f"a token above {PAD}, which is padding", lambda token: token > PAD)] = 1

    def reconstruct(self, model: nn.Module, update: Update, *_: object) -> Reconstruction:
        if not isinstance(model, Transformer) or len(model.blocks) < 2:
            got = "1" if isinstance(model, Transformer) else type(model).__name__
            raise ValueError(f"TokenRecovery needs a TinyTransformer with at least 2 blocks, got {got}")
        tested = ("blocks.0.value", "blocks.0.expand", f"blocks.{len(model.blocks) - 1}.contract")
        if frozen := [n for n in tested if not {f"{n}.weight", f"{n}.up"} & update.tensors.keys()]:
            raise ValueError(f"TokenRecovery needs the gradient of {listed(frozen)}, or of an adapter there")
        scale = steps_and_scale("TokenRecovery", update)[1]
        tensors = {name: tensor.double() / scale for name, tensor in update.tensors.items()}
        exact = copy.deepcopy(model).double()
        with torch.no_grad():
            sentences = self._grow(exact, tensors, self._options(exact, update, tensors), update.num_examples)
        inputs, labels = _with_labels(exact, tensors, sentences, update.num_examples, *update.input_shape)
        empty = torch.full_like(inputs, PAD)
        empty[:, 0] = self.end
        sent = (update.step(model, guess, labels) for guess in (inputs, empty))
        loss, baseline = (squared_error(tensors, update.tensors).item() for tensors in sent)
        if not loss < self.threshold:
            raise ValueError(
                f"TokenRecovery found a batch that leaves {loss:.0e} of the update unexplained: "
                "the update is not a plain gradient of this model, or too noisy"
            )
        return Reconstruction(inputs, labels, loss, baseline)

    def _test(self, model: Transformer, tensors: Tensors, *names: str) -> SpanTest:
        """The test for what these layers of the first block receive, all of them the same.

        The last of them must have an error signal of its own for each input. ValueError if everything passes.
        """
        layer = getattr(model.block(0), names[-1])
        room = layer.weight.shape[1] - 1  # LayerNorm takes one dimension
        if isinstance(layer, Adapted):
            room, basis = min(room, len(layer.down)), self._span(tensors, "up", names[-1:])
            if len(basis) < room:
                return SpanTest(basis, layer.down.detach())
            if len(shown := self._span(tensors, "down", names)):
                room, basis = layer.weight.shape[1] - 1, shown
        else:
            basis = self._span(tensors, "weight", names)
        if len(basis) >= room:
            most = f"rank at most {room - 1} in {names[-1]}, got {len(basis)}"
            raise ValueError(
                f"TokenRecovery needs a gradient of {most}, so all tokens fit: "
                "take a smaller batch or a wider model, or raise the tolerance if it is noisy"
            )
        return SpanTest(basis)

    def _span(self, tensors: Tensors, part: str, names: tuple[str, ...]) -> Basis:
        """The span of the rows of these gradients in the first block; those of ``up`` are in R^rank."""
        gradients = (tensors.get(f"blocks.0.{name}.{part}") for name in names)
        return span(torch.cat([gradient for gradient in gradients if gradient is not None]), self.tolerance)

    def _options(self, model: Transformer, update: Update, tensors: Tensors) -> list[Tensor]:
        """For each position the tokens that fit there."""
        # The first position attends to itself alone, so its query has no gradient; its value has.
        test = self._test(model, tensors, "query", "key", "value")
        every = torch.arange(PAD + 1, model.embedding.num_embeddings, device=test.basis.device)
        rows = "embedding.weight" in update.tensors and not model.tied
        tokens = tokens_present(update) if rows else every
        places = model.position.weight[: update.input_shape[0]]
        seen = model.block(0).norm1(model.embedding(tokens) + places[:, None])  # positions × tokens × width
        return [tokens[fits] for fits in test.outside(seen) < self.threshold]

    def _grow(self, model: Transformer, tensors: Tensors, options: list[Tensor], size: int) -> list[Tensor]:
        """Candidates for the sentences of the batch: prefixes grown from left to right, until they end.

        A wrong prefix that fits by chance is not continued by chance as well, and dies out.
        """
        test = self._test(model, tensors, "expand")
        empty = model.embedding.weight.new_empty(1, model.block(0).heads, 0, 1)
        complete, prefixes = [], (options[0].new_empty(1, 0), empty, empty)
        for position, tokens in enumerate(options):
            grown, received = _continued(model, prefixes, tokens)
            fits = test.outside(received) < self.threshold
            ended = grown[0][:, -1] == self.end
            complete += grown[0][fits & ended]
            prefixes = tuple(part[fits & ~ended] for part in grown)
            found = len(complete) + len(prefixes[0])
            if found > 16 * size:
                raise ValueError(
                    f"TokenRecovery expects {size} sentences, but at position {position} already {found} "
                    "beginnings fit: take a smaller batch or a wider model"
                )
        if not complete:
            raise ValueError(
                f"TokenRecovery found no sentence that fits and ends with token {self.end}: the update is "
                "no plain gradient of this model, or too noisy, or of more prefixes than the adapters' rank"
            )
        return complete


def _continued(model: Transformer, prefixes: Prefixes, tokens: Tokens) -> tuple[Prefixes, Tensor]:
    """Every prefix with every token after it, and what the first block's MLP receives at that token."""
    block, count = model.block(0), len(prefixes[0])
    hidden = model.embedding(tokens)[:, None] + model.position.weight[prefixes[0].shape[1]]
    query, *new = block.project(hidden)
    grown = [torch.cat([prefixes[0].repeat_interleave(len(tokens), 0), tokens.repeat(count)[:, None]], 1)]
    for old, added in zip(prefixes[1:], new, strict=True):
        old = old.repeat_interleave(len(tokens), 0).expand(-1, -1, -1, added.shape[-1])
        grown.append(torch.cat([old, added.repeat(count, 1, 1, 1)], 2))
    attended = hidden.repeat(count, 1, 1) + block.mix(query.repeat(count, 1, 1, 1), *grown[1:], causal=False)
    return tuple(grown), block.norm2(attended[:, 0])


def _with_labels(
    model: Transformer, tensors: Tensors, sentences: list[Tensor], size: int, length: int
) -> tuple[Int[Tensor, "batch positions"], Labels]:
    """The batch of ``size`` texts: each sentence as often as it occurs, padded to ``length``, and its labels.

    ``tensors`` is the mean gradient, in the model's float type. Sentences that do not occur are left out.
    ValueError if the labels do not add up to ``size``.
    """
    inputs = torch.stack([pad(row, (0, length - len(row)), value=PAD) for row in sentences])
    below = len(model.blocks) - 1
    top = model.block(below)
    with torch.no_grad():
        hidden = top.attend(model.blocks[:below](model.embed(inputs)))
        active = last(inputs, top.activate(hidden))
        output = last(inputs, hidden) + top.contract(active)
        probabilities = model.head(model.norm(output)).softmax(1)
    layer, name = top.contract, f"blocks.{below}.contract"
    if isinstance(layer, Adapted):
        active, sent = layer.scale * active @ layer.down.detach().T, tensors[f"{name}.up"]
    else:
        sent = tensors[f"{name}.weight"]
    signal = size * torch.linalg.pinv(active.T) @ sent.T

    classes = torch.arange(probabilities.shape[1], device=inputs.device)
    if "head.bias" in tensors:
        # Its gradient is Σ(p - onehot) / size, so a class is a label only if its p may exceed it.
        classes = (size * (probabilities.amax(0) - tensors["head.bias"]) > 0.5).nonzero()[:, 0]
    each = torch.stack([_signal_of(model, output, label) for label in classes] or [output * 0], 2)
    counts = torch.stack([_counts(*pair, size) for pair in zip(each, signal, strict=True)])
    if counts.sum() != size:
        raise ValueError(
            f"TokenRecovery found labels for {int(counts.sum())} sentences instead of {size}: "
            "the update is not a plain gradient of this model, or too noisy"
        )
    row, column = counts.nonzero().T  # a sentence that fitted by chance has no label, and goes
    often = counts[row, column]
    return inputs[row].repeat_interleave(often, 0), classes[column].repeat_interleave(often)


def _counts(each: Float[Tensor, "width classes"], total: Float[Tensor, "width"], size: int) -> Labels:
    """How often each class occurs in a sum of at most ``size`` signals of one sentence.

    There may be more classes than dimensions, but few of them occur: they are picked one by one, each time
    the one that fits best to what the others leave (orthogonal matching pursuit).
    """
    picked: list[int] = []
    counts, rest = total.new_zeros(each.shape[1]), total
    while len(picked) < size:
        fit, best = (normalize(each, dim=0).T @ rest).max(0)
        if fit <= 1e-3 * total.norm():
            break
        picked.append(int(best))
        counts[picked] = torch.linalg.pinv(each[:, picked]) @ total
        rest = total - each @ counts
    return counts.round().long().clamp_min(0)


def _signal_of(model: Transformer, output: Tensor, label: Tensor) -> Float[Tensor, "sentences width"]:
    """What the loss would send back to the last block, if every sentence had this label."""
    output = output.detach().requires_grad_()
    loss = cross_entropy(model.head(model.norm(output)), label.expand(len(output)), reduction="sum")
    return torch.autograd.grad(loss, output)[0]
