"""Killed at any moment, and started again: the results are those of a run that nobody disturbed.

A child of this process does the work, in a process group of its own. It kills the group with SIGKILL when it
is about to change the file system for the n-th time: to open a file for writing, to rename, remove or make
one. These moments are the same in every run, and all that a kill between two of them could leave is what the
later one finds.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from classroom import KEY, Classroom, arrays, tree
from safetensors.numpy import save

from leaklib.challenge.issuing import issue

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
MOMENTS = 10


def killed(work: Callable[[], object], folder: Path, moment: int | None = None) -> int:
    """Do ``work`` in a child that is killed at the given change below ``folder``; how many there were."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork, where libraries have started threads
        child = os.fork()
    if child == 0:
        _work(work, str(folder), moment, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if moment is None:
        assert status == 0 and text.isdecimal(), text
        return int(text)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, text
    return moment


def _work(work: Callable[[], object], folder: str, moment: int | None, write: int) -> None:
    """In the child, which never returns."""
    os.setsid()
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        changes = event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if changes and folder in str(arguments[0]):
            seen += 1
            if seen == moment:
                os.killpg(0, signal.SIGKILL)

    try:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        sys.addaudithook(hook)
        work()
        os.write(write, str(seen).encode())
    except BaseException:
        os.write(write, traceback.format_exc().encode())
    finally:
        os._exit(0)


def spread(count: int) -> list[int]:
    """Ten of the moments from 1 to ``count``, the first and the last among them."""
    assert count >= MOMENTS
    return np.linspace(1, count, MOMENTS).round().astype(int).tolist()


def started(folder: Path) -> Classroom:
    """A class with results, after which bob has handed in again."""
    room = Classroom(folder)
    room.grade()
    room.put("bob-2.safetensors", save(arrays("bob")))
    return room


@pytest.mark.slow
def test_grading_killed_at_ten_moments(tmp_path: Path) -> None:
    """The folder of results is never anything but the old one, the new one, or not there."""
    rooms = [started(_made(tmp_path / f"{i}")) for i in range(MOMENTS + 1)]
    old = rooms[0].files()
    count = killed(rooms[0].grade, rooms[0].folder)
    new = rooms[0].files()
    assert old["marks.csv"] != new["marks.csv"]
    seen = []
    for room, moment in zip(rooms[1:], spread(count), strict=True):
        killed(room.grade, room.folder, moment)
        seen.append(room.files())
        assert seen[-1] in (old, new, {})
        room.grade()
        assert room.files() == new
        assert not (room.folder / "marks.part").exists()
    assert seen[0] == old and seen[-1] == new


@pytest.mark.slow
def test_around_the_moment_when_results_are_replaced(tmp_path: Path) -> None:
    """The two renames: before the first, between both, and after the second."""
    probe, room = started(_made(tmp_path / "probe")), started(_made(tmp_path / "room"))
    old, seen = probe.files(), []
    count = killed(probe.grade, probe.folder)
    while old not in seen:  # from the last moment backwards; each time anew, from the old results
        killed(room.grade, room.folder, count - len(seen))
        seen.append(room.files())
        room = started(_made(tmp_path / f"room {len(seen)}"))
    assert seen[0] == probe.files() and {} in seen
    assert all(found in (old, probe.files(), {}) for found in seen)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_what_was_graded_is_not_graded_again(tmp_path: Path) -> None:
    room = Classroom(tmp_path)
    count = killed(room.grade, room.folder)
    new = room.files()
    other = Classroom(_made(tmp_path / "other"))
    killed(other.grade, other.folder, count // 2)
    kept = {path.name: path.stat().st_mtime_ns for path in (other.folder / "marks.part" / "kept").iterdir()}
    names = [name for name in kept if name.endswith(".json")]
    assert 0 < len(names) < 4
    left = killed(other.grade, other.folder)
    assert left < count
    assert other.files() == new


def test_what_was_kept_of_other_files_is_not_taken(tmp_path: Path) -> None:
    """Between a kill and the next start carol's file is replaced, and alice's is gone."""
    room = started(tmp_path)
    killed(room.grade, room.folder, killed(started(_made(tmp_path / "count")).grade, tmp_path) - 12)
    room.put("carol.safetensors", save(arrays("carol")))
    (room.submissions / "alice.safetensors").unlink()
    room.grade()
    fresh = Classroom(_made(tmp_path / "fresh"))
    fresh.put("bob-2.safetensors", save(arrays("bob")))
    fresh.put("carol.safetensors", save(arrays("carol")))
    (fresh.submissions / "alice.safetensors").unlink()
    fresh.grade()
    assert room.files() == fresh.files()


def test_issuing_killed_at_ten_moments(tmp_path: Path) -> None:
    """Students' files lie in ``students`` only when all of them do, each whole."""
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "roster.csv").write_text("id\nalice\nbob\n")

    def to(name: str) -> Callable[[], object]:
        return lambda: issue(tmp_path / "roster.csv", tmp_path / "key", tmp_path / name, sample=0, n_jobs=1)

    count = killed(to("whole"), tmp_path)
    whole = tree(tmp_path / "whole")
    for moment in spread(count):
        out = tmp_path / f"at {moment}"
        killed(to(out.name), tmp_path, moment)
        handed = {name: data for name, data in tree(out).items() if name.startswith("students/")}
        assert handed in ({}, {name: data for name, data in whole.items() if name.startswith("students/")})
        to(out.name)()
        assert tree(out) == whole
