"""Central differential privacy: a trusted server adds noise to the mean of clipped updates.

    published = (1/n) Σ_k g_k + N(0, (z Δ/n)² I)

Δ bounds how far one client's g_k moves if one unit contributes zeros instead. The view is what a reader of
the published mean has, which is also all that a reader of the next model has. Against them the noise buys
the (ε, δ) of accounting.py, adjacency zero out. The server itself sees every update: it must be trusted, or
be replaced by a protocol that gives it the sum alone.

n counts who took part, so a client that stays away changes the divisor: with n as it is here, whether a
client was there is not hidden. Divide by a constant instead, the number expected, as training.py does, and
the noise on the sum is z Δ whoever comes: then zero out and add or remove one are the same.

Source: McMahan, Ramage, Talwar, Zhang, "Learning Differentially Private Recurrent Language Models", ICLR
2018, Algorithm 1, with a client as the unit.
Chapter: 10.
"""

from dataclasses import dataclass, replace

import torch

from leaklib.aggregation.parts.pooled import bytes_sent, check_alike, mean, pooled
from leaklib.client import check_finite
from leaklib.fields import Checked, FinitePositive
from leaklib.rng import add_noise, given
from leaklib.types import Cost, Update, View


@dataclass(frozen=True)
class CentralDP(Checked):
    """The mean of the updates with noise of ``noise_multiplier`` times its sensitivity, and nothing else.

    ValueError if some update has no sensitivity, or NaN or infinite entries: no noise is then enough.
    """

    noise_multiplier: FinitePositive = 1.0

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View:
        check_alike(updates)  # a mean needs at least one
        for update in updates:
            check_finite(update.tensors, update.client)
        exact = pooled(updates, mean(updates))
        if exact.sensitivity is None:
            clip = "clip with ClipNorm(...) or FedSGD(max_grad_norm=...), and change nothing afterwards"
            raise ValueError(f"CentralDP needs updates of bounded sensitivity, got one without: {clip}")
        std, source = self.noise_multiplier * exact.sensitivity, given(generator, "aggregation")
        noisy = add_noise(exact.tensors, std, generator=source)
        published = replace(exact, tensors=noisy, sensitivity=None)
        return View((published,), cost=Cost(1, len(updates), bytes_sent(updates), 0))
