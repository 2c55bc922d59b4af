"""Many students in two processes, with progress: results come back as they are done."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import joblib

from leaklib.sweep.witness import one_thread

Result = TypeVar("Result")
PROCESSES = 2


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
    parent = os.getpid()
    results = processes(joblib.delayed(_alone)(parent, work, arguments) for arguments in calls)
    start = time.monotonic()
    for done, result in enumerate(cast(Iterable[Result], results), 1):
        yield result
        left = (time.monotonic() - start) / done * (len(calls) - done)
        end = "\n" if done == len(calls) else ""
        print(f"\r{doing}: {done} of {len(calls)}, about {left:.0f} s left ", end=end, flush=True)


def _alone(parent: int, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    if os.getpid() != parent and os.getppid() != parent:
        os._exit(1)  # nobody waits for the result
    with one_thread():
        return work(*arguments)
