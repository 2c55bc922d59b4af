"""The one optimisation loop: find inputs whose update looks like the one observed.

    x̂, ŷ = argmin D(step(model, x, y), observed)

Each evaluation computes D and its gradient, then an optimiser moves the guess; the best (loss, guess) pair
that was evaluated together is kept. A start that no longer improves is over: it explains the update, or it is
stuck. A stuck one shows in its own loss, as does one that is still worse than mid-grey pictures after 200
evaluations; the search then begins again from fresh noise, within the same budget.

Chapter: 2, 4.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from leaklib.attacks.checks import check_update
from leaklib.attacks.labels import num_classes
from leaklib.attacks.objectives import squared_error
from leaklib.types import Callback, Inputs, Labels, Progress, Reconstruction, Targets, Tensors, Update

PATIENCE = 200  # a start is over when this many evaluations did not lower its best loss by a tenth
STUCK = 1e-3  # a start that is over above this share of what mid-grey pictures score was stuck


def explain(model: nn.Module, update: Update, inputs: Inputs, labels: Labels) -> Reconstruction:
    """The reconstruction of ``inputs``, clamped to [0, 1], and how well exactly these explain the update."""
    inputs = inputs.detach().to(next(model.parameters())).clamp(0, 1)
    labels = labels.to(inputs.device)
    loss, baseline = (
        squared_error(update.step(model, candidate, labels), update.tensors).item()
        for candidate in (inputs, torch.full_like(inputs, 0.5))
    )
    return Reconstruction(inputs, labels, loss, baseline)


def match(
    model: nn.Module,
    update: Update,
    *,
    generator: torch.Generator,
    optimizer: Callable[[Tensor], Optimizer],
    evaluations: int,
    labels: Labels | None,
    restarts: int,
    objective: Callable[[Tensors, Tensors], Tensor] = squared_error,
    callback: Callback | None = None,
) -> Reconstruction:
    """Minimise ``objective`` over the inputs and, if ``labels`` is None, over soft labels too.

    ``optimizer`` is built anew for each start on the flat vector of unknowns; ``evaluations`` bounds the
    gradients computed over all starts, ``restarts`` how often a stuck run may begin again.
    """
    check_update(model, update)

    def reconstruct(point: Tensor) -> Reconstruction:
        inputs, targets = _split(point, update, labels)
        return explain(model, update, inputs, targets.argmax(1) if labels is None else labels)

    point = _draw(model, update, labels, generator)
    mover = optimizer(point)
    best_loss, best_point = math.inf, point.detach().clone()
    evaluation = restart = began = since = 0
    milestone = math.inf  # the best loss of this start, to within a tenth, first reached at `since`
    for evaluation in range(1, evaluations + 1):
        inputs, targets = _split(point, update, labels)
        loss = objective(update.step(model, inputs, targets), update.tensors)
        (point.grad,) = torch.autograd.grad(loss, point)
        value = loss.item()
        if value < best_loss:
            best_loss, best_point = value, point.detach().clone()
        if callback and callback(Progress(evaluation, value, inputs.detach().clone(), restart)):
            break
        if value < 0.9 * milestone:
            milestone, since = value, evaluation
        over = not math.isfinite(value) or evaluation - since >= PATIENCE
        # What a start must have reached by now, as a share of what mid-grey pictures score.
        share = STUCK if over else 1.0 if evaluation - began == PATIENCE else math.inf
        if restart < restarts and share < math.inf and milestone > share * reconstruct(best_point).baseline:
            restart, began, since, milestone = restart + 1, evaluation, evaluation, math.inf
            point = _draw(model, update, labels, generator)
            mover = optimizer(point)
        elif over:
            break
        else:
            mover.step()
    return replace(reconstruct(best_point), evaluations=evaluation, restarts=restart)


def _draw(model: nn.Module, update: Update, labels: Labels | None, generator: torch.Generator) -> Tensor:
    """A start: inputs near mid-grey, then one logit per class and example where labels are unknown.

    DLG starts from N(0, 1). Near grey the sigmoids of the first layer are not saturated, and the same
    pictures need about a third of the evaluations.
    """
    parts = [
        0.5 + 0.1 * torch.randn(update.num_examples * math.prod(update.input_shape), generator=generator)
    ]
    if labels is None:
        parts.append(torch.randn(update.num_examples * num_classes(update), generator=generator))
    return torch.cat(parts).to(next(model.parameters())).detach().requires_grad_()


def _split(point: Tensor, update: Update, labels: Labels | None) -> tuple[Inputs, Targets]:
    """The vector of unknowns as inputs and labels: the given ones, or soft ones from its logits."""
    size = update.num_examples * math.prod(update.input_shape)
    inputs = point[:size].reshape(update.num_examples, *update.input_shape)
    if labels is not None:
        return inputs, labels
    return inputs, point[size:].reshape(update.num_examples, -1).softmax(1)
