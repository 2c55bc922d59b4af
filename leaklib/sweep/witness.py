"""What binds a stored row to the code: the first numbers that the code computes, to be computed again.

A search is witnessed by the losses of its first evaluations, which take a moment where the row took minutes.
They depend on the data, the network, the client step, the mechanism, the aggregation, the attack's start,
objective, prior and first steps. They do not see what an attack does only later, such as when it gives up.

Chapters: 7, 8, 10, 12.
"""

import math
import time
from collections.abc import Sequence

import torch

from leaklib.experiment import Experiment, Result, run
from leaklib.types import Progress

FIRST = 5  # evaluations
TOLERANCE = 1e-3  # relative: other machines round differently, and the steps of a search amplify that


def observe(experiment: Experiment, *, stop: bool = False) -> tuple[Result, tuple[float, ...], float]:
    """Run ``experiment`` on one thread: its result, its witness and the seconds of processor time it took.

    The witness are the losses of the first five evaluations. A closed form has none, and is witnessed by the
    mean of each of the first five examples that it reconstructs. With ``stop`` the attack ends once the
    witness is complete.
    """
    losses: list[float] = []

    def look(progress: Progress) -> bool:
        if len(losses) < FIRST:
            losses.append(progress.loss)
        return stop and len(losses) == FIRST

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.thread_time()  # others may be running in this process
        result = run(experiment, callback=look)
        seconds = time.thread_time() - start
    finally:
        torch.set_num_threads(threads)
    numbers = losses or result.reconstruction.inputs[:FIRST].double().flatten(1).mean(1).tolist()
    return result, tuple(float(f"{number:.7g}") for number in numbers), seconds


def witness(experiment: Experiment) -> tuple[float, ...]:
    """The witness of ``experiment`` without the rest of its attack."""
    return observe(experiment, stop=True)[1]


def agree(stored: Sequence[float], again: Sequence[float]) -> bool:
    """Whether two witnesses are of the same computation: as many numbers, each within TOLERANCE."""
    return len(stored) == len(again) and all(
        math.isclose(a, b, rel_tol=TOLERANCE) or a != a and b != b for a, b in zip(stored, again, strict=True)
    )
