"""Uniform quantisation: every entry becomes one of a few evenly spaced levels.

With m = max |g| of a tensor and 2s steps between the levels, Δ = m / s,

    Q(g) = Δ · round(g / Δ),   s = 2^(bits−1) − 1;   one bit has the two levels −m and m.

Rounding to the nearest level is off by at most Δ/2. Stochastic rounding goes up with the probability that
makes it right on average, E Q(g) = g, and has a variance of at most Δ²/4.

Source: Alistarh, Grubic, Li, Tomioka, Vojnovic, "QSGD: Communication-Efficient SGD via Gradient Quantization
and Encoding", NeurIPS 2017, for stochastic rounding. Differs: the scale is the largest entry of each tensor
instead of the norm, as in 8-bit integers, and every code word has the same length.
Chapter: 9.
"""

from dataclasses import dataclass, replace
from math import log
from typing import Annotated

import torch
from torch import Tensor

from leaklib.fields import within
from leaklib.mechanisms.parts.base import SCALE, MechanismBase, Payload, draws, send
from leaklib.mechanisms.sign import SignSGD
from leaklib.named import flatten
from leaklib.types import Objective, Tensors, Update

COARSE = 4  # bits up to which an attacker compares intervals


@dataclass(frozen=True)
class Quantize(MechanismBase):
    """``bits`` per entry, 1 to 16, and one scale per tensor. ``stochastic`` rounds at random, unbiased."""

    bits: Annotated[int, within(1, 16)] = 8
    stochastic: bool = False

    @property
    def gaps(self) -> int:
        """How many steps lie between the lowest and the highest level: even, so that 0 is a level, or 1."""
        return max(2**self.bits - 2, 1)

    def __call__(self, update: Update, *, generator: torch.Generator | None = None) -> Update:
        generator = draws(update, generator)
        return send(update, {n: self._round(t, generator) for n, t in update.tensors.items()}, self)

    def _round(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        # In float64, where a level is found again exactly, however many there are.
        values = tensor.detach().double()
        largest = values.abs().max()
        position = (values / largest.clamp_min(torch.finfo(values.dtype).tiny) + 1) * (self.gaps / 2)
        # Drawn on the CPU, so that every device rounds alike; 1/2 is what rounds to the nearest.
        draw = torch.rand(tensor.shape, generator=generator, dtype=values.dtype) if self.stochastic else 0.5
        level = (position + torch.as_tensor(draw, device=values.device)).floor().clamp(0, self.gaps)
        return ((level * (2 / self.gaps) - 1) * largest).to(tensor.dtype)

    def encode(self, payload: Payload) -> Payload:
        """``bits`` for each value, and 32 for the scale of each tensor."""
        # One bit has no room for zero: entries that were left out before become values again.
        values, side = (payload.entries, 0) if self.bits == 1 else (payload.values, payload.side)
        return replace(payload, values=values, bits_each=self.bits, side=side + SCALE * payload.tensors)

    def distance(self, candidate: Tensors, observed: Tensors, objective: Objective) -> Tensor:
        """The objective in units of each tensor's step: all entries are then equally uncertain.

        Up to 4 bits, rounded to the nearest, most entries are far smaller than a step, and how far they are
        from their level says little: only what leaves the interval that rounds to the observed level counts.
        One bit is compared as signs are.
        """
        if self.bits == 1 and not self.stochastic:
            signs = {name: observed[name].sign() for name in candidate}
            return SignSGD().distance(candidate, signs, objective)
        steps = self._steps({name: observed[name] for name in candidate})
        levels = {name: observed[name] / steps[name] for name in candidate}
        guesses = {name: tensor / steps[name] for name, tensor in candidate.items()}
        if self.bits <= COARSE and not self.stochastic:
            guesses = {n: guess - (guess - levels[n]).clamp(-0.5, 0.5) for n, guess in guesses.items()}
        return objective(guesses, levels)

    def noise_floor(self, update: Update) -> float:
        """A twelfth of a squared step for each entry, which is off by anything up to half a step.

        Entries at level 0 can be far smaller than that. How many lie within t of zero is taken to grow as a
        power of t, and how many are at levels -1, 0 and 1 says which. 0 where signs or intervals are compared
        or rounding is random.
        """
        if self.bits <= COARSE or self.stochastic:
            return 0.0
        steps = self._steps(update.tensors)
        levels = flatten(
            {name: t.double() / steps[name].double() for name, t in update.tensors.items()}
        ).abs()
        zeros, small = (levels < 0.5).sum().item(), (levels < 1.5).sum().item()
        power = log(small / zeros, 3) if zeros else 1.0
        lost = (len(levels) - zeros) / 12 + zeros / 4 * power / (power + 2)
        return lost / levels.square().sum().item()

    def _steps(self, observed: Tensors) -> Tensors:
        """How far each tensor's levels lie apart."""
        steps = {name: 2 * tensor.abs().max() / self.gaps for name, tensor in observed.items()}
        # A tensor that was zero everywhere has no step: it is zero in the candidate, or says nothing.
        return {name: torch.where(step > 0, step, torch.ones_like(step)) for name, step in steps.items()}
