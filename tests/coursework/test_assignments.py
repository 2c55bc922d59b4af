"""The assignments hold together: solutions pass, stubs fail, hidden checks tell three qualities apart.

Everything is derived from the solution notebooks here and now, so none of it can drift away from them.
"""

import contextlib
import io
import json
import re
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
import torch

import coursework

VARIANTS = Path(__file__).parent / "variants"
NAMES = sorted(path.stem for path in coursework.SOURCES.glob("*.ipynb"))
SETUP = "print('setup')"
SHORT = 15  # characters: a shorter line says nothing


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


def ran(name: str) -> dict:
    """What the solution notebook defines."""
    names: dict = {}
    for cell in codes(source(name), "hidden"):
        execute(cell.source, names, cell.id)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_right_half_right_and_wrong_are_told_apart_for_every_task(name: str) -> None:
    solution = ran(name)  # its visible checks pass, too
    for task in derived(name).tasks:
        assert points(task, solution) == task.points, f"the solution of task {task.task}"
        for quality in ("half", "wrong"):
            path = VARIANTS / f"{task.task.replace('.', '_')}_{quality}.py"
            submitted = dict(solution)
            execute(path.read_text(encoding="utf8"), submitted, path.name)
            got = points(task, submitted)
            assert 0 < got < task.points if quality == "half" else got == 0, f"{path.name}: {got} points"
            assert 2 * got == round(2 * got), f"{path.name}: {got} points, expected half marks"


@pytest.mark.parametrize("name", NAMES)
def test_a_stub_fails_its_visible_check_with_the_number_of_its_task(name: str) -> None:
    names, task, failed = {}, None, {}
    checks = {cell.id for cell in source(name).cells if "check" in tags(cell)}
    for cell in codes(coursework.student(derived(name), SETUP)):
        if cell.id not in checks:
            execute(cell.source, names, cell.id)
            task = (coursework.BEGIN.findall(original(name, cell.id)) or [(None, task, None)])[-1][1]
            continue
        with pytest.raises(NotImplementedError) as caught:
            execute(cell.source, names, cell.id)
        assert str(caught.value).startswith(f"Task {task}: "), cell.id
        failed[task] = True
    assert list(failed) == [task.task for task in derived(name).tasks]
    assert all(points(task, names) == 0 for task in derived(name).tasks), "a stub has no points"


def original(name: str, id: str) -> str:
    return next((cell.source for cell in source(name).cells if cell.id == id), "")


@pytest.mark.parametrize("name", NAMES)
def test_the_solutions_put_back_give_the_source_again(name: str) -> None:
    student = coursework.student(derived(name), SETUP)
    mine = [cell for cell in source(name).cells if "hidden" not in tags(cell)]
    theirs = [cell for cell in student.cells if cell.id not in ("setup", "hand-in")]
    assert [cell.id for cell in theirs] == [cell.id for cell in mine]
    for ours, stub in zip(mine, theirs, strict=True):
        text, solutions = stub.source, coursework.SOLUTION.finditer(ours.source)
        for match in solutions:
            line = next(line for line in text.splitlines() if f'("Task {match["task"]}: ' in line)
            text = text.replace(line, match[0])
        assert text == ours.source


@pytest.mark.parametrize("name", NAMES)
def test_students_get_no_line_of_a_solution_or_a_hidden_check(name: str) -> None:
    """In no derived notebook, wherever the line comes from; and nothing but text, code and ids."""
    secret, shown = set(), set()
    for other in NAMES:
        for cell in source(other).cells:
            lines = {line.strip() for line in cell.source.splitlines()}
            kept = {
                line for match in coursework.SOLUTION.finditer(cell.source) for line in match[0].splitlines()
            }
            hidden = lines if "hidden" in tags(cell) else {line.strip() for line in kept}
            secret |= hidden
            shown |= lines - hidden
    student = coursework.student(derived(name), SETUP)
    text = nbformat.writes(student)
    told = {line for line in secret - shown if len(line) > SHORT and json.dumps(line)[1:-1] in text}
    assert told == set()
    assert len(secret) > 300, "there is something to look for"
    for cell in student.cells:
        assert cell.id == "setup" or cell.metadata == {}
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)


def within(value: object) -> list[object]:
    """A value of a frame, and all that it holds."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if isinstance(inner, list | tuple):
        return [value, *(found for one in inner for found in within(one))]
    return [value]


@pytest.mark.parametrize("name", NAMES)
def test_a_function_that_reads_its_caller_s_frames_earns_nothing(name: str) -> None:
    """The submission runs in the probe's process: what it is asked may stand there, and no answer."""

    def spy(place: int):
        def answer(*asked, **_):
            frame, seen = sys._getframe(1), []
            while frame and frame.f_code.co_name != "points":
                seen += [one for value in list(frame.f_locals.values()) for one in within(value)]
                frame = frame.f_back
            known = {id(one) for value in asked for one in within(value)}
            new = [one for one in seen if isinstance(one, torch.Tensor) and id(one) not in known]
            return new[place % len(new)] if new else None

        return answer

    stubs = {found for cell in codes(source(name)) for found in re.findall(r"^def (\w+)", cell.source, re.M)}
    for task in derived(name).tasks:
        for place in range(8):
            assert points(task, dict.fromkeys(stubs, spy(place))) == 0, f"task {task.task}"
