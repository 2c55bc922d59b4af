"""Deep Leakage from Gradients, and iDLG: match the gradient, and the picture comes along.

    x̂, ŷ = argmin ‖∇ℓ(w; x, softmax(y)) − g‖² / ‖g‖²

DLG optimises picture and label together; iDLG reads the label off the gradient first (see parts/labels.py),
which leaves fewer unknowns and fewer bad basins.

Source: Zhu, Liu, Han, "Deep Leakage from Gradients", NeurIPS 2019; Zhao, Mopuri, Bilen, "iDLG", arXiv
2001.02610. Differs from the released code: the loss is relative to the gradient's own scale, the start is
near mid-gray instead of N(0, 1), a stuck run is begun again (see search/matching.py), L-BFGS has no absolute
stopping thresholds (see search/optimizers.py), and a prior can be added, which is off by default.
Chapters: 3, 8, 9.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam

from leaklib.attacks.parts.base import AttackBase
from leaklib.attacks.parts.labels import check_head, infer_label, num_classes
from leaklib.attacks.search.matching import Search, fitted, mid_gray, misfit, yardstick
from leaklib.attacks.search.objectives import squared_error, total_variation
from leaklib.attacks.search.optimizers import LBFGS, Optimizer
from leaklib.fields import Count, Natural, NonNegative, Positive, Several
from leaklib.mechanisms.parts.base import MechanismBase
from leaklib.types import Callback, Labels, Reconstruction, Update

INNER = 20  # evaluations in one outer step of L-BFGS, as PyTorch and the paper count them
# Without a line search L-BFGS can wander off; a fresh memory at the best point sets it right. Adam wanders
# too, but its first steps from anywhere are full ones: going back would throw away what it has.
STRAY = 40


@dataclass(frozen=True)
class _Matching(AttackBase):
    """What DLG and iDLG share: all but where the labels come from."""

    steps: Count = 300
    optimizer: Literal["lbfgs", "adam"] = "lbfgs"
    restarts: Natural | None = 3
    lr: Positive | None = None
    history: Several = 100
    total_variation: NonNegative = 0.0
    stop_at_noise: bool = False

    def search(
        self, model: nn.Module, update: Update, labels: Labels | None, callback: Callback | None
    ) -> Search:
        """For the pictures, and for the labels as well where they are None."""
        lbfgs = self.optimizer == "lbfgs"
        weight = self.total_variation
        unit = weight * yardstick(_gray_distance(model, update, labels)) if weight else None

        def optimizer(point: Tensor) -> Optimizer:
            if not lbfgs:
                return Adam([point], lr=self.lr or 0.1)
            return LBFGS(point, lr=self.lr or 1.0, history=self.history)

        return Search(
            model,
            update,
            labels,
            optimizer,
            evaluations=self.steps * (INNER if lbfgs else 1),
            restarts=self.restarts,
            stray=STRAY if lbfgs else None,
            enough=self._enough(model, update, labels),
            prior=None if unit is None else lambda images, spent: unit * total_variation(images),
            callback=callback,
        )

    def _enough(self, model: nn.Module, update: Update, labels: Labels | None) -> float:
        """The loss at which the search is over; 0 if nothing but patience ends it."""
        if not self.stop_at_noise or not isinstance(update.mechanism, MechanismBase):
            return 0.0
        unknowns = update.num_examples * math.prod(update.input_shape)
        equations = sum(tensor.numel() for tensor in update.tensors.values())
        gray = _gray_distance(model, update, labels)
        return fitted(update.mechanism.noise_floor(update), gray, unknowns, equations)


def _gray_distance(model: nn.Module, update: Update, labels: Labels | None) -> float:
    """What mid-gray pictures score, with even labels where none are known."""
    gray, targets = mid_gray(model, update), labels
    if targets is None:
        classes = num_classes(update)
        targets = gray.new_full((update.num_examples, classes), 1 / classes)
    return misfit(model, update, gray, targets, squared_error).item()


@dataclass(frozen=True)
class DLG(_Matching):
    """Deep Leakage from Gradients.

    ``steps`` counts as the paper does: outer steps of 20 evaluations for "lbfgs", single evaluations for
    "adam". ``lr`` None is 1 for L-BFGS and 0.1 for Adam. With ``known_labels`` the update's revealed labels
    are used, otherwise they are optimised along. ``restarts`` is how often a stuck run may begin again within
    the same steps; None goes on until it is solved or they are spent, which an update that nothing explains
    makes costly: 3 is plenty there. ``history`` is how many pairs L-BFGS remembers: several hundred save
    evaluations on networks as badly conditioned as LeNet, together with a model and an update in float64.
    ``total_variation`` weighs a prior on smooth pictures, in units of what mid-gray ones score: 0 as
    published, 0.001 to 0.01 for updates that compression left too coarse to determine the picture. With
    ``stop_at_noise`` the search is over where it has begun to explain the noise or the rounding of an update,
    whose size is public (``MechanismBase.noise_floor``): it is not begun again, and ends nearer to the truth.
    """

    restarts: Natural | None = None
    known_labels: bool = False

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        if self.known_labels and update.labels is None:
            raise ValueError(
                "known_labels is set but the update reveals none: share(..., reveal_labels=True) or use IDLG"
            )
        labels = update.labels if self.known_labels else None
        return self.search(model, update, labels, callback).run(generator)


@dataclass(frozen=True)
class IDLG(_Matching):
    """Improved DLG: the label by closed form, then the picture by matching. One example per update.

    Fields as for ``DLG``, but it begins again 3 times at most: with the label known, four starts that fail
    say more of the update than of their luck.
    """

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        check_head(model, update)
        return self.search(model, update, infer_label(update), callback).run(generator)
