"""Clipping, then Gaussian noise: the two halves of differential privacy, and only together.

    clip(g) = g · min(1, C / ‖g‖)        noisy(g) = g + N(0, (z Δ)² I)

C is ``max_norm``, z the noise multiplier, Δ the sensitivity: the L2 distance by which what is sent moves if
one unit contributes zeros instead. For a whole update clipped to C the unit is the client and Δ = C. For
``FedSGD`` with ``max_grad_norm`` C and n examples the unit is one example and Δ = C/n, with n as the public
divisor; all of a client's n examples together move it by up to C = nΔ.

What that buys in (ε, δ), against whoever reads the update, the server included, is in accounting.py. The
adjacency is zero out. Whether a client was there is not hidden: a reader of updates sees who sent one, a
reader of their sum how much noise it has. For one example, n being public, it is add or remove one as well.

The noise is a float32 draw from a generator with a known seed. A deployment draws it from the operating
system's randomness, and on a grid: the gaps between floating-point numbers can give the value away (Mironov,
"On Significance of the Least Significant Bits for Differential Privacy", CCS 2012).

Source: Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar, Zhang, "Deep Learning with Differential Privacy",
CCS 2016, Algorithm 1. Differs: the client adds the noise itself, so that the server need not be trusted; the
server that adds it to the mean is in aggregation/central.py.
Chapter: 10.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from leaklib.client import FedSGD, check_finite, clip
from leaklib.fields import FinitePositive
from leaklib.mechanisms.parts.base import MechanismBase, draws, noise_scale, send
from leaklib.named import flatten
from leaklib.rng import add_noise
from leaklib.types import Objective, Tensors, Update


@dataclass(frozen=True)
class ClipNorm(MechanismBase):
    """Scale the whole update down to an L2 norm of at most ``max_norm``. The unit is then the client.

    ValueError for an update with NaN or infinite entries, or of a float type coarser than float32.
    """

    max_norm: FinitePositive = 1.0

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        check_finite(update.tensors, update.client)
        return send(update, clip(update.tensors, self.max_norm), self, sensitivity=float(self.max_norm))

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        """The objective after clipping the candidate, too: how long the update was is not compared."""
        return objective(clip(candidate, self.max_norm), observed)


@dataclass(frozen=True)
class GaussianNoise(MechanismBase):
    """Add noise of standard deviation ``noise_multiplier`` times the update's sensitivity to every entry.

    ValueError for an update without sensitivity, which noise would not protect, for one with NaN or infinite
    entries, and for one that carries BatchNorm statistics, which would travel without noise. Labels that a
    client reveals are not protected.
    """

    noise_multiplier: FinitePositive = 1.0

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        std = self.noise_multiplier * noise_scale(update, self)
        return send(update, add_noise(update.tensors, std, generator=draws(update, generator)), self)

    def noise_floor(self, update: Update) -> float:
        """The noise of all entries, squared, in units of what was sent.

        ``update`` has the sensitivity from before the noise, or a step that clips, as this one was told it.
        """
        sensitivity, step = update.sensitivity, update.step
        if sensitivity is None and isinstance(step, FedSGD) and step.max_grad_norm is not None:
            sensitivity = step.max_grad_norm / update.num_examples
        if sensitivity is None:
            return 0.0
        sent = flatten(update.tensors).double()
        return len(sent) * (self.noise_multiplier * sensitivity) ** 2 / sent.square().sum().item()
