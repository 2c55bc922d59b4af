"""Deep Leakage from Gradients, and iDLG: match the gradient, and the picture comes along.

    x̂, ŷ = argmin ‖∇ℓ(w; x, softmax(y)) − g‖² / ‖g‖²

DLG optimises picture and label together; iDLG reads the label off the gradient first (see parts/labels.py),
which leaves fewer unknowns and fewer bad basins.

Source: Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019; Zhao, Mopuri, Bilen, "iDLG", arXiv
2001.02610. Differs from the released code: the loss is relative to the gradient's own scale, the start is
near mid-grey instead of N(0, 1), a stuck run is begun again (see search/matching.py), L-BFGS has no absolute
stopping thresholds (see search/lbfgs.py), and a prior can be added, which is off by default.
Chapter: 4, 7, 8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from leaklib.attacks.parts.checks import check_update
from leaklib.attacks.parts.labels import infer_label, num_classes
from leaklib.attacks.search.lbfgs import LBFGS
from leaklib.attacks.search.matching import compare, match, mid_grey
from leaklib.attacks.search.objectives import squared_error, total_variation
from leaklib.types import Callback, Labels, Reconstruction, Update

INNER = 20  # evaluations in one outer step of L-BFGS, as PyTorch and the paper count them
# Without a line search L-BFGS can wander off; a fresh memory at the best point sets it right. Adam wanders
# too, but its first steps from anywhere are full ones: going back would throw away what it has.
STRAY = 40


@dataclass(frozen=True)
class DLG:
    """Deep Leakage from Gradients.

    ``steps`` counts as the paper does: outer steps of 20 evaluations for "lbfgs", single evaluations for
    "adam". ``lr`` None is 1 for L-BFGS and 0.1 for Adam. With ``known_labels`` the update's revealed labels
    are used, otherwise they are optimised along. ``restarts`` is how often a stuck run may begin again within
    the same steps. ``history`` is how many pairs L-BFGS remembers: several hundred save evaluations on
    networks as badly conditioned as LeNet, together with a model and an update in float64.
    ``total_variation`` weighs a prior on smooth pictures, in units of what mid-grey ones score: 0 as
    published, 0.001 to 0.01 for updates that compression left too coarse to determine the picture.
    """

    steps: int = 300
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    known_labels: bool = False
    restarts: int = 3
    lr: float | None = None
    history: int = 100
    total_variation: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator,
        callback: Callback | None = None,
    ) -> Reconstruction:
        if self.known_labels and update.labels is None:
            raise ValueError(
                "known_labels is set but the update reveals none: share(..., reveal_labels=True) or use IDLG"
            )
        return _attack(self, model, update, update.labels if self.known_labels else None, generator, callback)


@dataclass(frozen=True)
class IDLG:
    """Improved DLG: the label by closed form, then the picture by matching. One example per update."""

    steps: int = 300
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    restarts: int = 3
    lr: float | None = None
    history: int = 100
    total_variation: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator,
        callback: Callback | None = None,
    ) -> Reconstruction:
        check_update(model, update)
        return _attack(self, model, update, infer_label(update), generator, callback)


def _check(attack: DLG | IDLG) -> None:
    if attack.steps < 1:
        raise ValueError(f"steps must be at least 1, got {attack.steps}")
    if attack.optimizer not in ("lbfgs", "adam"):
        raise ValueError(f"optimizer must be 'lbfgs' or 'adam', got {attack.optimizer!r}")
    if attack.restarts < 0:
        raise ValueError(f"restarts must be at least 0, got {attack.restarts}")
    if attack.history < 2:
        raise ValueError(f"history must be at least 2, got {attack.history}")
    if not attack.total_variation >= 0:
        raise ValueError(f"total_variation must be at least 0, got {attack.total_variation}")
    if attack.lr is not None and not attack.lr > 0:
        raise ValueError(f"lr must be above 0 or None, got {attack.lr}")


def _prior(
    weight: float, model: nn.Module, update: Update, labels: Labels | None
) -> Callable[[Tensor, float], Tensor] | None:
    """Total variation times ``weight`` times the distance of mid-grey pictures; None for no weight."""
    if weight == 0:
        return None
    check_update(model, update)
    grey = mid_grey(model, update)
    if labels is None:
        classes = num_classes(update)
        targets = grey.new_full((update.num_examples, classes), 1 / classes)
    else:
        targets = labels.to(grey.device)
    unit = weight * compare(update.step(model, grey, targets), update, squared_error)
    return lambda images, spent: unit * total_variation(images)


def _attack(
    attack: DLG | IDLG,
    model: nn.Module,
    update: Update,
    labels: Labels | None,
    generator: torch.Generator,
    callback: Callback | None,
) -> Reconstruction:
    lbfgs = attack.optimizer == "lbfgs"

    def optimizer(point: Tensor) -> Optimizer:
        if not lbfgs:
            return Adam([point], lr=attack.lr or 0.1)
        return LBFGS(point, lr=attack.lr or 1.0, history=attack.history)

    return match(
        model,
        update,
        generator=generator,
        optimizer=optimizer,
        evaluations=attack.steps * (INNER if lbfgs else 1),
        labels=labels,
        restarts=attack.restarts,
        stray=STRAY if lbfgs else None,
        prior=_prior(attack.total_variation, model, update, labels),
        callback=callback,
    )
