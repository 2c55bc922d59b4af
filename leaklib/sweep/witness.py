"""What binds a stored row to the code: the first numbers that the code computes, to be computed again.

A search is witnessed by the losses of its first evaluations, which take a moment where the row took minutes.
They depend on the data, the network, the client step, the mechanism, the aggregation, and on the attack's
start, objective, prior and first steps. They do not see what an attack does only later, such as giving up.

Chapters: 8, 9, 11, 12, 15.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from leaklib.experiment import Experiment, Result, run
from leaklib.types import Progress, Reconstruction

FIRST = 5  # evaluations
TOLERANCE = 1e-4  # relative: other machines round differently, and the steps of a search amplify that


class FirstLosses:
    """An attack's callback that keeps the first losses, and with ``stop`` ends it once they are there."""

    def __init__(self, *, stop: bool = False) -> None:
        self.losses, self.stop = list[float](), stop

    def __call__(self, progress: Progress) -> bool:
        if len(self.losses) < FIRST:
            self.losses.append(progress.loss)
        return self.stop and len(self.losses) == FIRST

    def witness(self, found: Reconstruction) -> tuple[float, ...]:
        """The losses of the first five evaluations behind ``found``, with seven digits each.

        A closed form has no losses: it is witnessed by its baseline, which depends on network and update, and
        by the mean of each of its first five examples.
        """
        closed = [found.baseline, *found.inputs[:FIRST].double().flatten(1).mean(1).tolist()]
        return tuple(float(f"{number:.7g}") for number in self.losses or closed)


def observe(experiment: Experiment, *, stop: bool = False) -> tuple[Result, tuple[float, ...], float]:
    """Run ``experiment`` on one thread: its result, its witness and the seconds of processor time it took.

    With ``stop`` the attack ends once the witness is complete.
    """
    first = FirstLosses(stop=stop)
    with one_thread():
        start = time.thread_time()  # others may be running in this process
        result = run(experiment, callback=first)
        seconds = time.thread_time() - start
    return result, first.witness(result.reconstruction), seconds


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, and afterwards on as many as before."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def witness(experiment: Experiment) -> tuple[float, ...]:
    """The witness of ``experiment``, without the rest of its attack."""
    return observe(experiment, stop=True)[1]


def available(experiment: Experiment) -> bool:
    """Whether the files of its data, such as CIFAR-10's, are on this machine: else it has no witness here."""
    try:
        experiment.data.batch(experiment.first_client, experiment.batch_size)
    except OSError:
        return False
    return True


def agree(stored: Sequence[float], again: Sequence[float]) -> bool:
    """Whether ``again`` begins with the numbers of ``stored``, each within TOLERANCE.

    No number is no witness. The book's rows store fewer than five where rounding alone changes later ones.
    """
    return 0 < len(stored) <= len(again) and all(
        math.isclose(a, b, rel_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))
        for a, b in zip(stored, again, strict=False)
    )
