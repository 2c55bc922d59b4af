"""The reference attacks get everything back from the files alone, as a student would."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from leaklib.attacks.linear_layer import LinearLayer
from leaklib.challenge import handout, solving
from leaklib.challenge.__main__ import main
from leaklib.challenge.levels import LEVELS
from leaklib.challenge.marks import marks
from leaklib.types import Reconstruction

KEY = b"a key of these tests, 0123456789"
QUICK = tuple(level for level in LEVELS if level.quick)


def student_s_file(folder: Path, student: str) -> Path:
    """A student's file, alone in a folder: no key, no roster, no truth beside it."""
    shared = [(level, model := level.model(KEY), level.update(KEY, student, model)) for level in LEVELS]
    folder.mkdir(exist_ok=True)
    path = folder / f"{student}.safetensors"
    path.write_bytes(handout.write(student, shared))
    return path


def points(submission: Path, student: str) -> dict[str, float]:
    found, got = load_file(submission), {}
    for level in LEVELS:
        if f"{level.name}.inputs" in found:
            inputs, labels = (found[f"{level.name}.{part}"] for part in ("inputs", "labels"))
            assert inputs.shape == (level.num_examples, *level.input_shape)
            guess = Reconstruction(inputs, labels, 0.0)
            got[level.name] = marks(level, level.secret(KEY, student), guess).points
    return got


def test_the_quick_levels_are_solved_from_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solving, "LEVELS", QUICK)
    for student in ("alice", "bob"):
        student_s_file(tmp_path / "in", student)
    solving.solve(tmp_path / "in", tmp_path / "out", n_jobs=1)
    for student in ("alice", "bob"):
        found = points(tmp_path / "out" / f"{student}.safetensors", student)
        assert found == {level.name: level.points for level in QUICK}


@pytest.mark.slow
@pytest.mark.parametrize("student", ["alice"])
def test_all_levels_are_solved_from_the_file_alone(tmp_path: Path, student: str) -> None:
    path = student_s_file(tmp_path / "in", student)
    found = solving.solve(path.parent, tmp_path / "out", n_jobs=1)
    assert points(tmp_path / "out" / path.name, student) == {level.name: level.points for level in LEVELS}
    assert solving.summary(found).count("\n") == len(LEVELS)


def test_the_reference_attack_solves_a_level_that_searches() -> None:
    """One student each, of a level that takes about a second: all of them run in the slow test."""
    for level in LEVELS:
        if level.name in ("topk",):
            model = level.model(KEY)
            guess = level.solve(model, level.update(KEY, "bob", model))
            assert marks(level, level.secret(KEY, "bob"), guess).full


def test_what_was_solved_is_not_solved_again_but_another_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solving, "LEVELS", QUICK[:1])
    first = student_s_file(tmp_path / "in", "alice")
    student_s_file(tmp_path / "in", "bob")
    solving.solve(tmp_path / "in", tmp_path / "out", n_jobs=1)
    submissions = sorted((tmp_path / "out").iterdir())
    before = [path.read_bytes() for path in submissions]
    times = [path.stat().st_mtime_ns for path in submissions]
    assert not solving.solve(tmp_path / "in", tmp_path / "out", n_jobs=1)
    assert [path.stat().st_mtime_ns for path in submissions] == times

    submissions[1].write_bytes(before[1][:100])  # of a killed machine
    shutil.copy(tmp_path / "in" / "bob.safetensors", first)  # the file of alice is another one now
    solving.solve(tmp_path / "in", tmp_path / "out", n_jobs=1)
    after = [path.read_bytes() for path in submissions]
    assert after[1] == before[1] and after[0] != before[0]


def test_a_level_that_cannot_be_attacked_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "LEVELS", (LEVELS[0], replace(LEVELS[1], attack=LinearLayer())))
    path = student_s_file(tmp_path / "in", "alice")
    found = solving.solve(path.parent, tmp_path / "out", n_jobs=1)
    assert points(tmp_path / "out" / path.name, "alice") == {"linear": LEVELS[0].points}
    assert "first layer is Linear" in found["alice"]["lenet"][1]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("missing", "there are no students' files"),
        ("empty", "there are no students' files"),
        ("unproved", "is not issued to the end"),
        ("truncated", "is damaged"),
        ("something else", "expected a student's file"),
        ("another version", "use the one that the course names"),
        ("a link", "a link, and links are not followed"),
    ],
)
def test_a_folder_that_cannot_be_solved_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, says: str
) -> None:
    folder = tmp_path / "in"
    if what != "missing":
        folder.mkdir()
    path = folder / "alice.safetensors"
    match what:
        case "unproved":
            (folder / "issue.json").write_text("{}")
        case "truncated":
            path = student_s_file(folder, "alice")
            path.write_bytes(path.read_bytes()[:-1000])
        case "something else":
            path.write_bytes(b"PK\3\4 a picture of a cat")
        case "another version":
            path = student_s_file(folder, "alice")
            path.write_bytes(path.read_bytes().replace(handout.version().encode(), b"1-00000000"))
        case "a link":
            path.symlink_to(student_s_file(tmp_path / "elsewhere", "alice"))
    assert main(["solve", str(folder), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
