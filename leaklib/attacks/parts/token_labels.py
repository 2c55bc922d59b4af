"""Which label belongs to which sentence, and how often a sentence occurs, once the sentences are known.

The last block's second MLP layer sees each text at its last token only, so its gradient is Σ δ uᵀ / N with
one term per example. The inputs u follow from the sentences, which gives each sentence's sum of δ. What δ
would be for a sentence and a label is known too, so the sum tells how often each label occurs with it.

Chapter: 6.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from leaklib.models.transformer import Transformer, last
from leaklib.types import PAD, Labels, Tensors


def with_labels(
    model: Transformer, tensors: Tensors, sentences: list[Int[Tensor, "_"]], size: int, length: int
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
    signal = size * torch.linalg.pinv(active.T) @ tensors[f"blocks.{below}.contract.weight"].T

    # The bias gradient is Σ(p - onehot) / size, so a class is a label only if its p may exceed it.
    most = size * probabilities.amax(0)
    classes = (most - size * tensors["head.bias"] > 0.5).nonzero()[:, 0]
    each = torch.stack([_signal_of(model, output, label) for label in classes] or [output * 0], 2)
    counts = torch.linalg.pinv(each) @ signal[:, :, None]  # sentences × classes × 1
    counts = counts.squeeze(2).round().long().clamp_min(0)
    if counts.sum() != size:
        raise ValueError(
            f"TokenRecovery found labels for {int(counts.sum())} sentences instead of {size}: "
            "the update is not a plain gradient of this model, or too noisy"
        )
    row, column = counts.nonzero().T  # a sentence that fitted by chance has no label, and goes
    often = counts[row, column]
    return inputs[row].repeat_interleave(often, 0), classes[column].repeat_interleave(often)


def _signal_of(model: Transformer, output: Tensor, label: Tensor) -> Float[Tensor, "sentences width"]:
    """What the loss would send back to the last block, if every sentence had this label."""
    output = output.detach().requires_grad_()
    loss = cross_entropy(model.head(model.norm(output)), label.expand(len(output)), reduction="sum")
    return torch.autograd.grad(loss, output)[0]
