"""Derives from the solution notebooks in coursework/ what students get, and what the grader needs.

    scripts/coursework.py [--out _build/coursework] [NAME ...]

``OUT/student`` holds each notebook without solutions, hidden cells, outputs and metadata, beside the wheel
that its first cell installs. ``OUT/instructor/N.json`` holds the tasks of assignment N with their points and
the sources of their hidden checks. Both folders are written anew. A notebook that breaks the rules is refused
with a sentence, and then nothing is written:

- A solution stands inside a function, between ``# solution: Task 1.2, the label`` and ``# end``, both
  indented alike. Students get ``raise NotImplementedError("Task 1.2: the label")`` in its place.
- Behind it comes a cell tagged ``check``: asserts, each with a hint.
- A cell tagged ``hidden`` has ``POINTS_1_2 = 3``, ``probe_1_2(submitted)``, ``judge_1_2(answers)``, no more.
"""

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
SOURCES, OUT = ROOT / "coursework", ROOT / "_build" / "coursework"
sys.path.append(str(ROOT / "_ext"))
from leaky.copies_setup import setup_cell  # noqa: E402
from leaky.repository import repository  # noqa: E402

NAME = re.compile(r"(\d+)_[a-z0-9_]+")
BEGIN = re.compile(r"^( *)# solution\b(?:: Task (\d+\.\d+), (.+))?", re.MULTILINE)
SOLUTION = re.compile(
    r"^(?P<indent> *)# solution: Task (?P<task>\d+\.\d+), (?P<words>.+)\n"
    r"(?P<code>(?:.*\n)*?)(?P=indent)# end$",
    re.MULTILINE,
)
TAGS = {"check", "hidden", "hide-input", "nbval-check-output", "nbval-ignore-output"}
HAND_IN = """\
## How to work on this, and how to hand it in

1. Run the first cell. In Colab it installs `leaklib`, the package of the book, and changes nothing that
   is already there.
2. Each task is a function with a line `raise NotImplementedError(...)`. Replace that line by your code, and
   leave the function's name and its arguments as they are. You may add functions and cells of your own.
3. Run the check below the task. If it passes, you are probably right; a failing line says what to look at.
   The checks that give the points use other inputs, so an answer typed in by hand does not help.
4. The tasks do not need each other's answers. If one resists, go on with the next.
5. Hand in this notebook as **one file**, under the name that your course asks for. Before that choose
   *Restart and run all* once. A cell that fails costs the points of its own task only; the whole notebook has
   to run within some minutes on one core. Outputs, figures and text are not graded.
"""


class Broken(ValueError):
    """A solution notebook that breaks the rules; the sentence says which one, and where."""


@dataclass(frozen=True)
class Task:
    """What the grader needs of one task. ``probe`` and ``judge`` are the sources of two functions."""

    task: str
    title: str
    points: int
    probe: str
    judge: str


@dataclass
class Assignment:
    """One notebook, derived: the students' cells, and the instructor's tasks."""

    number: int
    name: str
    title: str
    cells: list[NotebookNode] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)

    def instructor(self) -> dict:
        """What ``instructor/N.json`` holds."""
        return {
            "assignment": self.number,
            "name": self.name,
            "title": self.title,
            "tasks": [asdict(task) for task in self.tasks],
        }


# ---- one cell ----


