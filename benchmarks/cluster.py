"""Does a Dask cluster give the rows of one process, if one of its two workers is killed in the middle?

    pip install '.[dask]'
    python benchmarks/cluster.py             # five times 200 small experiments, minutes on two cores
    python benchmarks/cluster.py --overhead  # what a task costs the scheduler: leaklib/results/cluster.json

Rows are compared in everything but ``seconds``, and none is stored.
"""

import argparse
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import joblib
import psutil
from distributed import Client, LocalCluster
from runs import store

import leaklib
from leaklib.attacks.dlg import IDLG
from leaklib.client import FedSGD
from leaklib.data import Digits
from leaklib.experiment import Experiment
from leaklib.models.mlp import Mlp
from leaklib.plots import table
from leaklib.sweep import Row, grid, run_all, runs
from leaklib.sweep.rows import write_row

TARGET = Path(leaklib.__file__).parent / "results" / "cluster.json"
SMALL = Experiment(Digits(), Mlp(), FedSGD(), IDLG(steps=1))


@dataclass(frozen=True)
class Outcome:
    """What a cluster gave for some experiments, beside the rows that one process gives."""

    rows: list[Row]
    kept: Counter[str]
    expected: list[Row]

    @property
    def lost(self) -> int:
        """Experiments without a row."""
        return len({row.key for row in self.expected} - self.kept.keys())

    @property
    def twice(self) -> int:
        """Experiments whose row arrived more than once."""
        return sum(count > 1 for count in self.kept.values())

    @property
    def other(self) -> int:
        """Rows that differ in anything but ``seconds``, or stand in another place."""
        lines = (
            [write_row(replace(row, seconds=0.0)) for row in rows] for rows in (self.rows, self.expected)
        )
        return sum(a != b for a, b in zip(*lines, strict=True))


@contextmanager
def empty_cache() -> Iterator[None]:
    """A cache folder of its own: no row is stored yet, and none stays."""
    with TemporaryDirectory() as folder, patch.dict(os.environ, XDG_CACHE_HOME=folder):
        yield


@contextmanager
def cluster() -> Iterator[Client]:
    """Two workers with one thread each."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as two,
        Client(two) as client,
        joblib.parallel_config("dask"),
    ):
        yield client


def killing(client: Client, experiments: Sequence[Experiment], expected: list[Row]) -> Outcome:
    """Run them on the cluster, and kill one of its workers as soon as half of the rows are there."""
    keep, kept = runs.keep, Counter[str]()
    victim = next(iter(client.run(os.getpid).values()))

    def watching(row: Row) -> None:
        keep(row)
        kept[row.key] += 1
        if kept.total() == len(experiments) // 2:
            os.kill(victim, signal.SIGKILL)

    with empty_cache(), patch.object(runs, "keep", watching):
        rows = run_all(experiments, progress=False)
    if victim in client.run(os.getpid).values():
        raise RuntimeError(f"worker {victim} was not killed: nothing has been shown")
    return Outcome(rows, kept, expected)


def overhead(count: int) -> dict[str, float]:
    """What a task costs the process of scheduler and client: processor time, and memory while it waits."""
    me = psutil.Process()
    with cluster() as client:
        client.gather(client.map(type, [SMALL] * 10, pure=False))  # the workers import what they need
        memory, start = me.memory_info().rss, time.process_time()
        futures = client.map(type, grid(SMALL, seed=range(count)), pure=False)
        client.gather(futures)
        spent, taken = time.process_time() - start, me.memory_info().rss - memory
    return {"tasks": count, "ms": round(1000 * spent / count, 2), "kB": round(taken / count / 1000, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--overhead", action="store_true", help="measure a task's cost instead")
    arguments = parser.parse_args()
    if arguments.overhead:
        store(TARGET, "a task", overhead(5000))
        print(TARGET.read_text(encoding="utf8"))
        return
    experiments = [replace(SMALL, seed=i, first_client=i) for i in range(arguments.experiments)]
    with empty_cache():
        expected = run_all(experiments, n_jobs=1, progress=False)
    lines = []
    for i in range(arguments.times):
        with cluster() as client:
            start = time.monotonic()
            found = killing(client, experiments, expected)
            seconds = f"{time.monotonic() - start:.0f}"
        lines.append([i + 1, len(found.rows), found.lost, found.twice, found.other, seconds])
    print(table(["run", "rows", "lost", "twice", "different", "seconds"], lines))
    if any(line[2] or line[3] or line[4] for line in lines):
        raise SystemExit("The cluster does not give the rows of one process.")


if __name__ == "__main__":
    main()
