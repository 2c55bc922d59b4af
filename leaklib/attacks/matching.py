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
    stray: int | None = None,
    objective: Callable[[Tensors, Tensors], Tensor] = squared_error,
    callback: Callback | None = None,
) -> Reconstruction:
    """Minimise ``objective`` over the inputs and, if ``labels`` is None, over soft labels too.

    ``optimizer`` is built anew for each start on the flat vector of unknowns; ``evaluations`` bounds the
    gradients computed over all starts, ``restarts`` how often a stuck run may begin again. After ``stray``
    evaluations without a new best the search goes back to its best point with a new optimizer; None: never.
    """
    check_update(model, update)
    spent = restart = 0

    def evaluate(point: Tensor) -> tuple[float, bool]:
        """The loss at ``point``, its gradient left in ``point.grad``, and whether the caller says stop."""
        nonlocal spent
        spent += 1
        inputs, targets = _split(point, update, labels)
        loss = objective(update.step(model, inputs, targets), update.tensors)
        (point.grad,) = torch.autograd.grad(loss, point)
        value = loss.item()
        if callback is None:
            return value, False
        return value, bool(callback(Progress(spent, value, inputs.detach().clone(), restart)))

    def reconstruct(point: Tensor) -> Reconstruction:
        inputs, targets = _split(point, update, labels)
        return explain(model, update, inputs, targets.argmax(1) if labels is None else labels)

    best_loss, best = math.inf, None
    for restart in range(restarts + 1):
        point = _draw(model, update, labels, generator)
        hope = (lambda point: reconstruct(point).baseline) if restart < restarts else None
        loss, point, stopped = _descend(point, optimizer, evaluate, hope, stray, evaluations - spent)
        if best is None or loss < best_loss:
            best_loss, best = loss, reconstruct(point)
        if stopped or spent >= evaluations or best_loss <= STUCK * best.baseline:
            break
    assert best is not None
    return replace(best, evaluations=spent, restarts=restart)


def _descend(
    point: Tensor,
    optimizer: Callable[[Tensor], Optimizer],
    evaluate: Callable[[Tensor], tuple[float, bool]],
    hope: Callable[[Tensor], float] | None,
    stray: int | None,
    evaluations: int,
) -> tuple[float, Tensor, bool]:
    """One start: the best loss, its point, and whether the caller said stop.

    ``hope`` gives the loss that a start must have reached after PATIENCE evaluations to go on.
    """
    mover = optimizer(point)
    best_loss, best_point, stopped = math.inf, point.detach().clone(), False
    milestone, since, newest = math.inf, 0, 0
    for evaluation in range(1, evaluations + 1):
        loss, stopped = evaluate(point)
        if loss < best_loss:
            best_loss, best_point, newest = loss, point.detach().clone(), evaluation
        if best_loss < 0.9 * milestone:
            milestone, since = best_loss, evaluation
        if stopped or not math.isfinite(loss) or evaluation - since >= PATIENCE:
            break
        if hope is not None and evaluation == PATIENCE and best_loss > hope(best_point):
            break
        if stray is not None and evaluation - newest >= stray:
            point, newest = best_point.clone().requires_grad_(), evaluation
            mover = optimizer(point)
        else:
            mover.step()
    return best_loss, best_point, stopped


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