def stubbed(source: str, where: str) -> tuple[str, dict[str, str]]:
    """The cell as students get it, and the titles of the tasks in it, by their number."""
    begins, ends = BEGIN.findall(source), len(re.findall(r"^ *# end$", source, re.MULTILINE))
    found = list(SOLUTION.finditer(source))
    if any(not task for _, task, _ in begins):
        raise Broken(f'{where}: expected "# solution: Task 1.2, what it is about", got a marker without that')
    if len(begins) != ends or len(begins) != len(found):
        raise Broken(
            f"{where}: {len(begins)} solutions begin and {ends} end; each needs both, indented alike"
        )
    titles = {}
    for match in found:
        if not match["indent"]:
            raise Broken(f"{where}: the solution of task {match['task']} must stand inside a function")
        if not match["code"].strip():
            raise Broken(f"{where}: the solution of task {match['task']} is empty")
        if match["task"] in titles:
            raise Broken(f"{where}: task {match['task']} has two solutions in one cell")
        titles[match["task"]] = match["words"]
    stub = SOLUTION.sub(_stub, source)
    for text, version in ((source, "with its solution"), (stub, "as students get it")):
        parsed(text, f"{where}, {version}")
    inside = {
        line for node in _functions(ast.parse(stub)) for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = stub.splitlines()
    if outside := [
        n for n, text in enumerate(lines, 1) if "NotImplementedError(" in text and n not in inside
    ]:
        raise Broken(f"{where}: line {outside[0]} as students get it is a stub outside a function")
    return stub, titles


def _stub(match: re.Match) -> str:
    message = json.dumps(f"Task {match['task']}: {match['words']}", ensure_ascii=False)
    return f"{match['indent']}raise NotImplementedError({message})"


def _functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def parsed(source: str, where: str) -> ast.Module:
    """The cell's syntax: plain Python, since it also runs where there is no notebook."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise Broken(f"{where}: not plain Python, line {error.lineno}: {error.msg}") from None


def hidden(source: str, titles: dict[str, str], where: str) -> Task:
    """The points and the hidden checks of one task, whose number the names say."""
    body = parsed(source, where).body
    names = [_name(node) for node in body]
    number = re.fullmatch(r"POINTS_(\d+)_(\d+)", names[0] if names else "")
    ending = "_".join(number.groups()) if number else "1_2"
    wanted = [f"POINTS_{ending}", f"probe_{ending}", f"judge_{ending}"]
    if number is None or names != wanted:
        raise Broken(
            f"{where}: a hidden cell defines {', '.join(wanted)} and nothing else, got {', '.join(names)}"
        )
    points = body[0].value.value if isinstance(body[0].value, ast.Constant) else None
    if type(points) is not int or points < 1:
        raise Broken(f"{where}: {wanted[0]} must be a whole number of points, at least 1")
    for node, argument in zip(body[1:], ("submitted", "answers"), strict=True):
        if [a.arg for a in node.args.args] != [argument]:
            raise Broken(f"{where}: {node.name} takes one argument, {argument}")
    task = ending.replace("_", ".")
    if task not in titles:
        raise Broken(f"{where}: there is no task {task} in this notebook")
    probe, judge = (ast.get_source_segment(source, node) for node in body[1:])
    return Task(task, titles[task], points, probe, judge)


def _name(node: ast.stmt) -> str:
    """What a statement of a hidden cell defines."""
    if isinstance(node, ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return f"line {node.lineno}"


def check(source: str, where: str) -> None:
    """Refuses visible checks that assert nothing, or without a hint."""
    asserts = [node for node in ast.walk(parsed(source, where)) if isinstance(node, ast.Assert)]
    if not asserts:
        raise Broken(f"{where}: a check without an assert")
    if bare := [node.lineno for node in asserts if node.msg is None]:
        raise Broken(f"{where}: the assert in line {bare[0]} has no hint")


# ---- one notebook ----


def derive(notebook: NotebookNode, name: str) -> Assignment:
    """What students and instructor get of a solution notebook. ``Broken`` if it breaks a rule."""
    number = NAME.fullmatch(name)
    if number is None:
        raise Broken(f"{name}: expected a name such as 1_first_inversion, its number first")
    heading = notebook.cells[0].source.partition("\n")[0] if notebook.cells else ""
    if not heading.startswith("# "):
        raise Broken(f"{name}: its first cell must begin with its title, a heading")
    made, titles, checked, last = Assignment(int(number[1]), name, heading[2:].strip()), {}, set(), None
    for cell in notebook.cells:
        where, tags = f"{name}, cell {cell.id}", set(cell.metadata.get("tags", []))
        if unknown := tags - TAGS:
            raise Broken(f"{where}: unknown tag {', '.join(sorted(unknown))}")
        if "hidden" in tags:
            made.tasks.append(hidden(cell.source, titles, where))
            continue
        source, found = stubbed(cell.source, where) if cell.cell_type == "code" else (cell.source, {})
        if "check" in tags:
            check(source, where)
            if last is None:
                raise Broken(f"{where}: a check must stand behind the task that it checks")
            checked.add(last)
        if again := titles.keys() & found.keys():
            raise Broken(f"{where}: task {min(again)} has two solutions")
        titles |= found
        last = list(found)[-1] if found else last
        made.cells.append(_bare(cell, source))
    _complete(made, titles, checked)
    return made


def _bare(cell: NotebookNode, source: str) -> NotebookNode:
    """A cell with nothing but its text."""
    new = new_code_cell if cell.cell_type == "code" else new_markdown_cell
    return new(source, id=cell.id)


def _complete(made: Assignment, titles: dict[str, str], checked: set[str]) -> None:
    """Refuses tasks out of order, without a visible check, or without exactly one hidden check."""
    wanted = [f"{made.number}.{k}" for k in range(1, len(titles) + 1)]
    if not titles or list(titles) != wanted:
        raise Broken(f"{made.name}: expected tasks {made.number}.1, {made.number}.2, ..., got {list(titles)}")
    if unchecked := [task for task in titles if task not in checked]:
        raise Broken(f"{made.name}: task {unchecked[0]} has no visible check behind it")
    judged = [task.task for task in made.tasks]
    if missing := [task for task in titles if task not in judged]:
        raise Broken(f"{made.name}: task {missing[0]} has no hidden check")
    if judged != wanted:
        raise Broken(f"{made.name}: expected one hidden check for each task, in their order, got {judged}")


def student(made: Assignment, setup: str) -> NotebookNode:
    """The notebook that students get: title, setup, how to hand in, then the tasks."""
    form = {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["setup"]}
    title, *rest = made.cells
    first = [title, new_code_cell(setup, id="setup", metadata=form), new_markdown_cell(HAND_IN, id="hand-in")]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    colab = {"name": f"{made.name}.ipynb", "toc_visible": True}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "colab": colab}
    return new_notebook(cells=first + rest, metadata=metadata)


def solved(derived: NotebookNode, source: NotebookNode) -> NotebookNode:
    """The student's notebook with the solutions put back, and with the outputs that they gave."""
    cells = {cell.id: cell for cell in source.cells}
    return new_notebook(cells=[cells.get(cell.id, cell) for cell in derived.cells], metadata=derived.metadata)


# ---- all of them ----


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def setup_source(folder: Path) -> str:
    """The first cell, for the wheel of this very leaklib, which is put into ``folder``."""
    build = [sys.executable, ROOT / "scripts" / "wheel.py", folder]
    wheel, sha256 = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    here = repository()
    return setup_cell(wheel, wheel.split("-")[1], sha256, here and here.site)


def write(made: list[Assignment], out: Path) -> None:
    """Both folders, anew."""
    for name in ("student", "instructor"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    setup = setup_source(out / "student")
    for one in made:
        nbformat.write(student(one, setup), out / "student" / f"{one.name}.ipynb")
        text = json.dumps(one.instructor(), indent=1, ensure_ascii=False) + "\n"
        (out / "instructor" / f"{one.number}.json").write_text(text, encoding="utf8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 1_first_inversion; without any, all"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    names = options.names or sorted(path.stem for path in SOURCES.glob("*.ipynb"))
    try:
        made = [derive(read(SOURCES / f"{name}.ipynb"), name) for name in names]
    except (Broken, FileNotFoundError) as error:
        sys.exit(str(error))
    write(made, options.out)
    for one in made:
        print(f"{one.name}: {len(one.tasks)} tasks, {sum(task.points for task in one.tasks)} points")


if __name__ == "__main__":
    main()
