"""The best that an attack makes of a masked update is what it makes of noise.

Stated test: for each of 24 victims the attack runs on the masked update, and on one whose words are drawn
uniformly. The PSNR against the victim's picture are two samples of 24; Kolmogorov and Smirnov's test must not
tell them apart at 5 %. With the plain update in place of the masked one it must, at one in ten thousand.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn

from leaklib.aggregation.crypto.fixed_point import decode
from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.client import FedSGD, share
from leaklib.metrics import psnr
from leaklib.models.parts.build import seeded
from leaklib.named import unflatten
from leaklib.rng import generator
from leaklib.types import Attack, Batch, Update

SEEDS = 24


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Sigmoid(), nn.Linear(16, 10))


def picture(client: int, seed: int) -> Batch:
    g = generator(seed, f"picture {client}")
    return Batch(torch.rand(1, 1, 8, 8, generator=g), torch.randint(10, (1,), generator=g))


def uniform(update: Update, seed: int) -> Update:
    entries = sum(tensor.numel() for tensor in update.tensors.values())
    words = np.random.default_rng(seed).integers(0, 2**32, entries, dtype=np.uint32)
    return replace(update, tensors=unflatten(decode(words, 20), update.tensors))


@cache
def victims() -> list[tuple[nn.Module, Batch, dict[str, Update]]]:
    found = []
    for seed in range(SEEDS):
        model = seeded(seed, mlp)
        batches = [picture(client, seed) for client in range(3)]
        sent = tuple(
            share(model, batch, FedSGD(), client=c, reveal_labels=True) for c, batch in enumerate(batches)
        )
        masked = SecAgg()(sent, generator=generator(seed, "aggregation")).sealed[0]
        seen = {"plain": sent[0], "masked": masked, "noise": uniform(sent[0], seed)}
        found.append((model, batches[0], seen))
    return found


@pytest.mark.parametrize(
    "attack", [LinearLayer(), InvertingGradients(steps=12)], ids=lambda a: type(a).__name__
)
def test_an_attack_on_a_masked_update_is_an_attack_on_noise(attack: Attack) -> None:
    reached: dict[str, list[float]] = {"plain": [], "masked": [], "noise": []}
    for seed, (model, batch, seen) in enumerate(victims()):
        for what, update in seen.items():
            found = attack(model, update, generator=generator(seed, f"attack on {what}"))
            reached[what].append(psnr(found.inputs, batch.inputs).item())
    assert ks_2samp(reached["masked"], reached["noise"]).pvalue > 0.05
    assert ks_2samp(reached["plain"], reached["noise"]).pvalue < 1e-4
