"""The one optimisation loop: find inputs whose update looks like the one observed.

    x̂, ŷ = argmin D(step(model, x, y), observed)

Where a mechanism changed the update, it supplies what D sees of both: see ``compare``.

Each evaluation computes D and its gradient, then an optimiser moves the guess; the best (loss, guess) pair
that was evaluated together is kept. Several starts can share each evaluation, as lanes of one computation.

A start that no longer improves is over: it explains the update, or it is stuck. A stuck one shows in its own
loss, as does one that is still worse than mid-gray pictures after 200 evaluations; the search then begins
again from fresh noise, within the same budget.

Chapters: 2, 3, 5, 6, 9.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import torch
from torch import Tensor, nn

from leaklib.attacks.parts.base import check_update
from leaklib.attacks.parts.labels import check_head, num_classes
from leaklib.attacks.search.objectives import squared_error
from leaklib.attacks.search.optimizers import Optimizer
from leaklib.attacks.search.targets import Known, Soft, Targets
from leaklib.rng import given
from leaklib.types import Callback, Inputs, Labels, Objective, Progress, Reconstruction, Stop, Tensors, Update

PATIENCE = 200  # a start is over when this many evaluations did not lower its best loss by a tenth
WIDE = 100_000  # from so many weights on, one guess keeps a core busy: lanes would cost more than they save
STUCK = 1e-3  # a start that is over above this share of its yardstick was stuck
FITTED = 0.8  # a search of a noisy update is over once it has fitted this share of the noise it can fit
# Updates are rounded to float32: where mid-gray scores less than this, STUCK of it is nothing but rounding.
ROUNDING = 2**-46 / STUCK
EXACT = 1e-7  # of what mid-gray scores: exact closed forms leave 1e-9, those that saturated units ruin 1e-5


def mid_gray(model: nn.Module, update: Update) -> Tensor:
    """The batch in the middle of its bounds everywhere: what one guesses without looking at the update."""
    weight = next(model.parameters())
    return update.to_inputs(weight.new_full((update.num_examples, *update.input_shape), 0.5))


def compare(candidate: Tensors, update: Update, objective: Objective) -> Tensor:
    """How far ``candidate`` is from the update by ``objective``, seen through the update's mechanism."""
    if update.mechanism is None:
        return objective(candidate, update.tensors)
    return update.mechanism.distance(candidate, update.tensors, objective)


def misfit(model: nn.Module, update: Update, inputs: Tensor, labels: Tensor, objective: Objective) -> Tensor:
    """``compare`` of what the client step makes of these inputs and labels, class indices or soft."""
    return compare(update.step(model, inputs, labels.to(inputs.device)), update, objective)


def yardstick(gray: float) -> float:
    """What a loss is judged by: what mid-gray pictures score, or all zeros, where these score less.

    To a client that is sure of its label gray looks like a great error: it can score 10^7 and more. A loss a
    thousand times below that may still explain nothing; one far below 1 does.
    """
    return min(gray, 1.0)


def explain(model: nn.Module, update: Update, inputs: Inputs, labels: Labels) -> Reconstruction:
    """The reconstruction of ``inputs``, moved into the bounds, and how well exactly these explain it."""
    found = inputs.detach().to(next(model.parameters()))
    inputs = update.clamp(found)
    guesses = inputs, mid_gray(model, update)
    loss, baseline = (misfit(model, update, guess, labels, squared_error).item() for guess in guesses)
    clamped = (found - inputs).abs().max().item()
    return Reconstruction(inputs, labels.to(inputs.device), loss, baseline, clamped=clamped)


def explain_exact(model: nn.Module, update: Update, inputs: Inputs, labels: Labels) -> Reconstruction:
    """``explain`` for closed forms: ValueError if they are exact and leave the bounds, which are wrong."""
    found, exact = explain(model, update, inputs, labels), inputs.detach().to(next(model.parameters()))
    if found.loss > STUCK * yardstick(found.baseline):
        loss = misfit(model, update, exact, labels, squared_error).item()
        if loss <= EXACT * yardstick(found.baseline):
            raise ValueError(
                f"what explains the update reaches from {exact.min():.3g} to {exact.max():.3g}, beyond the "
                f"bounds {update.bounds}: hand the update the bounds of inputs normalized outside the model"
            )
    return found


