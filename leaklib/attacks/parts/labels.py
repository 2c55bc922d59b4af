"""Which labels the examples had, read off the last layer's gradient.

With cross-entropy and a one-hot label, the gradient of the logits is p − onehot(y). For one example its only
negative entry is the label's: the last layer's bias gradient is exactly that vector; without a bias, row c
of the weight gradient is (p_c − [c = y]) · a, so the label's row alone has non-positive products with all
others. For several examples see ``label_counts.py``.

Source: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", arXiv 2001.02610. Differs: their
code takes the row with the smallest sum, which needs a positive layer input (sigmoid or ReLU); the rules here
do not. Signs keep both rules. Where compression left the bias gradient with no negative entry or several, the
rows decide: their products with all the others sum to −(p_c − [c = y])² ‖a‖², which is lowest for the label.
Chapters: 3, 5, 6, 9.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.attacks.parts.base import check_single, check_update, steps_and_scale
from leaklib.attacks.parts.label_counts import solve, solve_with_features, to_integers
from leaklib.client import FedAvg
from leaklib.types import Labels, Update


def _last_layer(tensors: Mapping[str, Tensor]) -> tuple[str, str | None]:
    """Names of the last weight matrix and of its bias (None without one)."""
    matrices = [name for name, tensor in tensors.items() if tensor.ndim == 2]
    if not matrices:
        raise ValueError("no weight matrix in the update, so no classification layer to read the label from")
    weight = matrices[-1]
    bias = weight.removesuffix("weight") + "bias"
    return weight, bias if bias in tensors else None


def label_rows(tensors: Mapping[str, Tensor]) -> Float[Tensor, "classes in"]:
    """The gradient of the last fully connected layer: row c is mostly of the examples in class c."""
    return tensors[_last_layer(tensors)[0]]


def num_classes(update: Update) -> int:
    """How many classes the last fully connected layer of the network tells apart."""
    return len(update.tensors[_last_layer(update.tensors)[0]])


def check_head(model: nn.Module, update: Update) -> None:
    """Raise ValueError unless the update holds the model's last layer, computed with cross-entropy."""
    _check_loss(update)
    weight, _ = _last_layer(dict(model.named_parameters()))
    if weight not in update.tensors:
        raise ValueError(f"{weight} is frozen in the model, which hides the labels: they must be revealed")


def _check_loss(update: Update) -> None:
    step = getattr(update.step, "step", update.step)  # that of each client, in an average
    if getattr(step, "loss", cross_entropy) is not cross_entropy:
        raise ValueError(
            "only cross-entropy shows labels, and this step has a loss of its own: they must be revealed"
        )


def error_signal(model: nn.Module, update: Update) -> tuple[Float[Tensor, "classes"], int]:
    """The mean error signal p − onehot(y) of the examples, as sent, and over how many epochs it is a mean.

    It is the gradient of the last layer's bias; of FedAvg the sum over the local steps divided by their
    number and the learning rate. ValueError without such a bias, and for steps that are neither FedSGD nor
    FedAvg.
    """
    check_head(model, update)
    _, bias = _last_layer(update.tensors)
    if bias is None:
        raise ValueError("the error signal is the gradient of the last layer's bias, and this layer has none")
    _, scale = steps_and_scale("signal matching", update)
    epochs = update.step.epochs if isinstance(update.step, FedAvg) else 1
    return update.tensors[bias] / scale, epochs


def infer_label(update: Update) -> Labels:
    """The label of the one example behind ``update``, as a tensor of shape (1,).

    Needs cross-entropy with a one-hot label and a fully connected last layer; at least 3 classes if that
    layer has no bias. Raises ValueError if the update mixes examples or no entry shows the label; where a
    mechanism lost much of the last layer, the answer can be wrong.
    """
    check_single("label inference", update)
    _check_loss(update)
    evidence = _evidence(update)
    if not (evidence < 0).any():
        raise ValueError(
            "no class has the negative gradient that a label leaves: the probability of the label has "
            "rounded to 1, or the loss is not cross-entropy with one label"
        )
    return evidence.argmin().reshape(1)


def _evidence(update: Update) -> Float[Tensor, "classes"]:
    """A number per class that is lowest for the label, and negative if the update shows one."""
    weight, bias = _last_layer(update.tensors)
    rows, compressed = update.tensors[weight], update.mechanism is not None
    if bias is not None:
        evidence = update.tensors[bias]
        # What the client computed has one negative entry; compression can leave none or, at random, several.
        if not compressed or len(rows) < 3 or (evidence < 0).sum() == 1:
            return evidence
    if len(rows) < 3:
        raise ValueError("without a bias the label shows only with 3 classes or more, got 2")
    products = (rows @ rows.T).fill_diagonal_(0 if compressed else -torch.inf)
    return products.sum(1) if compressed else products.amax(1)


def infer_labels(model: nn.Module, update: Update) -> Labels:
    """A label for each example behind ``update``, shape (num_examples,): what an attack starts from.

    The labels that the client revealed, in its order; otherwise what ``infer_label`` (one example) or
    ``infer_label_counts`` (several, in the order of the classes) reads off the update. ValueError where these
    raise it.
    """
    if update.labels is not None:
        return update.labels
    check_head(model, update)
    if update.num_examples == 1:
        return infer_label(update)
    counts = infer_label_counts(update, model)
    return torch.arange(len(counts), device=counts.device).repeat_interleave(counts)


def infer_label_counts(update: Update, model: nn.Module | None = None) -> Int[Tensor, "classes"]:
    """How often each class occurs among the examples behind ``update``: integers that sum to their number.

    With the ``model``, the examples of a class are taken to look alike at the last layer. That is near enough
    on most untrained networks; training pulls them apart, and the counts of larger batches come out wrong.
    Without it all classes are taken to be equally probable, which only an untrained network with small
    weights justifies. ``benchmarks/labels.py`` measures both.

    Of FedAvg the update is divided by the learning rate and the number of local steps, as if the weights had
    stood still: an approximation. Compressed updates are taken at their word, entries that were not sent for
    zeros. Needs a fully connected last layer with a bias. Raises ValueError if there is none, if the step
    clips or is neither FedSGD nor FedAvg, if the bias gradient is zero, or if only signs are left.
    """
    weight, bias = _last_layer(update.tensors)
    if bias is None:
        raise ValueError(f"counts need a last layer with a bias, {weight.removesuffix('.weight')} has none")
    if model is not None:
        check_update(model, update)
    _check_loss(update)
    _, scale = steps_and_scale("label counting", update)
    signal, rows = (update.tensors[name].detach().double().cpu() / scale for name in (bias, weight))
    if not signal.any() or not torch.isfinite(signal).all():
        raise ValueError(f"the gradient of {bias} is zero or not finite, so it says nothing about the labels")
    if update.mechanism is not None and all((x.abs() == x.abs().max()).all() for x in (rows, signal)):
        raise ValueError(
            "only the signs of the last layer's gradient are left: they say which classes may be there, not "
            "how often, so the labels must be revealed"
        )
    if model is None:
        uniform = torch.full((len(signal), len(signal)), 1 / len(signal), dtype=torch.float64)
        counts = solve(uniform, signal, update.num_examples)
    else:
        last = [model.get_parameter(name).detach().double().cpu() for name in (weight, bias)]
        counts = solve_with_features(rows, signal, last[0], last[1], update.num_examples)
    return to_integers(counts, update.num_examples).to(update.tensors[bias].device)
