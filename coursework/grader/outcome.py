"""What grading found out about one submission, as plain data: kept in a file, and read by every output."""

import builtins
import json
from dataclasses import asdict, dataclass

from grader.assignment import Assignment, Task
from grader.judges import Judges
from grader.watch import Run
from leaklib.challenge.files import shown


@dataclass(frozen=True)
class TaskOutcome:
    """``says`` is for the student and names no hidden input; ``fault``, for the instructor, may."""

    task: str
    points: float
    says: str
    fault: str = ""


@dataclass(frozen=True)
class Outcome:
    """One student: the ``file`` that counted, a ``refusal``, how its run ``ended``, ``notes`` on cells."""

    student: str
    file: str = ""
    refusal: str = ""
    ended: str = ""
    notes: tuple[str, ...] = ()
    tasks: tuple[TaskOutcome, ...] = ()
    printed: str = ""

    @property
    def ending(self) -> str:
        """How its run ended, without the number that a submission chooses: it could be a message."""
        return self.ended.partition(" (")[0]

    @property
    def points(self) -> float:
        return round(sum(task.points for task in self.tasks), 2)

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Outcome":
        """ValueError, KeyError or TypeError for anything that ``to_json`` did not write."""
        values = json.loads(text)
        tasks = tuple(TaskOutcome(**task) for task in values.pop("tasks"))
        return cls(**values | {"notes": tuple(values["notes"]), "tasks": tasks})


def nothing(assignment: Assignment, student: str, file: str, refusal: str) -> Outcome:
    """Of someone whose file cannot be run, or who handed in none."""
    says = (
        f"Nothing was run: {' '.join(filter(None, (file, refusal)))}."
        if refusal
        else "Nothing was handed in."
    )
    tasks = tuple(TaskOutcome(task.task, 0.0, says) for task in assignment.tasks)
    return Outcome(student, file, refusal, tasks=tasks)


def judged(assignment: Assignment, student: str, file: str, run: Run, judges: Judges) -> Outcome:
    """Of a submission that was run: each answer goes to its judge."""
    tasks = tuple(_task(task, run, judges) for task in assignment.tasks)
    printed = "\n".join(shown(line, 2000) for line in run.printed.decode(errors="replace").splitlines())
    notes = tuple(shown(note, 300) for note in run.notes)
    return Outcome(student, file, "", run.ended, notes, tasks, printed)


def _task(task: Task, run: Run, judges: Judges) -> TaskOutcome:
    if task.task in run.errors:
        kind, text = run.errors[task.task]
        return TaskOutcome(task.task, 0.0, _raised(task, kind, text), shown(f"{kind}: {text}", 300))
    if task.task not in run.answers:
        ending = run.ended.partition(" (")[0]
        return TaskOutcome(task.task, 0.0, f"Not checked: your notebook {ending}.")
    verdict = judges(task.task, run.answers[task.task])
    if verdict.fault:
        says = "Your answer has not the form that the task asks for."
    elif verdict.points == task.points:
        says = "All that was checked is right."
    else:
        says = "Part of what was checked is right." if verdict.points else "What was checked is not right."
    return TaskOutcome(task.task, verdict.points, says, shown(verdict.fault, 300))


def _raised(task: Task, kind: str, text: str) -> str:
    """In words that a submission cannot choose: through them it could tell its author the hidden inputs."""
    if kind == "KeyError" and text in task.asked_names:
        return f"Your notebook defines no {text}."
    if kind == "NotImplementedError":
        return "Not done yet: your function raises NotImplementedError."
    if kind == "TimeoutError":
        return "Your function took too much processor time."
    error = getattr(builtins, kind, None)
    if isinstance(error, type) and issubclass(error, BaseException):
        return f"With the inputs of the check, your function raised {kind}."
    return "With the inputs of the check, your function raised an error."
