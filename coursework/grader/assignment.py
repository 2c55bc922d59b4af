"""An assignment as the instructor has it: tasks, points, and the two halves of each hidden check."""

import ast
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """``probe`` is the source of a function that runs with a submission, ``judge`` of one that never does."""

    task: str
    title: str
    points: float
    probe: str
    judge: str

    @property
    def ending(self) -> str:
        """What the names of its functions end with."""
        return self.task.replace(".", "_")

    @property
    def asked_names(self) -> set[str]:
        """The names that the probe looks up in a submission: those of which one can be said to be missing."""
        return {
            node.slice.value
            for node in ast.walk(ast.parse(self.probe))
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        }  # fmt: skip


@dataclass(frozen=True)
class Assignment:
    number: int
    title: str
    tasks: list[Task]
    path: Path

    @property
    def points(self) -> float:
        return sum(task.points for task in self.tasks)


def read_assignment(path: Path) -> Assignment:
    """What ``make coursework`` wrote. ValueError with one sentence where it is not there or not that."""
    try:
        read = json.loads(path.read_text(encoding="utf8"))
        fields = ("task", "title", "probe", "judge")
        tasks = [Task(**{f: task[f] for f in fields}, points=float(task["points"])) for task in read["tasks"]]
        assignment = Assignment(read["assignment"], read["title"], tasks, path)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there: run `make coursework` first") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no assignment ({error}): run `make coursework` again") from error
    return assignment
