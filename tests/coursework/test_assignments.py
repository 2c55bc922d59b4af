"""The assignments hold together: solutions pass, stubs fail, and the hidden checks tell three qualities apart.

Everything is derived from the solution notebooks here and now, so none of it can drift away from them.
"""

import contextlib
import io
from functools import cache
from pathlib import Path

import pytest

import coursework

VARIANTS = Path(__file__).parent / "variants"
NAMES = sorted(path.stem for path in coursework.SOURCES.glob("*.ipynb"))
SETUP = "print('setup')"


@cache
def source(name: str):
    return coursework.read(coursework.SOURCES / f"{name}.ipynb")


@cache
def derived(name: str) -> coursework.Assignment:
    return coursework.derive(source(name), name)


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def codes(notebook, *without: str):
    return [c for c in notebook.cells if c.cell_type == "code" and not set(without) & set(tags(c))]


def execute(text: str, names: dict, label: str) -> str:
    """What a cell prints. Its names go to ``names``."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(text, label, "exec"), names)
    return said.getvalue()


def points(task: coursework.Task, submitted: dict) -> float:
    """What the hidden checks give."""
    names = {}
    exec(task.probe + "\n\n" + task.judge, names)
    ending = task.task.replace(".", "_")
    return names[f"judge_{ending}"](names[f"probe_{ending}"](dict(submitted)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_right_half_right_and_wrong_are_told_apart_for_every_task(name: str) -> None:
    solution: dict = {}
    for cell in codes(source(name), "hidden"):
        execute(cell.source, solution, cell.id)
    for task in derived(name).tasks:
        assert points(task, solution) == task.points, f"the solution of task {task.task}"
        for quality in ("half", "wrong"):
            path = VARIANTS / f"{task.task.replace('.', '_')}_{quality}.py"
            submitted = dict(solution)
            execute(path.read_text(encoding="utf8"), submitted, path.name)
            got = points(task, submitted)
            assert 0 < got < task.points if quality == "half" else got == 0, f"{path.name}: {got} points"
            assert 2 * got == round(2 * got), f"{path.name}: {got} points, expected half marks"
