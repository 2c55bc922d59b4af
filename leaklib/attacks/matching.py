"""The one optimisation loop: find inputs whose update looks like the one observed.

    x̂, ŷ = argmin D(step(model, x, y), observed)

Each evaluation computes D and its gradient, then an optimiser moves the guess; the best (loss, guess) pair
that was evaluated together is kept. Several starts can share each evaluation, as lanes of one computation.

A start that no longer improves is over: it explains the update, or it is stuck. A stuck one shows in its own
loss, as does one that is still worse than mid-grey pictures after 200 evaluations; the search then begins
again from fresh noise, within the same budget.

Chapter: 2, 4, 5.
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
from leaklib.types import Callback, Inputs, Labels, Progress, Reconstruction, Tensors, Update

PATIENCE = 200  # a start is over when this many evaluations did not lower its best loss by a tenth
WIDE = 100_000  # from so many weights on, one guess keeps a core busy: lanes would cost more than they save
STUCK = 1e-3  # a start that is over above this share of what mid-grey pictures score was stuck


def mid_grey(model: nn.Module, update: Update) -> Tensor:
    """Pictures of the batch's shape at 0.5 everywhere: what one guesses without looking at the update."""
    weight = next(model.parameters())
    return weight.new_full((update.num_examples, *update.input_shape), 0.5)


def explain(model: nn.Module, update: Update, inputs: Inputs, labels: Labels) -> Reconstruction:
    """The reconstruction of ``inputs``, clamped to [0, 1], and how well exactly these explain the update."""
    inputs = inputs.detach().to(next(model.parameters())).clamp(0, 1)
    labels = labels.to(inputs.device)
    loss, baseline = (
        squared_error(update.step(model, candidate, labels), update.tensors).item()
        for candidate in (inputs, mid_grey(model, update))
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
    restarts: int = 0,
    lanes: int = 1,
    stray: int | None = None,
    patience: int | None = PATIENCE,
    objective: Callable[[Tensors, Tensors], Tensor] = squared_error,
    prior: Callable[[Tensor, float], Tensor] | None = None,
    callback: Callback | None = None,
) -> Reconstruction:
    """Minimise ``objective`` plus ``prior`` over the inputs and, if ``labels`` is None, over soft labels too.

    ``optimizer`` is built anew for each start on the flat vector of unknowns. ``lanes`` starts are evaluated
    together, and the best of them is returned; ``evaluations`` bounds the gradients computed over all of
    them, ``restarts`` how often a stuck run may begin again. ``prior`` takes the guesses of all lanes,
    lanes×N×C×H×W, and the share of the budget that is spent; it returns one number per lane. A start is over
    after ``patience`` evaluations without progress (None: when the budget is spent, for optimisers that
    follow a schedule). After ``stray`` evaluations without a new best the search goes back to its best point
    with a new optimizer; None: never.
    """
    check_update(model, update)
    spent = restart = 0

    def evaluate(point: Tensor) -> tuple[Tensor, bool]:
        """Each lane's loss at ``point``, its gradient left in ``point.grad``, and whether to stop."""
        nonlocal spent
        share = spent / evaluations
        spent += lanes
        inputs, targets = _split(point, update, labels, lanes)
        losses = _distances(model, update, inputs, targets, objective)
        losses = losses if prior is None else losses + prior(inputs, share)
        (point.grad,) = torch.autograd.grad(losses.sum(), point)
        losses = losses.detach()
        if callback is None:
            return losses, False
        best = losses.argmin()
        progress = Progress(spent, losses[best].item(), inputs[best].detach().clone(), restart)
        return losses, bool(callback(progress))

    def reconstruct(lane: Tensor) -> Reconstruction:
        inputs, targets = _split(lane, update, labels, 1)
        return explain(model, update, inputs[0], targets[0].argmax(1) if labels is None else labels)

    best_loss, best = math.inf, None
    for restart in range(restarts + 1):
        point = torch.cat([_draw(model, update, labels, generator) for _ in range(lanes)]).requires_grad_()
        hope = (lambda lane: reconstruct(lane).baseline) if restart < restarts else None
        rounds = (evaluations - spent) // lanes
        loss, lane, stopped = _descend(point, lanes, optimizer, evaluate, hope, stray, patience, rounds)
        if best is None or loss < best_loss:
            best_loss, best = loss, reconstruct(lane)
        if stopped or evaluations - spent < lanes or best_loss <= STUCK * best.baseline:
            break
    assert best is not None
    return replace(best, evaluations=spent, restarts=restart + lanes - 1)


def _descend(
    point: Tensor,
    lanes: int,
    optimizer: Callable[[Tensor], Optimizer],
    evaluate: Callable[[Tensor], tuple[Tensor, bool]],
    hope: Callable[[Tensor], float] | None,
    stray: int | None,
    patience: int | None,
    rounds: int,
) -> tuple[float, Tensor, bool]:
    """From one start, or several as lanes: the best loss, its lane, and whether the caller said stop.

    ``hope`` gives the loss that a start must have reached after PATIENCE evaluations to go on.
    """
    mover = optimizer(point)
    best_losses, best, stopped = point.new_full((lanes,), math.inf), point.detach().clone(), False
    milestone, since, newest = math.inf, 0, 0
    for count in range(1, rounds + 1):
        losses, stopped = evaluate(point)
        better = losses < best_losses
        if better.any():
            best_losses, newest = losses.minimum(best_losses), count
            best = torch.where(better[:, None], point.detach().view(lanes, -1), best.view(lanes, -1))
        lowest, lane = best_losses.min(0)
        if lowest < 0.9 * milestone:
            milestone, since = lowest.item(), count
        if stopped or not torch.isfinite(losses).any() or (patience and count - since >= patience):
            break
        if hope is not None and count == PATIENCE and lowest > hope(best.view(lanes, -1)[lane]):
            break
        if stray is not None and count - newest >= stray:
            point, newest = best.reshape(-1).clone().requires_grad_(), count
            mover = optimizer(point)
        else:
            mover.step()
    lowest, lane = best_losses.min(0)
    return lowest.item(), best.view(lanes, -1)[lane], stopped


def _distances(
    model: nn.Module,
    update: Update,
    inputs: Tensor,
    targets: Tensor,
    objective: Callable[[Tensors, Tensors], Tensor],
) -> Tensor:
    """Each lane's distance between what the step makes of its guess and the update, shape (lanes,)."""
    wide = inputs.device.type == "cpu" and sum(weight.numel() for weight in model.parameters()) > WIDE
    if len(inputs) == 1 or wide:
        guesses = zip(inputs, targets, strict=True)
        return torch.stack([objective(update.step(model, *guess), update.tensors) for guess in guesses])
    candidates = update.step(model, inputs, targets, lanes=True)
    return torch.vmap(lambda candidate: objective(candidate, update.tensors))(candidates)


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
    return torch.cat(parts).to(next(model.parameters()))


def _split(point: Tensor, update: Update, labels: Labels | None, lanes: int) -> tuple[Tensor, Tensor]:
    """The unknowns as each lane's inputs and labels: the given ones, or soft ones from its logits."""
    size = update.num_examples * math.prod(update.input_shape)
    unknowns = point.view(lanes, -1)
    inputs = unknowns[:, :size].reshape(lanes, update.num_examples, *update.input_shape)
    if labels is not None:
        return inputs, labels.to(point.device).expand(lanes, -1)
    return inputs, unknowns[:, size:].reshape(lanes, update.num_examples, -1).softmax(-1)
