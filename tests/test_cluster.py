"""Sweeps on a Dask cluster: the rows of one process, whatever happens to its workers."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from torch import nn

REASON = "the extra dask is not installed: pip install leaklib[dask]"
distributed = pytest.importorskip("distributed", reason=REASON)
import dask  # noqa: E402

from leaklib.models.mlp import Mlp  # noqa: E402
from leaklib.sweep import Row, run_all, runs  # noqa: E402

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import cluster as benchmark  # noqa: E402

SOME = [replace(benchmark.SMALL, seed=i, first_client=i) for i in range(24)]


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    """Of one cluster for all tests, whose workers are forked from a process that has imported what they need.

    Otherwise each would import PyTorch, which takes most of the time.
    """
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        distributed.utils.get_mp_context()  # asks for imports of its own: do not let it overwrite ours
        multiprocessing.set_forkserver_preload(["distributed", "leaklib.attacks.dlg", "leaklib.sweep"])
        with benchmark.cluster() as client:
            yield client


@pytest.fixture(autouse=True)
def nothing_is_stored() -> Iterator[None]:
    with benchmark.empty_cache():
        yield


def test_a_killed_worker_loses_no_row_and_gives_none_twice(client: distributed.Client) -> None:
    with benchmark.empty_cache():
        expected = [runs.measure(e) for e in SOME]
    found = benchmark.killing(client, SOME, expected)
    assert len(found.rows) == len(found.kept) == 24
    assert (found.lost, found.twice, found.other) == (0, 0, 0)


def test_an_interrupted_sweep_leaves_the_cluster_idle_and_goes_on(
    client: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, kept = runs.keep, []

    def interrupted(row: Row) -> None:
        keep(row)
        kept.append(row)
        if len(kept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(runs, "keep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_all(SOME, progress=False)
    idle(client)
    rows = run_all(SOME, progress=False)
    assert len(kept) == len(rows) == 24 and {row.key for row in kept} == {row.key for row in rows}


def test_the_cluster_holds_no_more_tasks_than_it_should(
    client: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, held = runs.keep, []

    def looking(row: Row) -> None:
        held.append(unfinished(client))
        keep(row)

    monkeypatch.setattr(runs, "WAITING", 5)
    monkeypatch.setattr(runs, "keep", looking)
    assert len(run_all(SOME, progress=False)) == 24
    assert len(held) == 24 and 2 < max(held) < 5


@dataclass(frozen=True)
class Deadly(Mlp):
    """A network that kills the worker that builds it, as one does that needs too much memory."""

    def build(self, seed: int) -> nn.Sequential:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().build(seed)


def test_what_kills_every_worker_is_an_error_and_no_endless_wait(
    client: distributed.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(distributed.KilledWorker, match="on 1 different workers, but all those workers died"):
        run_all([replace(SOME[0], model=Deadly())], progress=False)
    idle(client)
    assert len(run_all(SOME[:2], progress=False)) == 2


def unfinished(client: distributed.Client) -> int:
    """How many tasks run or wait on the cluster."""
    return sum(task.state not in ("memory", "erred") for task in [*client.cluster.scheduler.tasks.values()])


def idle(client: distributed.Client) -> None:
    """Wait until the cluster has nothing to do; AssertionError if that takes long."""
    start = time.monotonic()
    while unfinished(client):
        assert time.monotonic() < start + 30, f"tasks are left: {client.cluster.scheduler.tasks}"
        time.sleep(0.05)
