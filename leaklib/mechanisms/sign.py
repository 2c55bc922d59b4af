"""One bit per entry: its sign.

    sent_i = +1 if g_i ≥ 0, else −1

How long the update was, and which of its entries were large, is lost. What is left is compared through a
smooth sign, tanh(κ g / median |g|), so that an optimiser feels which entries are about to flip.

Source: Bernstein, Wang, Azizzadenesheli, Anandkumar, "signSGD: Compressed Optimisation for Non-Convex
Problems", ICML 2018. Differs: zero counts as positive, since one bit has no third value.
Chapter: 9.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from leaklib.mechanisms.parts.base import MechanismBase, Payload, send
from leaklib.named import flatten
from leaklib.types import Objective, Tensors, Update

SHARPNESS = 20.0  # κ: an entry of a tenth of the median counts as decided; with 100 few are left that lead on


@dataclass(frozen=True)
class SignSGD(MechanismBase):
    """Send the signs alone, zero as +1."""

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        signs = {n: torch.where(t < 0, -1.0, 1.0).to(t.dtype) for n, t in update.tensors.items()}
        return send(update, signs, self)

    def encode(self, payload: Payload) -> Payload:
        """One bit for every entry, even those that were left out before: they have a sign, too."""
        return replace(payload, values=payload.entries, bits_each=1, side=0)

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        """The objective between smooth signs of the candidate and the signs that were sent."""
        sizes = flatten(candidate).detach().abs()
        # Where the median is 0, the sharpness stays finite: the sign of 0 is 0.
        sharpness = SHARPNESS / sizes.median().clamp_min(SHARPNESS * torch.finfo(sizes.dtype).tiny)
        return objective({name: (t * sharpness).tanh() for name, t in candidate.items()}, observed)
