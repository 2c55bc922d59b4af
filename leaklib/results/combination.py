"""Clipping, rounding, noise and a finite ring, one after the other: what each does to the mean.

    decoded − mean g  =  (mean c − mean g)  +  (mean r − mean c)  +  (mean s − mean r)  +  (decoded − mean s)
                         clipping              rounding              noise                 wrap-around

g are the clients' gradients, c the clipped ones, r these on the grid, s with noise. A ring of 2^b numbers
holds the sum of the s, in steps of the grid, if it lies in −2^(b−1) .. 2^(b−1) − 1; else it comes out a
multiple of 2^b elsewhere.

Source: the chain is that of Kairouz, Liu, Steinke, ICML 2021, without their rotation, and with plain
random rounding.
Chapters: 12, 15.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from leaklib.aggregation.crypto.fixed_point import flat, unwrap, wrap
from leaklib.mechanisms.discrete import Skellam
from leaklib.rng import generator
from leaklib.types import Update

MISS = 0.01  # the chance that a predicted ring is too small for the noise


@dataclass(frozen=True)
class Budget:
    """The four errors and their sum's, each as a mean square over entries, in units of the true mean's.

    ``wrapped`` is the fraction of entries that came out elsewhere, ``decoded`` what the server reads.
    """

    clipping: float
    rounding: float
    noise: float
    wrapping: float
    total: float
    wrapped: float
    decoded: Float[Tensor, "entries"]


@dataclass(frozen=True)
class Round:
    """One round without a ring: the means after each step, and the noisy sum in steps of the grid.

    ``largest`` is the largest step that any client sends, ``signal`` the largest of the clipped sum, and
    ``noise`` the standard deviation of the sum's noise, all in steps.
    """

    means: tuple[Float[Tensor, "entries"], ...]
    total: Int64[Tensor, "entries"]
    fraction_bits: int
    clients: int
    largest: float
    signal: float
    noise: float

    def budget(self, bits: int) -> Budget:
        """What comes out of a ring of 2^``bits`` numbers, 8 to 32 bits."""
        read = torch.from_numpy(unwrap(wrap(self.total.numpy(), bits), bits))
        decoded = read.double() / 2.0**self.fraction_bits / self.clients
        stages, unit = (*self.means, decoded), self.means[0].square().mean()
        steps = *pairwise(stages), (self.means[0], decoded)
        errors = [((after - before).square().mean() / unit).item() for before, after in steps]
        wrapped = (read != self.total).double().mean().item()
        return Budget(*errors, wrapped=wrapped, decoded=decoded)

    def enough(self) -> int:
        """The fewest bits, measured: nothing wraps."""
        top = max(int(self.total.max()) + 1, -int(self.total.min()))
        return math.ceil(math.log2(max(top, 1))) + 1

    def sure(self) -> int:
        """The fewest bits that each client's own numbers promise: 2^bits > 2 n max|s|."""
        return math.ceil(math.log2(2 * self.clients * self.largest + 1))

    def likely(self) -> int:
        """The fewest bits that sum and noise need but in 1 of 100 rounds, its tail taken as normal."""
        tail = self.noise * math.sqrt(2 * math.log(2 * len(self.total) / MISS))
        return math.ceil(math.log2(2 * (self.signal + tail) + 1))


def play(exact: Sequence[Update], clipped: Sequence[Update], mechanism: Skellam, *, seed: int) -> Round:
    """The clients' updates, ``exact`` and ``clipped``, through ``mechanism``, which is shared among them.

    ValueError unless it is.
    """
    if mechanism.clients != len(clipped):
        raise ValueError(f"clients must be {len(clipped)}, as there are updates, got {mechanism.clients}")
    silent, scale = replace(mechanism, noise_multiplier=0), 2.0**mechanism.fraction_bits
    # The same generator twice: rounding comes first, so both are rounded alike.
    rounded, noisy = (
        [flat(m(u, generator=generator(seed, f"client {u.client}")).tensors) for u in clipped]
        for m in (silent, mechanism)
    )
    stages = [flat(u.tensors) for u in exact], [flat(u.tensors) for u in clipped], rounded, noisy
    sums = [torch.stack(stage).sum(0) for stage in stages]
    sensitivity = max(u.sensitivity or 0.0 for u in clipped)
    return Round(
        tuple(total / len(clipped) for total in sums),
        (sums[3] * scale).round().long(),
        mechanism.fraction_bits,
        len(clipped),
        max(one.abs().max().item() for one in noisy) * scale,
        sums[2].abs().max().item() * scale,
        mechanism.noise_multiplier * mechanism.rounded(sensitivity, len(sums[0])) * scale,
    )
