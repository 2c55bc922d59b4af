"""From a folder of submissions to marks, feedback and reports: ``python -m leaklib.challenge grade``.

Each student is graded alone, in whatever process: the outcome follows from the key, the roster and the one
file. It is kept at once, and taken again by a later run if all of that is as it was.
"""

import json
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from leaklib.challenge import keys
from leaklib.challenge.answers import Answer, Refusal
from leaklib.challenge.files import write_whole
from leaklib.challenge.marking import Class, load, mark
from leaklib.challenge.outcome import Outcome, sha256
from leaklib.challenge.pages.feedback import feedback
from leaklib.challenge.pages.leaderboard import leaderboard
from leaklib.challenge.publish import Workshop, workshop
from leaklib.challenge.reports import canvas, gradescope, lines, report
from leaklib.challenge.roster import Student, read_roster
from leaklib.challenge.side_by_side import PROCESSES, side_by_side
from leaklib.challenge.submissions import Line, Submission, collect

FEW = 50  # students that are graded before another process would have started


@dataclass(frozen=True)
class Task:
    """One student to be graded, with the folder where outcomes are kept and the one of the results."""

    group: Class
    student: Student
    submission: Submission
    place: Workshop
    reveal: bool


def grade(
    submissions: Path, key: Path, roster: Path, out: Path, *, reveal: bool = False, jobs: int = PROCESSES
) -> int:
    """Grade everything in the folder ``submissions`` and put the results at ``out``, whole or not at all.

    ``key`` is the file that the challenge was issued with, ``roster`` the one of ``read_roster``. Feedback
    shows the true pictures only with ``reveal``. ``jobs`` processes work side by side. Returns 0, or 1 if the
    grader itself failed on someone, whose mark is then left open. ValueError, one or more sentences, where
    key, roster or folders are not what they should be.
    """
    students = read_roster(roster)
    group = Class(keys.read_key(key), tuple(student.id for student in students))
    handed, others = collect(submissions, students)
    with workshop(out, ("feedback", "gradescope")) as place:
        tasks = [Task(group, s, handed.get(s.id, Submission()), place, reveal) for s in students]
        for path in place.kept.glob("*.json"):
            if path.stem not in group.ids:
                path.unlink()
        calls = [(task,) for task in tasks]
        done = dict(side_by_side(work, calls, doing="graded", n_jobs=min(jobs, 1 + len(calls) // FEW)))
        outcomes = [done[id][0] for id in group.ids]
        written = {name: digest for _, pages in done.values() for name, digest in pages.items()}
        _finish(place, group, students, outcomes, lines(students, outcomes, others), written)
    return int(any(outcome.broken for outcome in outcomes))


Done = tuple[str, tuple[Outcome, dict[str, str]]]
"""An id, its outcome, and its pages by name with their SHA-256."""


def work(task: Task) -> Done:
    """Grade one student and write the pages, or take what an earlier run kept of exactly this."""
    id = task.student.id
    data, refusal = load(task.submission)
    of = _fingerprint(task, data, refusal)
    if kept := _kept(task.place, id, of):
        return id, kept
    outcome, pages = _graded(task, data, refusal)
    digests = {name: task.place.write(name, text) for name, text in pages.items()}
    if not outcome.broken:
        whole = json.dumps({"of": of, "outcome": outcome.to_json(), "pages": digests})
        write_whole(task.place.kept / f"{id}.json", whole.encode())
    return id, (outcome, digests)


def _graded(task: Task, data: bytes, refusal: str) -> tuple[Outcome, dict[str, str]]:
    """The outcome and the pages, which are not yet written.

    The boundary of what one student's file can break. What is wrong with a file is a ValueError and was
    caught where the file is read: an exception that arrives here is a fault of the grader. It takes nobody
    else's marks away, and is not hidden: the student gets no mark instead of a 0, the report begins with
    it, and the command fails. Around this function nothing depends on what is in a file: an error there, such
    as a full disk, ends the run.
    """
    group, id = task.group, task.student.id
    try:
        outcome, answers = mark(group, id, task.submission, data, refusal)
        return outcome, _pages(task, outcome, answers)
    except Exception:
        outcome = Outcome(id, task.submission.name, broken=traceback.format_exc(limit=-3))
        return outcome, _pages(task, outcome, {})


def _pages(task: Task, outcome: Outcome, answers: Mapping[str, Answer | Refusal]) -> dict[str, str]:
    group, id = task.group, task.student.id
    truths = {level.name: level.secret(group.key, id) for level in group.levels} if task.reveal else {}
    return {
        f"feedback/{id}.html": feedback(
            task.student, keys.public_id(group.key, id), group.levels, outcome, answers, truths
        ),
        f"gradescope/{id}.json": gradescope(outcome, group.levels),
    }


def _kept(place: Workshop, id: str, of: str) -> tuple[Outcome, dict[str, str]] | None:
    """What an earlier run found, if it stands for ``of`` and its pages are there as it wrote them."""
    try:
        whole = json.loads((place.kept / f"{id}.json").read_bytes())
        pages = dict(whole["pages"])
        fits = whole["of"] == of and all(sha256((place.new / n).read_bytes()) == d for n, d in pages.items())
        return (Outcome.from_json(whole["outcome"]), pages) if fits else None
    except (OSError, ValueError, KeyError, TypeError):  # none, or not of this version: it is made anew
        return None


def _fingerprint(task: Task, data: bytes, refusal: str) -> str:
    """What an outcome depends on."""
    group, file = task.group, task.submission.name
    parts = [
        _sources(),
        keys.derived(group.key, "grading").hex(),
        sha256(json.dumps(group.ids).encode()),
        repr([(level.name, level.points, level.bands, level.num_examples) for level in group.levels]),
        json.dumps([task.student.id, task.student.name, task.reveal, file, refusal]),
        sha256(data),
    ]
    return sha256("\n".join(parts).encode())


@lru_cache
def _sources() -> str:
    """This package's version and its files: after a change nothing that was kept is taken."""
    folder = Path(__file__).parent
    code = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".css"))
    version = folder.parent / "__init__.py"  # it stands there
    return "".join(sha256(path.read_bytes()) for path in [version, *code])


def _finish(
    place: Workshop,
    group: Class,
    students: list[Student],
    outcomes: list[Outcome],
    found: list[Line],
    written: dict[str, str],
) -> None:
    """The files about the whole class, and then all of them at their place at once."""
    board = {keys.public_id(group.key, outcome.student): outcome for outcome in outcomes}
    for name, text in {
        "marks.csv": canvas(
            students,
            [None if outcome.broken else outcome.points for outcome in outcomes],
            sum(level.points for level in group.levels),
        ),
        "leaderboard.html": leaderboard(board, group.levels),
        "report.txt": report(students, outcomes, group.levels, found),
    }.items():
        written[name] = place.write(name, text)
    place.publish(
        {
            "students": len(students),
            "points_possible": sum(level.points for level in group.levels),
            "lines": [asdict(line) for line in found],
            "outcomes": {outcome.student: asdict(outcome) for outcome in outcomes},
        },
        written,
    )
