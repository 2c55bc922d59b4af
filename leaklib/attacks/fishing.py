"""Fish one picture out of a large batch: a server that sends bait, asks again, and subtracts.

Of a baited network (models/baited.py) with threshold t the gradient below the last layer is

    B · g(t) = gain · (Σ over pictures above t − Σ over pictures of the class) ∇_w (w·h).

The second sum is the same for every t. So the server asks for the same batch once with a threshold that
nothing reaches, and then with thresholds between: the differences are the pictures above. How many these are
stands in the gradient of the class's bias, as an exact count, so a few halvings find a threshold with one
picture above it. What it sent is the gradient of one logit, and a search like DLG's finds the picture.

Source: Wen, Geiping, Fowl, Goldblum, Goldstein, "Fishing for User Data in Large-Batch Federated Learning via
Gradient Magnification", ICML 2022. Differs: they search for a threshold within the pictures of one class;
counting and subtracting need no class, and no guess of how the feature is distributed.
Chapter: 8.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from leaklib.attacks.dlg import INNER, STRAY
from leaklib.attacks.parts.base import AttackBase, check_uncompressed, layer_gradients
from leaklib.attacks.parts.labels import check_head
from leaklib.attacks.search.matching import Search
from leaklib.attacks.search.objectives import squared_error
from leaklib.attacks.search.optimizers import LBFGS
from leaklib.client import FedSGD
from leaklib.fields import Count, Natural, Several
from leaklib.models.baited import Baited
from leaklib.types import Callback, Reconstruction, Tensors, Update

WHOLE = 1e-5  # so near to 1 the count is one picture, and not parts of several


@dataclass(frozen=True)
class Fishing(AttackBase):
    """The one picture that a baited network lets through, whatever the size of the batch.

    Takes the model with what one round brought where the class was fished for and occurs once, or with the
    difference of two rounds, as ``fish`` returns it. The reconstruction is that one picture. Its label is the
    class of the bait; of a difference the label stays unknown, and the class stands there all the same.
    ``loss`` says how well the picture explains what the class's logit sent. ``steps`` outer steps of 20
    evaluations, ``restarts`` and ``history`` as for ``DLG``. In float64.
    """

    steps: Count = 40
    restarts: Natural = 3
    history: Several = 200

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        check_uncompressed("Fishing", update)
        check_head(model, update)
        if not isinstance(update.step, FedSGD) or update.step.max_grad_norm is not None:
            raise ValueError(f"Fishing needs an update from FedSGD() without clipping, got {update.step}")
        name, label = bait_of(model)
        pictures = update.num_examples * layer_gradients("Fishing", update, name)[1][label].item()
        if abs(abs(pictures) - 1) > WHOLE:
            raise ValueError(
                f"Fishing needs a model that lets one picture through, got one that let {abs(pictures):.4g} "
                f"of class {label} through: bait for another class, or fish with a threshold"
            )
        logit, sent = _one_logit(model, update, name, label)
        steepness = logit.get_parameter(f"{name}.weight").norm().item()

        def objective(candidate: Tensors, observed: Tensors) -> Tensor:
            # The gain stands before all layers but the last: without it they would drown what that one says.
            shares = {n: 1.0 if n.startswith(name) else 1 / steepness for n in observed}
            ours, theirs = ({n: shares[n] * t for n, t in side.items()} for side in (candidate, observed))
            return squared_error(ours, theirs)

        found = Search(
            logit,
            sent,
            torch.zeros(1, dtype=torch.long, device=sent.tensors[f"{name}.bias"].device),
            lambda point: LBFGS(point, history=self.history),
            evaluations=self.steps * INNER,
            restarts=self.restarts,
            stray=STRAY,
            objective=objective,
            callback=callback,
        ).run(generator)
        inputs = found.inputs.to(next(model.parameters()).dtype)
        return replace(found, inputs=inputs, labels=torch.full_like(found.labels, label))


class Catch(NamedTuple):
    """What ``Fishing`` is to be given, and how many rounds it took."""

    model: nn.Module
    update: Update
    rounds: int


def fish(ask: Callable[[nn.Module], Update], bait: Baited, seed: int, *, most: int = 40) -> Catch:
    """Ask a client until a threshold has one picture of its batch above it.

    ``ask`` sends a model and returns the client's update, each time of the same batch. ``bait`` says which
    base, class and gain; its threshold is searched for, from the mean logit of the pictures of the class on,
    for which some must be there. ValueError if ``most`` rounds do not isolate a picture.
    """
    nothing = ask(bait.build(seed))
    name, label = bait_of(bait.build(seed))
    row = bait.build(seed).get_parameter(f"{name}.weight")[label].detach() / bait.gain
    below = nothing.tensors[f"{name}.bias"][label]
    if below.abs() * nothing.num_examples < 0.5:
        raise ValueError(f"no picture of the batch has class {label}: bait for another class")
    low, high = (nothing.tensors[f"{name}.weight"][label] @ row / below).item(), math.inf
    threshold, step = low, 0.05 * row.norm().item()
    for rounds in range(2, most + 1):
        model = replace(bait, threshold=threshold).build(seed)
        update = ask(model)
        difference = {n: tensor - nothing.tensors[n] for n, tensor in update.tensors.items()}
        above = difference[f"{name}.bias"][label].item() * update.num_examples
        if abs(above - 1) < WHOLE:
            return Catch(model, replace(update, tensors=difference), rounds)
        low, high = (threshold, high) if above > 1 else (low, threshold)
        threshold, step = (low + step, 2 * step) if high == math.inf else ((low + high) / 2, step)
    raise ValueError(
        f"no threshold isolates a picture within {most} rounds: raise the gain or try other bait"
    )


def bait_of(model: nn.Module) -> tuple[str, int]:
    """The name of the last layer and the class it baits for. ValueError for a network without bait."""
    name, last = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    rows = last.weight.any(1).nonzero()[:, 0].tolist()
    if len(rows) != 1 or last.bias is None:
        raise ValueError(
            f"Fishing needs a network whose last layer is 0 but for one class, as Baited().build(seed) makes "
            f"it, got {len(rows)} such rows"
        )
    return name, rows[0]


def _one_logit(model: nn.Module, update: Update, name: str, label: int) -> tuple[nn.Module, Update]:
    """A copy with this logit alone, and its gradient: the bias says what the update is to be divided by."""
    logit = copy.deepcopy(model).double()
    last = logit.get_submodule(name)
    assert isinstance(last, nn.Linear)
    last.weight, last.bias = (nn.Parameter(w.detach()[[label]]) for w in (last.weight, last.bias))
    weight, bias = layer_gradients("Fishing", update, name)
    head = {f"{name}.weight": weight[[label]], f"{name}.bias": bias[[label]]}
    tensors = {n: t.double() / bias[label].double() for n, t in (update.tensors | head).items()}
    return logit, replace(update, tensors=tensors, num_examples=1, labels=None, step=FedSGD(loss=_mean))


def _mean(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean logit, whatever the label."""
    return logits.mean()
