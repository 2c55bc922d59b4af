"""Grids of experiments, running what has no row yet, and from rows to what a curve shows.

Chapters: 8, 9, 11, 12, 15.
"""

import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice, product
from statistics import median
from typing import Any, TypeVar, cast

import joblib
from joblib.parallel import get_active_backend

from leaklib.experiment import Experiment
from leaklib.metrics import wilson
from leaklib.sweep.key import key
from leaklib.sweep.rows import Row, row_of
from leaklib.sweep.store import cached, keep
from leaklib.sweep.witness import observe, one_thread

Setting = TypeVar("Setting", bound=Hashable)
WAITING = 10_000  # experiments that a Dask scheduler holds at once, with about 10 kB each


def grid(base: Experiment, **axes: Iterable[Any]) -> list[Experiment]:
    """``base`` with every combination of the fields in ``axes``, the last one running fastest.

    ValueError for a name that is not a field of Experiment and for an axis without values.
    """
    names = [field.name for field in fields(Experiment)]
    if strange := sorted(axes.keys() - set(names)):
        raise ValueError(f"an Experiment has no {', '.join(strange)}: its fields are {', '.join(names)}")
    values = {name: list(axis) for name, axis in axes.items()}
    if empty := [name for name, axis in values.items() if not axis]:
        raise ValueError(f"the axis {', '.join(empty)} has no values: give at least one")
    return [replace(base, **dict(zip(values, some, strict=True))) for some in product(*values.values())]


def run_all(
    experiments: Sequence[Experiment], *, n_jobs: int | None = None, progress: bool = True
) -> list[Row]:
    """The row of every experiment, in their order; only what has no row is run, on one thread each.

    ``n_jobs`` processes run side by side: as many as there are cores, or what an active
    ``joblib.parallel_config`` says, with "dask" all workers of the cluster. Interrupt it and call it again:
    what was done is not repeated.
    """
    keys = [key(e) for e in experiments]
    named = dict(zip(keys, experiments, strict=True))
    rows = {name: row for name, e in named.items() if (row := cached(e)) is not None}
    todo = [e for name, e in named.items() if name not in rows]
    if progress and todo:
        print(f"{len(rows)} results are stored, {len(todo)} to run.", flush=True)
    start = time.monotonic()
    for done, row in enumerate(_side_by_side(todo, n_jobs), 1):
        rows[row.key] = row
        keep(row)
        if progress:
            left = (time.monotonic() - start) / done * (len(todo) - done) / 60
            end = "\n" if done == len(todo) else ""
            print(f"\r{done} of {len(todo)} run, about {left:.0f} min left ", end=end, flush=True)
    return [rows[name] for name in keys]


def _side_by_side(experiments: Sequence[Experiment], n_jobs: int | None) -> Iterable[Row]:
    """Rows in the order in which they are done."""
    backend, configured = get_active_backend()  # what an active parallel_config says
    if client := getattr(backend, "client", None):
        return _on_dask(client, experiments)
    n_jobs = cast(int | None, configured) if n_jobs is None else n_jobs
    workers = joblib.Parallel(n_jobs=-1 if n_jobs is None else n_jobs, return_as="generator_unordered")
    return cast(Iterable[Row], workers(joblib.delayed(measure)(e) for e in experiments))


def _on_dask(client: Any, experiments: Sequence[Experiment]) -> Iterator[Row]:
    """The same on a Dask cluster, whose ``client`` joblib hands over.

    joblib itself would wait forever for a task that Dask has given up, because several workers died of it:
    here that raises Dask's KilledWorker. It would also keep only as many workers busy as there were at first.
    """
    from distributed import as_completed

    todo = iter(experiments)
    first = [client.submit(measure, e, pure=False) for e in islice(todo, WAITING)]
    running = as_completed(first, with_results=True)
    del first  # whoever holds a future keeps its result on the cluster
    try:
        for _, row in running:
            yield row
            for e in islice(todo, 1):
                running.add(client.submit(measure, e, pure=False))
    finally:
        client.cancel(list(running.futures))  # after an interrupt or an error: else the cluster works on


def measure(experiment: Experiment) -> Row:
    """Run ``experiment`` on one thread and make its row, without looking at what is stored."""
    with one_thread():
        return row_of(*observe(experiment))


@dataclass(frozen=True)
class Point:
    """All runs of one setting, each with one PSNR in dB per picture. No run is left out."""

    experiments: tuple[Experiment, ...]
    rows: tuple[Row, ...]

    @property
    def psnr(self) -> list[float]:
        """Of every picture of every run, from the worst to the best."""
        return sorted(value for row in self.rows for value in row.psnr)

    @property
    def median(self) -> float:
        """The PSNR that half of the pictures reach."""
        return median(self.psnr)

    @property
    def gray(self) -> float:
        """The median PSNR of a gray picture: an attack that stays below has shown nothing."""
        return median(value for row in self.rows for value in row.gray)

    @property
    def constant(self) -> float:
        """The median PSNR of the best picture of one color."""
        return median(value for row in self.rows for value in row.constant)

    @property
    def identified(self) -> tuple[int, int]:
        """How many pictures were pointed out among the candidates, and of how many."""
        hits = [value for row in self.rows for value in row.identified]
        return sum(map(int, hits)), len(hits)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the probability that a picture is identified."""
        return wilson(*self.identified)

    @property
    def evaluations(self) -> int:
        """What the longest run took."""
        return max(row.evaluations for row in self.rows)

    def above(self, decibel: int | float) -> int:
        """How many pictures reach this PSNR; all others are failures."""
        return sum(value >= decibel for value in self.psnr)


def points(
    sweep: Mapping[Setting, Sequence[Experiment]], *, n_jobs: int | None = None, progress: bool = True
) -> dict[Setting, Point]:
    """The point of every setting; what is not stored is run, see ``run_all``."""
    rows = iter(run_all([e for some in sweep.values() for e in some], n_jobs=n_jobs, progress=progress))
    return {setting: Point(tuple(some), tuple(islice(rows, len(some)))) for setting, some in sweep.items()}
