"""Whatever a student hands in is a line in the report; all others' results are the same bytes."""

import os
import re
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from classroom import POINTS, Classroom, arrays
from hostile import GOOD, KINDS, ME, PACKED, npz
from safetensors.numpy import save

from leaklib.challenge.answers import MOST, Answer, parse, read
from leaklib.challenge.files import read_capped
from leaklib.challenge.levels import LEVELS

MEMORY = 64 << 20  # bytes that reading any file may take beyond what is there


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    return Classroom(tmp_path)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the others get where mallory hands in nothing."""
    room = Classroom(tmp_path_factory.mktemp("honest"))
    assert room.grade() == 0
    assert room.marks() == {
        "": str(POINTS),
        "alice": str(POINTS),
        "bob": room.marks()["bob"],
        "carol": "8",
        "mallory": "0",
    }
    return room.without("mallory")


@contextmanager
def limited() -> Iterator[None]:
    """Little memory, and an alarm: whoever hangs or allocates what a file claims fails here."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    signal.alarm(30)  # its default action ends the process: nothing here can swallow it
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("name", KINDS)
def test_each_is_a_line_and_nobody_else_notices(
    name: str, room: Classroom, honest: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile, words = KINDS[name]
    monkeypatch.chdir(room.folder)
    hostile(room)
    with limited():
        assert room.grade() == 0
    lines = [line for line in room.report() if re.search(words, line)]
    assert len(lines) == 1, room.report()
    assert all(line.isprintable() for line in room.report())
    assert room.marks()["mallory"] == "0"
    assert room.without("mallory") == honest
    assert not list(room.folder.rglob("PWNED*")) and not Path("/tmp/PWNED").exists()


def test_there_are_at_least_twenty_five_kinds() -> None:
    assert len(KINDS) >= 25


def test_what_is_good_in_a_file_counts_beside_what_is_not(room: Classroom) -> None:
    found = arrays("mallory") | {"odd": np.zeros(3)}
    found["lenet.inputs"] = found["lenet.inputs"].astype(np.float16)
    room.put(ME, save(found))
    assert room.grade() == 0
    assert float(room.marks()["mallory"]) == POINTS - next(
        level.points for level in LEVELS if level.name == "lenet"
    )


@pytest.mark.parametrize("how", [np.savez, np.savez_compressed], ids=lambda how: how.__name__)
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_writes_is_read(tmp_path: Path, how, order: str) -> None:
    wanted = arrays("mallory")
    path = tmp_path / "mallory.npz"
    how(path, **{name: np.asarray(values, order=order) for name, values in wanted.items()})
    found = read(path, LEVELS)
    assert found.keys() == {level.name for level in LEVELS}
    for name, answer in found.items():
        assert isinstance(answer, Answer)
        np.testing.assert_array_equal(answer.inputs.numpy(), wanted[f"{name}.inputs"])
        np.testing.assert_array_equal(answer.labels.numpy(), wanted[f"{name}.labels"])


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_bytes_changed_at_random_are_refused_or_read(ending: str) -> None:
    """Nothing but a ValueError leaves the readers: any other exception would be a fault of the grader."""
    data, rng = GOOD if ending == ".safetensors" else npz(PACKED, 8), np.random.default_rng(0)
    refused = 0
    for _ in range(1500):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            broken[place] = rng.integers(256)
        if rng.random() < 0.3:
            broken = broken[: rng.integers(len(broken))]
        try:
            parse(bytes(broken), ending, LEVELS)
        except ValueError:
            refused += 1
    assert 100 < refused < 1500


def test_a_device_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a device"):
        read_capped(Path("/dev/zero"), MOST)


def test_a_file_that_says_it_is_empty_and_is_not() -> None:
    """Files of the system have size 0 and content: what is read decides, not what the size says."""
    with pytest.raises(ValueError, match="changed while it was read"):
        read_capped(Path("/proc/self/status"), MOST)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / ME
    path.write_bytes(GOOD)
    path.chmod(0)
    mine = os.geteuid()
    for folder in [tmp_path, *tmp_path.parents][:4] if mine == 0 else []:
        folder.chmod(folder.stat().st_mode | 0o711)
    try:
        if mine == 0:
            os.seteuid(65534)  # root may read everything
        with pytest.raises(ValueError, match="cannot be opened"):
            read_capped(path, MOST)
    finally:
        os.seteuid(mine)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path, stop = tmp_path / ME, threading.Event()
    path.write_bytes(bytes(MOST))

    def write() -> None:
        with path.open("r+b") as file:
            while not stop.is_set():
                file.seek(0)
                file.write(b"x")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        # Whether a read is disturbed is chance; that none of a thousand is would be a check that is missing.
        with pytest.raises(ValueError, match="changed while it was read"):
            for _ in range(1000):
                read_capped(path, MOST)
    finally:
        stop.set()
        writer.join()
