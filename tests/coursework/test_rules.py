"""A solution notebook that breaks a rule is refused with a sentence, and nothing is written."""

import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import coursework

TASK = '''\
def double(x):
    """Twice x."""
    # solution: Task 7.1, the double
    return 2 * x
    # end
'''
CHECK = 'assert double(2) == 4, "twice 2 is 4"'
HIDDEN = """\
POINTS_7_1 = 2


def probe_7_1(submitted):
    return {"six": submitted["double"](3)}


def judge_7_1(answers):
    return 2 * (answers["six"] == 6)
"""


def cells(task=TASK, check=CHECK, hidden=HIDDEN):
    """An assignment of one task; None leaves a cell out."""
    made = [new_markdown_cell("# Title\n\nWords.", id="title")]
    for source, id, tags in ((task, "task", []), (check, "check", ["check"]), (hidden, "hidden", ["hidden"])):
        if source is not None:
            made.append(new_code_cell(source, id=id, metadata={"tags": tags}))
    return new_notebook(cells=made)


def test_a_right_notebook_is_derived() -> None:
    made = coursework.derive(cells(), "7_small")
    assert [cell.source for cell in made.cells][1:] == [
        'def double(x):\n    """Twice x."""\n    raise NotImplementedError("Task 7.1: the double")\n',
        CHECK,
    ]
    (task,) = made.instructor()["tasks"]
    assert (task["task"], task["title"], task["points"]) == ("7.1", "the double", 2)
    assert task["probe"].startswith("def probe_7_1(") and task["judge"].startswith("def judge_7_1(")
    notebook = coursework.student(made, "pass")
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells] == ["title", "setup", "hand-in", "task", "check"]


OUTSIDE = "# solution: Task 7.1, the double\ndouble = lambda x: 2 * x\n# end"
TWO = TASK.replace("7.1", "7.2").replace("double(", "again(")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": OUTSIDE}, "must stand inside a function"),
        ({"task": "if True:\n" + TASK.partition("\n")[2]}, "a stub outside a function"),
        ({"task": TASK.replace("    # end\n", "")}, "1 solutions begin and 0 end"),
        ({"task": TASK.replace("    # solution: Task 7.1, the double\n", "")}, "0 solutions begin and 1 end"),
        ({"task": TASK.replace("    # end", "        # end")}, "each needs both, indented alike"),
        ({"task": TASK.replace(": Task 7.1, the double", "")}, "got a marker without that"),
        ({"task": TASK.replace("    return 2 * x\n", "")}, "the solution of task 7.1 is empty"),
        (
            {"task": TASK.replace("7.1", "7.2"), "hidden": HIDDEN.replace("7_1", "7_2")},
            "expected tasks 7.1, 7.2",
        ),
        ({"task": TASK + "\n\n" + TWO}, "task 7.1 has no visible check"),
        ({"task": TASK + "\n\n" + TASK}, "has two solutions in one cell"),
        ({"task": "%timeit 1\n" + TASK}, "not plain Python"),
        ({"check": None}, "task 7.1 has no visible check"),
        ({"check": "print(double(2))"}, "a check without an assert"),
        ({"check": "assert double(2) == 4"}, "the assert in line 1 has no hint"),
        ({"hidden": None}, "task 7.1 has no hidden check"),
        ({"hidden": HIDDEN.replace("7_1", "7_2")}, "there is no task 7.2"),
        ({"hidden": HIDDEN.replace("judge_7_1", "judge_7_3")}, "and nothing else, got"),
        ({"hidden": HIDDEN + "\nANSWER = 6"}, "and nothing else, got"),
        ({"hidden": "import torch\n" + HIDDEN}, "and nothing else, got"),
        ({"hidden": HIDDEN.replace("POINTS_7_1 = 2\n", "")}, "and nothing else, got"),
        ({"hidden": HIDDEN.replace("= 2\n", "= 0\n")}, "a whole number of points, at least 1"),
        ({"hidden": HIDDEN.replace("= 2\n", "= 1 + 1\n")}, "a whole number of points, at least 1"),
        ({"hidden": HIDDEN.replace("(submitted)", "(s, t)")}, "takes one argument, submitted"),
    ],
)
def test_a_broken_rule_has_its_sentence(changes: dict, sentence: str) -> None:
    with pytest.raises(coursework.Broken, match=sentence):
        coursework.derive(cells(**changes), "7_small")


def test_other_faults_of_a_notebook() -> None:
    twice, first, tagged = cells(), cells(), cells()
    twice.cells.append(new_code_cell(HIDDEN, id="again", metadata={"tags": ["hidden"]}))
    first.cells.insert(1, new_code_cell(CHECK, id="early", metadata={"tags": ["check"]}))
    tagged.cells[1].metadata["tags"] = ["solution"]
    for notebook, name, sentence in (
        (twice, "7_small", "one hidden check for each task"),
        (first, "7_small", "a check must stand behind the task"),
        (tagged, "7_small", "unknown tag solution"),
        (cells(), "small", "its number first"),
        (new_notebook(), "7_small", "its title, a heading"),
    ):
        with pytest.raises(coursework.Broken, match=sentence):
            coursework.derive(notebook, name)


def test_nothing_is_written_of_a_broken_notebook(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(coursework, "SOURCES", tmp_path)
    nbformat.write(cells(), tmp_path / "7_small.ipynb")
    nbformat.write(cells(hidden=None), tmp_path / "8_broken.ipynb")
    monkeypatch.setattr(sys, "argv", ["coursework.py", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=r"8_broken: .* expected tasks 8.1|8_broken"):
        coursework.main()
    assert not (tmp_path / "out").exists()
