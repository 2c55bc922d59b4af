"""What students, a learning platform and the instructor read."""

import json
from collections.abc import Iterable

from grader.assignment import Assignment
from grader.outcome import Outcome
from leaklib.challenge.reports import number


def feedback(assignment: Assignment, outcome: Outcome) -> str:
    """For the student, as text: points, and in words what was found."""
    lines = [
        assignment.title,
        f"{outcome.student}: {number(outcome.points)} of {number(assignment.points)} points",
        *([f"Your file: {outcome.file}"] if outcome.file else []),
    ]
    for task, found in zip(assignment.tasks, outcome.tasks, strict=True):
        lines += ["", f"{task.task} {task.title}: {number(found.points)} of {number(task.points)} points"]
        lines += [f"    {found.says}"]
    if outcome.notes or outcome.ended:
        lines += ["", "While your notebook ran"]
        lines += [f"    {note}" for note in outcome.notes]
        lines += [f"    It {outcome.ending}."] if outcome.ended else []
    return "\n".join(lines) + "\n"


def gradescope(assignment: Assignment, outcome: Outcome) -> str:
    """The ``results.json`` that Gradescope expects of an autograder: one test for each task."""
    tests = [
        {
            "name": f"{task.task} {task.title}",
            "score": found.points,
            "max_score": task.points,
            "output": found.says,
            "visibility": "visible",
        }
        for task, found in zip(assignment.tasks, outcome.tasks, strict=True)
    ]
    output = "\n".join([*outcome.notes, *([f"Your notebook {outcome.ending}."] if outcome.ended else [])])
    results = {"output": output, "visibility": "visible", "stdout_visibility": "hidden", "tests": tests}
    return json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def report(assignment: Assignment, outcomes: list[Outcome], others: Iterable[str]) -> str:
    """For the instructor: what to look at, then a line for each student."""
    handed = [outcome for outcome in outcomes if outcome.file or outcome.refusal]
    head = [
        assignment.title,
        f"{len(outcomes)} students, {len(handed)} with a file, {number(assignment.points)} points possible.",
    ]
    for i, task in enumerate(assignment.tasks):
        points = [outcome.tasks[i].points for outcome in handed]
        full = sum(value == task.points for value in points)
        mean = sum(points) / max(1, len(points))
        what = f"{full} with all {number(task.points)} points, {mean:.1f} on average"
        head.append(f"{task.task} {task.title}: {what}")
    faults = [*others, *(line for outcome in outcomes for line in _faults(outcome))]
    return "\n".join([*head, "", *faults, "", *map(_line, outcomes)]) + "\n"


def _faults(outcome: Outcome) -> list[str]:
    found = (
        [f"0 points: {' '.join(filter(None, (outcome.file, outcome.refusal)))}"] if outcome.refusal else []
    )
    found += [outcome.ended] if outcome.ended else []
    found += [f"task {task.task}: {task.fault}" for task in outcome.tasks if task.fault]
    return [f"{outcome.student}: {line}" for line in [*found, *outcome.notes]]


def _line(outcome: Outcome) -> str:
    if not outcome.file and not outcome.refusal:
        return f"{outcome.student}: nothing was handed in"
    parts = ", ".join(f"{task.task} {number(task.points)}" for task in outcome.tasks)
    return f"{outcome.student}: {number(outcome.points)} points ({parts})"
