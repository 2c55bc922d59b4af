"""Read pictures out of an imprint layer: what adjacent rows differ by, over what their biases differ by.

With edges c_i and one error signal s_b per picture for all rows (see models/imprint.py),

    row_i − row_(i+1) = Σ_b [c_i < brightness_b ≤ c_(i+1)] s_b x_b,    the same for the biases without x_b,

so that a picture alone between two edges is their ratio. Several pictures between them come out as a mixture.

Source: Fowl, Geiping, Czaja, Goldblum, Goldstein, "Robbing the Fed: Directly Obtaining Private Data in
Federated Learning with Modified Models", ICLR 2022. Differs: the error signals also tell which of the
inferred labels belongs to which picture.
Chapters: 5, 6.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from leaklib.attacks.parts.base import AttackBase, check_uncompressed, layer_gradients, steps_and_scale
from leaklib.attacks.parts.labels import infer_labels
from leaklib.attacks.search.matching import explain, mid_gray
from leaklib.types import Labels, Reconstruction, Update

ROUNDING = 8  # a bin is occupied if its signal exceeds so many roundings of the largest bias gradient
Found = tuple[Float64[Tensor, "found pixels"], Float64[Tensor, "found"]]
FIT = 0.01  # relative: a signal farther from the expected one says nothing, since mixtures fit no label


@dataclass(frozen=True)
class Imprint(AttackBase):
    """One picture from each occupied bin of the imprint layer, dark ones first; mid-gray for the rest.

    Needs a network as ``Imprinted`` builds it, which is a server that attacks and not one that only looks on,
    and one step: an update from FedSGD without clipping or from FedAvg with a single local step. A picture
    that is alone in its bin comes back to the precision of the update; the others come back mixed, each
    weighted by its error signal.
    """

    def reconstruct(self, model: nn.Module, update: Update, *_: object) -> Reconstruction:
        check_uncompressed("Imprint", update)
        gray = _check_imprint(model)
        rows, biases = layer_gradients("Imprint", update, "imprint")
        steps, factor = steps_and_scale("Imprint", update)
        if steps != 1:
            raise ValueError(f"Imprint needs an update from one local step, got one from {steps}")
        pictures, signals = _read_out(rows, biases, update.num_examples)
        inputs = mid_gray(model, update)
        inputs[: len(pictures)] = update.clamp(pictures.reshape(-1, *update.input_shape))
        labels = infer_labels(model, update)
        expected = _signals(model, inputs[: len(pictures)], labels, gray) * factor / update.num_examples
        return explain(model, update, inputs, labels[_pair(signals, expected)])


def _check_imprint(model: nn.Module) -> nn.Linear:
    """The layer after the imprint layer. ValueError unless both are there, as the server sent them."""
    layer, gray = (getattr(model, name, None) for name in ("imprint", "gray"))
    if not isinstance(layer, nn.Linear) or not isinstance(gray, nn.Linear):
        raise ValueError("Imprint needs a network with an imprint layer, as Imprinted().build(seed) makes it")
    alike = (layer.weight == layer.weight[:1]).all() and (gray.weight == gray.weight[:, :1]).all()
    if not alike or (layer.bias.diff() >= 0).any():
        raise ValueError(
            "Imprint needs its layer as the server sent it: equal rows, falling biases, then equal columns"
        )
    return gray


def _read_out(rows: Float[Tensor, "bins pixels"], biases: Float[Tensor, "bins"], size: int) -> Found:
    """The pictures of the occupied bins, at most ``size``, and their error signals."""
    threshold = ROUNDING * torch.finfo(biases.dtype).eps * biases.abs().max()
    rows, biases = rows.double(), biases.double()
    signals = biases - torch.cat([biases[1:], biases.new_zeros(1)])
    strongest = signals.abs().argsort(descending=True, stable=True)[:size]
    occupied = strongest[signals[strongest].abs() > threshold].sort().values
    if len(occupied) == 0:
        raise ValueError("the gradient of the imprint layer is zero: no error signal came back to it")
    above = torch.cat([rows[1:], rows.new_zeros(1, rows.shape[1])])
    return (rows[occupied] - above[occupied]) / signals[occupied, None], signals[occupied]


def _signals(model: nn.Module, pictures: Tensor, labels: Labels, gray: nn.Linear) -> Tensor:
    """The error signal ∂loss/∂row that each picture would leave with each label, pictures × labels."""
    base, unflatten = model.get_submodule("base"), model.get_submodule("unflatten")
    state = {name: buffer.clone() for name, buffer in base.named_buffers()}  # a step would move BatchNorm's
    with torch.no_grad():
        levels = gray(model.get_submodule("imprint")(pictures.flatten(1)).relu())
    logits = functional_call(base, state, (unflatten(levels.requires_grad_()),))
    column, signals = gray.weight[:, 0].detach(), {}
    for label in labels.unique().tolist():
        loss = cross_entropy(logits, torch.full_like(labels[: len(logits)], label), reduction="sum")
        signals[label] = torch.autograd.grad(loss, levels, retain_graph=True)[0] @ column
    return torch.stack([signals[label] for label in labels.tolist()], 1)


def _pair(signals: Float64[Tensor, "found"], expected: Float[Tensor, "found labels"]) -> list[int]:
    """Which label goes to which picture: those first whose expected signals were seen, then the others."""
    misfit = (expected.double() - signals[:, None]).abs() / signals.abs()[:, None]
    _, found = linear_sum_assignment(misfit.clamp_max(FIT).cpu().numpy())
    return [*found.tolist(), *sorted(set(range(expected.shape[1])) - set(found.tolist()))]
