"""Many students in two processes, with progress: results come back as they are done."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import joblib

from leaklib.sweep.witness import one_thread

Result = TypeVar("Result")
PROCESSES = 2
RECENT = 20  # results from which the time that is left is told: those that take longest come first
BEGAN_UNDER = os.getppid()  # in a process beside the first one: changes when that one is killed


def side_by_side(
    work: Callable[..., Result], calls: Sequence[tuple[Any, ...]], *, doing: str, n_jobs: int = PROCESSES
) -> Iterator[Result]:
    """The result of ``work(*arguments)`` for each of ``calls``, in the order in which they are done.

    Each runs on one thread. ``doing`` says what, for the line that shows the progress. A process whose
    parent was killed ends at its next call.
    """
    if not calls:
        return
    processes = joblib.Parallel(n_jobs=min(n_jobs, len(calls)), return_as="generator_unordered")
    main = os.getpid()
    results = processes(joblib.delayed(_alone)(main, work, arguments) for arguments in calls)
    times = deque([time.monotonic()], RECENT)
    for done, result in enumerate(cast(Iterable[Result], results), 1):
        yield result
        times.append(time.monotonic())
        left = (times[-1] - times[0]) / (len(times) - 1) * (len(calls) - done)
        when = f", about {left:.0f} s left " if len(times) == RECENT else ""
        end = "\n" if done == len(calls) else ""
        print(f"\r{doing}: {done} of {len(calls)}{when}", end=end, flush=True)


def _alone(main: int, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    if os.getpid() != main and os.getppid() != BEGAN_UNDER:
        os._exit(1)  # nobody waits for the result
    with one_thread():
        return work(*arguments)
