"""Which label the example had, read off the last layer's gradient.

With cross-entropy and a one-hot label, the gradient of the logits is p − onehot(y): its only negative entry
is the label's. The last layer's bias gradient is exactly that vector; without a bias, row c of the weight
gradient is (p_c − [c = y]) · a, so the label's row alone has non-positive products with all others.

Source: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", arXiv 2001.02610. Differs: their
code takes the row with the smallest sum, which needs a positive layer input (sigmoid or ReLU); the rules here
do not.
Chapter: 4.
"""

import torch

from leaklib.attacks.checks import check_single
from leaklib.types import Labels, Tensors, Update


def _last_layer(tensors: Tensors) -> tuple[str, str | None]:
    """Names of the last weight matrix and of its bias (None without one)."""
    matrices = [name for name, tensor in tensors.items() if tensor.ndim == 2]
    if not matrices:
        raise ValueError("no weight matrix in the update, so no classification layer to read the label from")
    weight = matrices[-1]
    bias = weight.removesuffix("weight") + "bias"
    return weight, bias if bias in tensors else None


def num_classes(update: Update) -> int:
    """How many classes the last fully connected layer of the network tells apart."""
    weight, _ = _last_layer(update.tensors)
    return len(update.tensors[weight])


def infer_label(update: Update) -> Labels:
    """The label of the one example behind ``update``, as a tensor of shape (1,).

    Needs cross-entropy with a one-hot label and a fully connected last layer; at least 3 classes if that
    layer has no bias. Raises ValueError if the update mixes examples or no entry shows the label.
    """
    check_single("label inference", update)
    weight, bias = _last_layer(update.tensors)
    if bias is not None:
        evidence = update.tensors[bias]
    else:
        rows = update.tensors[weight]
        if len(rows) < 3:
            raise ValueError("without a bias the label shows only with 3 classes or more, got 2")
        products = rows @ rows.T
        evidence = products.fill_diagonal_(-torch.inf).amax(1)
    if not (evidence < 0).any():
        raise ValueError(
            "no class has the negative gradient that a label leaves: the probability of the label has "
            "rounded to 1, or the loss is not cross-entropy with one label"
        )
    return evidence.argmin().reshape(1)
