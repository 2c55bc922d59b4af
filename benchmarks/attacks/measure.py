"""What the runners of both tools share, so that they measure alike: victims as files, and the instruments.

Imports torch, scipy and numpy only: it also runs in the other tool's environment, which has no leaklib.
"""

import json
import math
import resource
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

GOOD = 30.0  # dB, PSNR with peak 1: the line above which an attack has succeeded
REPEATS, STEPS = 7, 30  # the time of a training step is the median of so many rounds of so many steps


@dataclass(frozen=True)
class Victim:
    """Pictures, N×3×32×32 in [0, 1], their labels, and what their client shared of which network.

    ``mean`` and ``std`` per channel are those with which pictures are normalised, by the network itself where
    ``normalizes`` is set, and otherwise not at all.
    """

    network: str
    pictures: Tensor
    labels: Tensor
    weights: dict[str, Tensor]
    gradient: dict[str, Tensor]
    mean: Tensor
    std: Tensor
    normalizes: bool

    def save(self, path: Path) -> None:
        arrays = {name: getattr(self, name).numpy() for name in ("pictures", "labels", "mean", "std")}
        for group in ("weights", "gradient"):
            arrays |= {f"{group}/{name}": t.numpy() for name, t in getattr(self, group).items()}
        np.savez(path, network=np.array(self.network), normalizes=np.array(self.normalizes), **arrays)

    @staticmethod
    def load(path: Path) -> "Victim":
        with np.load(path, allow_pickle=False) as arrays:
            network = str(arrays["network"])
            tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files if name != "network"}

        def group(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}

        return Victim(
            network,
            tensors["pictures"],
            tensors["labels"],
            group("weights/"),
            group("gradient/"),
            tensors["mean"],
            tensors["std"],
            bool(tensors["normalizes"]),
        )


def psnr(inputs: Tensor, pictures: Tensor) -> list[float]:
    """Of each picture in dB, peak 1.0, with ``inputs`` clamped to [0, 1] and paired as they fit best."""
    guesses, truths = inputs.detach().clamp(0, 1).double().flatten(1), pictures.double().flatten(1)
    errors = (truths[:, None] - guesses).square().mean(2)
    rows, columns = linear_sum_assignment(errors.numpy())
    return [-10 * math.log10(e) if e > 0 else math.inf for e in errors[rows, columns].tolist()]


class Watch:
    """Looks at every guess, as no attacker could: counts them and notes when half of it first reached 30 dB.

    The time spent on looking is kept apart. It never stops a run: all have the same budget.
    """

    def __init__(self, pictures: Tensor) -> None:
        self.pictures, self.seconds = pictures, 0.0
        self.evaluations, self.reached = 0, None

    def look(self, inputs: Tensor) -> None:
        start = time.process_time()
        self.evaluations += 1
        if self.reached is None and statistics.median(psnr(inputs, self.pictures)) > GOOD:
            self.reached = self.evaluations
        self.seconds += time.process_time() - start


def training_step(model: nn.Module, inputs: Tensor, labels: Tensor, steps: int = STEPS) -> float:
    """CPU seconds of one forward and backward pass and one SGD update of ``model`` on this batch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def once() -> None:
        optimizer.zero_grad()
        cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    rounds = []
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(steps):
            once()
        rounds.append((time.process_time() - start) / steps)
    for weight in model.parameters():
        weight.grad = None
    return statistics.median(rounds)


class Meter:
    """CPU time and memory of what runs between ``start`` and ``finish``, next to those of training steps."""

    def __init__(self, model: nn.Module, inputs: Tensor, labels: Tensor, watch: Watch) -> None:
        # A large batch tells its time in fewer steps.
        self.example, self.watch = (model, inputs, labels, max(3, STEPS // len(labels))), watch
        self.before = training_step(*self.example)
        self.memory = peak_memory()
        self.started = time.process_time()

    def finish(self, inputs: Tensor) -> dict[str, Any]:
        """The result as it is written down. ``inputs`` is what the attack returned, in [0, 1]."""
        seconds = time.process_time() - self.started - self.watch.seconds
        memory = peak_memory() - self.memory
        decibels = psnr(inputs, self.watch.pictures)
        return {
            "decibel": statistics.median(decibels),
            "decibels": decibels,
            "evaluations": self.watch.evaluations,
            "reached": self.watch.reached,
            "seconds": seconds,
            # Before and after, since other work on the machine slows both down.
            "training_step": (self.before + training_step(*self.example)) / 2,
            "memory": memory,
            "torch": torch.__version__,
        }


def peak_memory() -> float:
    """The most memory that this process has held so far, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result))