def fitted(floor: float, gray: float, unknowns: int, equations: int) -> float:
    """The loss below which a search for so many ``unknowns`` mostly fits noise; 0 if there is no such loss.

    The truth scores ``floor``. A search goes below it and gets better at first; with all unknowns fitted to
    noise, 1 - unknowns / equations of it is left. Where it comes below STUCK of its yardstick, the noise is
    too small to mislead it, and nothing is begun again anyway.
    """
    end = floor * (1 - FITTED * unknowns / equations)
    return end if end > STUCK * yardstick(gray) else 0.0


@dataclass
class Search:
    """Minimise ``objective`` plus ``prior`` over the inputs and, if ``labels`` is None, over soft labels too.

    ``targets`` stand in for the labels where the update's step takes something else; ``explained`` is then
    the update as the client's own step explains it, by which a result is reported.

    ``optimizer`` is built anew for each start on the flat vector of unknowns. ``lanes`` starts are evaluated
    together, and the best of them is returned; ``evaluations`` bounds the gradients computed over all of
    them, ``restarts`` how often a stuck run may begin again, None for as long as any are left. ``prior``
    takes the pictures of all lanes, lanes×N×C×H×W in [0, 1], and the share of the budget that is spent; it
    returns one number per lane. A start is over after ``patience`` evaluations without progress (None: when
    the budget is spent, for optimisers that follow a schedule). After ``stray`` evaluations without a new
    best the search goes back to its best point with a new optimizer; None: never. Once a loss is below
    ``enough`` the search is over.

    ``start``, N×C×H×W in [0, 1], is where every lane begins, None near mid-gray. After ``run``
    the pictures of the result lie in ``found``: in the same units, and not moved into the bounds.

    A point is the flat vector of the unknowns of all lanes: pictures and, where labels are unknown, logits.
    Pictures are in [0, 1] here, whatever the bounds, so that step sizes and priors mean the same everywhere.
    """

    model: nn.Module
    update: Update
    labels: Labels | None
    optimizer: Callable[[Tensor], Optimizer]
    evaluations: int
    restarts: int | None = 0
    lanes: int = 1
    stray: int | None = None
    patience: int | None = PATIENCE
    enough: float = 0.0
    objective: Objective = squared_error
    prior: Callable[[Tensor, float], Tensor] | None = None
    callback: Callback | None = None
    targets: Targets | None = None
    explained: Update | None = None
    start: Inputs | None = None
    best: Tensor = field(init=False)
    aims: Targets = field(init=False)
    spent: int = field(default=0, init=False)
    restart: int = field(default=0, init=False)
    first: float = field(default=math.inf, init=False)

    def run(self, generator: torch.Generator | None = None) -> Reconstruction:
        """The best guess of all starts. Without a ``generator`` seed 0 is used."""
        check_update(self.model, self.update)
        self.aims = self.targets or self._targets()
        best_loss, best, stop, generator = math.inf, None, "stuck", given(generator, "attack")
        for restart in count():
            self.restart = restart
            loss, lane, stopped = self.descend(self.draw(generator))
            if best is None or loss < best_loss:
                best_loss, best = loss, self.reconstruct(lane)
                self.best = lane
            stop = "stopped" if stopped else self.why(best_loss, best)
            if stop != "stuck" or not self.more:
                break
        assert best is not None
        return replace(best, evaluations=self.spent, restarts=self.restart + self.lanes - 1, stop=stop)

    @property
    def found(self) -> Inputs:
        """The pictures of the result, N×C×H×W."""
        return self.split(self.best, 1)[0][0].detach()

    @property
    def more(self) -> bool:
        """Whether another start is allowed after this one, if evaluations are left for it."""
        return self.restarts is None or self.restart < self.restarts

    def why(self, loss: float, found: Reconstruction) -> Stop:
        """Why nothing more is tried after a start that is over; "stuck" if another one may be."""
        if loss < self.enough:
            return "floor"
        if isinstance(self.aims, Soft):  # a blend of labels may fit where no label does
            loss = max(loss, found.loss)
        if loss <= STUCK * yardstick(self.level(found)):
            return "solved"
        return "budget" if self.evaluations - self.spent < self.lanes else "stuck"

    def _targets(self) -> Targets:
        if self.labels is not None:
            return Known(self.labels)
        check_head(self.model, self.update)
        return Soft(self.update.num_examples, num_classes(self.update))

    def draw(self, generator: torch.Generator) -> Tensor:
        """A start for every lane: pictures near mid-gray, and where its targets begin.

        DLG starts from N(0, 1). Near gray the sigmoids of the first layer are not saturated, and the same
        pictures need about a third of the evaluations.
        """
        parts, size = [], self.update.num_examples
        for _ in range(self.lanes):
            pixels = size * math.prod(self.update.input_shape)
            noise = 0.1 * torch.randn(pixels, generator=generator)
            parts.append(0.5 + noise if self.start is None else self.start.flatten().cpu())
            parts.append(self.aims.draw(generator))
        return torch.cat(parts).to(next(self.model.parameters())).requires_grad_()

    def split(self, point: Tensor, lanes: int) -> tuple[Tensor, Tensor]:
        """Each lane's pictures and targets."""
        size, shape = self.update.num_examples, self.update.input_shape
        unknowns, pixels = point.view(lanes, -1), size * math.prod(shape)
        pictures = unknowns[:, :pixels].reshape(lanes, size, *shape)
        return pictures, self.aims.given(unknowns[:, pixels:])

    def evaluate(self, point: Tensor) -> tuple[Tensor, bool]:
        """Each lane's loss at ``point``, its gradient left in ``point.grad``, and whether to stop."""
        pictures, targets = self.split(point, self.lanes)
        inputs = self.update.to_inputs(pictures)
        losses = self.distances(inputs, targets)
        if self.prior is not None:
            losses = losses + self.prior(pictures, self.spent / self.evaluations)
        self.spent += self.lanes
        (point.grad,) = torch.autograd.grad(losses.sum(), point)
        losses = losses.detach()
        if self.callback is None:
            return losses, False
        best = losses.argmin()
        guess = inputs[best].detach().clone()
        progress = Progress(self.spent, losses[best].item(), guess, self.restart, self.gray)
        return losses, bool(self.callback(progress))

    @cached_property
    def gray(self) -> float:
        """What mid-gray pictures score at the start of the search, with even labels where none are known."""
        gray, targets = mid_gray(self.model, self.update), self.aims.neutral()
        targets = targets.to(gray) if targets.is_floating_point() else targets
        loss = misfit(self.model, self.update, gray, targets, self.objective)
        if self.prior is not None:
            loss = loss + self.prior(torch.full_like(gray, 0.5)[None], 0.0)[0]
        return loss.item()

    def distances(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Each lane's distance between what the step makes of its guess and the update, shape (lanes,)."""
        model, update, objective = self.model, self.update, self.objective
        wide = sum(weight.numel() for weight in model.parameters()) > WIDE
        if len(inputs) == 1 or (wide and inputs.device.type == "cpu"):
            guesses = zip(inputs, targets, strict=True)
            return torch.stack([misfit(model, update, *guess, objective) for guess in guesses])
        candidates = update.step(model, inputs, targets, lanes=True)
        return torch.vmap(lambda candidate: compare(candidate, update, objective))(candidates)

    def reconstruct(self, lane: Tensor) -> Reconstruction:
        pictures, _ = self.split(lane, 1)
        labels = self.aims.labels(lane[pictures.numel() :])
        explained = self.explained or self.update
        return explain(self.model, explained, self.update.to_inputs(pictures[0]), labels)

    def level(self, found: Reconstruction) -> float:
        """What mid-gray scores, or the first guess where gray is the truth and scores nothing."""
        return found.baseline if found.baseline > max(self.enough, ROUNDING) else self.first

    def descend(self, point: Tensor) -> tuple[float, Tensor, bool]:
        """From one start, or several as lanes: the best loss, its lane, and whether the caller said stop.

        If more starts are allowed, one that is worse than mid-gray after PATIENCE evaluations is given up.
        """
        lanes, mover = self.lanes, self.optimizer(point)
        best_losses, best = point.new_full((lanes,), math.inf), point.detach().clone().view(lanes, -1)
        milestone, since, newest, stopped = math.inf, 0, 0, False
        for done in range(1, (self.evaluations - self.spent) // lanes + 1):
            losses, stopped = self.evaluate(point)
            if self.spent == lanes:
                self.first = losses.min().item()
            better = losses < best_losses
            if better.any():
                best_losses, newest = losses.minimum(best_losses), done
                best = torch.where(better[:, None], point.detach().view(lanes, -1), best)
            lowest, lane = best_losses.min(0)
            if lowest < 0.9 * milestone:
                milestone, since = lowest.item(), done
            over = lowest < self.enough or (self.patience and done - since >= self.patience)
            if stopped or over or not torch.isfinite(losses).any():
                break
            if self.more and done == PATIENCE and lowest > self.level(self.reconstruct(best[lane])):
                break
            if self.stray is not None and done - newest >= self.stray:
                point, newest = best.reshape(-1).clone().requires_grad_(), done
                mover = self.optimizer(point)
            else:
                mover.step()
        lowest, lane = best_losses.min(0)
        return lowest.item(), best[lane], stopped
