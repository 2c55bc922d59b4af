"""A class's notebooks, from a folder to marks: three qualities, what editors do to them, hostile files."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from grade import grade
from grader import judging
from grader.answers import check
from grader.assignment import Task, read_assignment
from grader.judging import verdict
from grader.notebooks import MOST, read_cells
from grader.outcome import Outcome
from grader.sandbox import Limits
from grader_tools import DOUBLE, SQUARE, SQUARE_HALF, TASKS, notebook, walls, write_assignment

ROOT = Path(__file__).parents[2]
LIMITS = Limits(seconds=10, memory=600 << 20, disk=8 << 20, slack=120)
STUB = "def {}(x):\n    raise NotImplementedError('Task 7')"

HONEST = {  # notebooks, and their points for the two tasks
    "right": (notebook("%pip install leaklib\nimport numpy", DOUBLE, SQUARE), (2, 4)),
    "half": (notebook(DOUBLE, SQUARE_HALF), (2, 2)),
    "begun": (notebook(DOUBLE, STUB.format("square")), (2, 0)),
    "wrong": (notebook("def double(x):\n    return x", "def square(x):\n    return 'no'"), (0, 0)),
    "bare": (json.dumps({"cells": [{"cell_type": "code", "source": [DOUBLE, "\n", SQUARE]}]}), (2, 4)),
    "doubled": (notebook(DOUBLE, DOUBLE, SQUARE, DOUBLE, SQUARE), (2, 4)),
    "merged": (notebook(DOUBLE + "\n" + SQUARE), (2, 4)),
    "old": (  # nbformat 3
        json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": [DOUBLE, "\n", SQUARE]}]}]}),
        (2, 4),
    ),
    "broken-cell": (notebook(DOUBLE, "1 / 0", SQUARE), (2, 4)),
    "no-names": (notebook("x = 1"), (0, 0)),
}  # fmt: skip

FORGED = "import safetensors.numpy as s, struct\n{}\ns.save = lambda _: {}"
HEAD = 'h = b\'{"y":{"dtype":"F64","shape":[99999999999],"data_offsets":[0,8]}}\''
SAME = "def double(x):\n    return x\nsquare = double"
NO_JSON = "is no notebook (not readable as JSON): hand in the .ipynb file itself"
HOSTILE = {  # notebooks worth nothing, and what the report says of each
    "forger": (
        notebook(
            "import json, time\njson.dumps = lambda *_: '{}'\ntime.time = lambda: 0\ndel time.sleep", SAME
        ),
        "wrote into the channel of its answers",
    ),
    "pickler": (
        notebook(FORGED.format("", "b'\\x80\\x04\\x95pickle'"), SAME),
        "task 7.1: ValueError: a header of ",
    ),
    "shaper": (
        notebook(FORGED.format(HEAD, "struct.pack('<Q', len(h)) + h + bytes(8)"), SAME),
        "task 7.1: ValueError: a tensor 'y' whose shape does not fit its size",
    ),
    "teller": (  # tries to tell its author the hidden input
        notebook(
            "def double(x):\n    raise ValueError(repr(x))",
            "def square(x):\n    raise type(f'Told_{x[3]}', (Exception,), {})",
        ),
        "task 7.1: ValueError: array([0., 1., 2., 3.])",
    ),
    "leaver": (notebook("import os; os._exit(0)"), "ended before its checks were through (exit status 0)"),
    "surfer": (
        notebook("import socket; socket.socket()"),
        "cell 1 raised PermissionError: [Errno 1] Operation not permitted",
    ),
    "filler": (
        notebook("open('/tmp/x', 'wb').write(bytes(99 << 20))"),
        "cell 1 raised OSError: [Errno 27] File too large",
    ),
    "empty": ("", f"0 points: empty.ipynb {NO_JSON}"),
    "torn": (notebook(DOUBLE)[:-9], f"0 points: torn.ipynb {NO_JSON}"),
    "deep": ("[" * 100_000, f"0 points: deep.ipynb {NO_JSON}"),
    "list": ("[1]", "0 points: list.ipynb is no notebook: it holds no cells"),
    "silent": (notebook(), "0 points: silent.ipynb has no code cell"),
    "long": (
        notebook("x" * (2 << 20)),
        "0 points: long.ipynb has 1 code cells with 2,097,152 characters; at most 1,000 and 1,048,576 "
        "are run",
    ),
}


@pytest.fixture(scope="module")
def assignment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_assignment(tmp_path_factory.mktemp("assignment"))


def hand_in(folder: Path, notebooks: dict[str, tuple[str, object]]) -> Path:
    folder.mkdir(parents=True)
    for name, (text, _) in notebooks.items():
        (folder / f"{name}.ipynb").write_text(text)
    return folder


def marks(out: Path) -> dict[str, float]:
    with (out / "marks.csv").open() as file:
        return {
            row["SIS Login ID"]: float(row["Assignment 7: Small"])
            for row in csv.DictReader(file)
            if row["ID"] or row["SIS Login ID"]
        }


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


@walls
def test_a_class_gets_its_marks_and_hostile_files_change_none(tmp_path: Path, assignment: Path) -> None:
    folder = hand_in(tmp_path / "in", HONEST)
    grade(folder, assignment, tmp_path / "out", None, LIMITS, 2)
    for name, (_, points) in HONEST.items():
        tests = json.loads((tmp_path / "out" / "gradescope" / f"{name}.json").read_text())["tests"]
        assert tuple(test["score"] for test in tests) == points, name
    assert marks(tmp_path / "out") == {name: sum(points) for name, (_, points) in HONEST.items()}
    before = files(tmp_path / "out")
    for name, (text, _) in HOSTILE.items():
        (folder / f"{name}.ipynb").write_text(text)
    (tmp_path / "passwd").write_text(HONEST["right"][0])
    (folder / "link.ipynb").symlink_to(tmp_path / "passwd")
    (folder / "folder.ipynb").mkdir()
    with (folder / "huge.ipynb").open("wb") as file:
        file.truncate(100 << 20)
    (folder / "RIGHT-2.txt").write_text("a note")
    (folder / "Twice.ipynb").write_text(HONEST["right"][0])
    (folder / "twice.ipynb").write_text(HONEST["right"][0])
    (folder / "\u202e;rm.ipynb").write_text(HONEST["right"][0])
    grade(folder, assignment, tmp_path / "out", None, LIMITS, 2)
    after = files(tmp_path / "out")
    for name in HONEST:
        for path in (f"feedback/{name}.txt", f"gradescope/{name}.json"):
            assert after[path] == before[path], path
    report = after["report.txt"].decode().splitlines()
    for name, (_, line) in HOSTILE.items():
        assert any(said.startswith(f"{name}: {line}") for said in report), name
    for line in (
        "link: 0 points: link.ipynb is a link, and links are not followed",
        "folder: 0 points: folder.ipynb is a folder where a file was expected",
        "huge: 0 points: huge.ipynb has 104,857,600 bytes, and at most 20,971,520 are read",
        "RIGHT-2.txt, right: does not count: .ipynb was expected",
        "Twice: 0 points: there are 2 files with the same number (Twice.ipynb, twice.ipynb): keep one",
        "\\u202e;rm.ipynb: left out: no id of the roster is in its name",
    ):
        assert line in report, line
    hostile = marks(tmp_path / "out")
    assert {name: hostile[name] for name in HONEST} == {n: sum(p) for n, (_, p) in HONEST.items()}
    assert not any(points for name, points in hostile.items() if name not in HONEST)
    for path, data in after.items():  # hidden inputs and expected values
        if not path.startswith(("printed/", "report")):
            assert b"0., 1., 2." not in data and b"Told_" not in data and b"exit status" not in data, path


@walls
def test_feedback_says_what_was_found_in_words(tmp_path: Path, assignment: Path) -> None:
    names = ("half", "begun", "no-names")
    folder = hand_in(tmp_path / "in", {name: HONEST[name] for name in names})
    (folder / "no-names.ipynb").write_text(notebook("x = 1", "y = x / 0"))
    (tmp_path / "roster.csv").write_text("id,name\nhalf,Ada\nbegun,Bob\nno-names,Cy\nabsent,Di\n")
    grade(folder, assignment, tmp_path / "out", tmp_path / "roster.csv", LIMITS, 1)
    said = {p.stem: p.read_text() for p in (tmp_path / "out" / "feedback").iterdir()}
    assert "7.1 Twice as much: 2 of 2 points\n    All that was checked is right." in said["half"]
    assert "7.2 Squares: 2 of 4 points\n    Part of what was checked is right." in said["half"]
    assert "    Not done yet: your function raises NotImplementedError." in said["begun"]
    assert "    Your notebook defines no double." in said["no-names"]
    assert "    cell 2 raised ZeroDivisionError: division by zero" in said["no-names"]
    assert "0 of 6 points" in said["absent"] and "Nothing was handed in." in said["absent"]


@walls
@pytest.mark.slow
def test_a_killed_run_is_taken_up_again_and_gives_the_same_bytes(tmp_path: Path, assignment: Path) -> None:
    names = {"a": "no-names", "b": "no-names", "c": "broken-cell", "d": "half"}
    folder = hand_in(tmp_path / "in", {id: HONEST[name] for id, name in names.items()})
    grade(folder, assignment, tmp_path / "whole", None, Limits(seconds=60, memory=1 << 30), 2)
    out, kept = tmp_path / "out", tmp_path / "out.part" / "kept"
    words = [
        sys.executable,
        ROOT / "coursework" / "grade.py",
        folder,
        "--assignment",
        assignment,
        "--out",
        out,
    ]
    words += ["--seconds", "60", "--memory", "1", "--jobs", "2"]
    for done in (0, 1, 3):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as run:
            while run.poll() is None and len(list(kept.glob("*.json"))) < done:
                time.sleep(0.02)
            run.kill()
        if done and out.exists():  # on a slow machine the last two can end before they are seen
            assert files(out) == files(tmp_path / "whole")
            break
        assert run.returncode == -signal.SIGKILL and not out.exists()
    grade(folder, assignment, out, None, Limits(seconds=60, memory=1 << 30), 2)
    assert files(out) == files(tmp_path / "whole")
    assert not (tmp_path / "out.part").exists()


@walls
def test_what_is_not_as_it_should_be_is_said_before_anything_runs(tmp_path: Path, assignment: Path) -> None:
    folder = hand_in(tmp_path / "in", {"right": HONEST["right"]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    for arguments, says in (
        ((folder, tmp_path / "8.json", tmp_path / "out"), "run `make coursework` first"),
        ((tmp_path / "none", assignment, tmp_path / "out"), "cannot be listed"),
        ((folder, assignment, tmp_path / "other"), "no results of grading"),
    ):
        with pytest.raises(ValueError, match=says):
            grade(*arguments, None, LIMITS, 1)
    assert not (tmp_path / "out").exists() and os.listdir(tmp_path / "other") == ["thesis.txt"]


# ---- data from others ----


def saved(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04pickle",
        b"\xff" * 8 + b"{}",
        saved(b"{"),
        saved(b"[" * 60_000),
        saved([]),
        saved({"y": ONE}, bytes(7)),
        saved({"y": ONE}, bytes(9)),
        saved({"y": ONE | {"shape": [1 << 61, 1 << 61]}}, bytes(8)),
        saved({"y": ONE | {"shape": [-1, -2]}}, bytes(8)),
        saved({"y": ONE | {"shape": [True, 2]}}, bytes(8)),
        saved({"y": ONE | {"shape": [1] * 99 + [2]}}, bytes(8)),
        saved({"y": ONE | {"dtype": "PICKLE"}}, bytes(8)),
        saved({"y": ONE | {"dtype": ["F32"]}}, bytes(8)),
        saved({"y": ONE, "z": ONE}, bytes(8)),
        saved({"y": ONE | {"data_offsets": [8, 16]}}, bytes(16)),
        saved({"y": "F32"}, bytes(8)),
        saved({str(i): ONE for i in range(300)}, bytes(8)),
    ],
)
def test_answers_that_are_not_what_they_say_are_refused_unread(data: bytes) -> None:
    with pytest.raises(ValueError):
        check(data)
    task = Task(**TASKS[0])
    assert verdict(task, data)["points"] == 0 and verdict(task, data)["fault"].startswith("ValueError: ")


def test_answers_as_safetensors_writes_them_are_read() -> None:
    import torch
    from safetensors.torch import save

    tensors = {"y": torch.arange(4.0) * 2, "z": torch.zeros(0, 3), "b": torch.ones((), dtype=torch.bfloat16)}
    check(save(tensors, {"any": "thing"}))
    assert verdict(Task(**TASKS[0]), save(tensors)) == {"points": 2.0, "fault": ""}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("return float('nan')", "the judge gave nan of 2 points"),
        ("return 3", "the judge gave 3.0 of 2 points"),
        ("return -1", "the judge gave -1.0 of 2 points"),
        ("return answers['no']", "KeyError: 'no'"),
        ("return 'all'", "ValueError: could not convert string to float: 'all'"),
    ],
)
def test_a_judge_gives_what_there_is_to_give_or_nothing(body: str, fault: str) -> None:
    task = Task("7.1", "", 2, "", f"def judge_7_1(answers):\n    {body}")
    assert verdict(task, saved({"y": ONE}, bytes(8))) == {"points": 0.0, "fault": fault}


def test_a_judge_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "SECONDS", 0.2)
    before = signal.signal(signal.SIGPROF, judging.too_long)
    task = Task("7.1", "", 2, "", "def judge_7_1(answers):\n    while True: pass")
    try:
        said = verdict(task, saved({"y": ONE}, bytes(8)))
    finally:
        signal.signal(signal.SIGPROF, before)
    assert said == {"points": 0.0, "fault": "TimeoutError: the judge came to no end"}


def test_an_outcome_is_kept_as_it_is() -> None:
    outcome = Outcome("a", "a.ipynb", notes=("one",))
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_a_notebook_s_code_is_its_code_cells_whatever_else_it_says() -> None:
    assert read_cells(notebook("a", "b", metadata="lost", nbformat="x").encode()) == ["a", "b"]
    assert read_cells(b'{"cells": [{"cell_type": "code", "source": ["a\\n", 5, "b"]}, 7, {}]}') == ["a\nb"]
    assert MOST < 100 << 20


def test_an_assignment_says_which_names_it_asks_for(assignment: Path) -> None:
    tasks = read_assignment(assignment).tasks
    assert [task.asked_names for task in tasks] == [{"double"}, {"square"}]
    with pytest.raises(ValueError, match="run `make coursework` first"):
        read_assignment(assignment.with_name("8.json"))
