"""Marks the notebooks of a class, each in a sandbox of its own that it cannot leave:

    python coursework/grade.py SUBMISSIONS --assignment 1 --out DIR

SUBMISSIONS is a folder of <id>.ipynb, as students or Canvas name them. Of a notebook only the code counts. It
runs cell after cell; then it is asked what the hidden checks ask, and a process that has never seen its code
judges the answers. DIR gets marks.csv, a text for each student in feedback/, Gradescope's format in
gradescope/, what the notebooks printed in printed/ (for you: it may hold the inputs of hidden checks), and
report.txt. It is written whole or not at all; a run that was killed is taken up again by the same command.
"""

import argparse
import os
import queue
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from grader.assignment import Assignment, read_assignment
from grader.handed_in import ENDINGS, students
from grader.judges import Judges
from grader.notebooks import read_cells, read_file
from grader.outcome import Outcome, judged, nothing
from grader.reports import feedback, gradescope, report
from grader.sandbox import Limits, NoSandbox, check_outside
from grader.trial import trial
from grader.watch import Watch

import leaklib
from leaklib.challenge.files import write_whole
from leaklib.challenge.publish import Workshop, workshop
from leaklib.challenge.reports import canvas
from leaklib.challenge.roster import Student, read_roster
from leaklib.challenge.submissions import Submission, collect

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("feedback", "gradescope", "printed")


@dataclass(frozen=True)
class Desk:
    """What every submission of this run shares. ``users`` are those as which root lets submissions run."""

    assignment: Assignment
    limits: Limits
    judges: Judges
    place: Workshop
    users: queue.SimpleQueue


def grade(
    submissions: Path, assignment: Path, out: Path, roster: Path | None, limits: Limits, jobs: int
) -> None:
    """Grade everything in the folder ``submissions`` and put the results at ``out``, whole or not at all.

    NoSandbox, and nothing was run, where submissions cannot be kept in; ValueError, one or more sentences,
    where assignment, roster or folders are not what they should be.
    """
    task = read_assignment(assignment)
    people = read_roster(roster) if roster else students(submissions)
    handed, others = collect(submissions, people, ENDINGS)
    hidden = [path for path in (submissions, assignment, out, roster, ROOT / "coursework") if path]
    check_outside(hidden)
    users = slots(jobs)
    trial(limits, users[0], os.getuid(), [path for path in hidden if path.exists()])
    with workshop(out, FOLDERS, f"coursework {task.number} marks 1") as place, Judges(assignment) as judges:
        desk = Desk(task, limits, judges, place, queue.SimpleQueue())
        for user in users:
            desk.users.put(user)
        done = dict(_all(desk, people, handed, jobs))
        _finish(desk, people, [done[student.id] for student in people], [str(line) for line in others])


def slots(jobs: int) -> list[int | None]:
    """As whom submissions run at the same time: apart, since the limit on processes counts by user."""
    if os.geteuid() != 0:
        return [None] * jobs
    first = 20_000 + os.getpid() % 1000 * 40  # another run of the grader has others, most likely
    return [first + i for i in range(jobs)]


def _all(
    desk: Desk, people: list[Student], handed: dict[str, Submission], jobs: int
) -> Iterator[tuple[str, Outcome]]:
    """Each student's id and outcome, with a line that says how far it is."""
    with ThreadPoolExecutor(jobs) as pool:
        work = [pool.submit(_outcome, desk, s, handed.get(s.id, Submission())) for s in people]
        try:
            for i, one in enumerate(as_completed(work), 1):
                outcome = one.result()
                print(f"\r{i} of {len(people)} graded", end="", file=sys.stderr, flush=True)
                yield outcome.student, outcome
        finally:
            pool.shutdown(cancel_futures=True)
            print(file=sys.stderr)


def _outcome(desk: Desk, student: Student, submission: Submission) -> Outcome:
    """Grade one student, or take what an earlier run kept of exactly this."""
    data, refusal = b"", submission.refusal
    if submission.path is not None and not refusal:
        try:
            data = read_file(submission.path)
        except ValueError as error:
            refusal = str(error)
    path = desk.place.kept / f"{student.id}.json"
    of = _fingerprint(desk, student, submission, data, refusal)
    try:
        kept, _, text = path.read_text(encoding="utf8").partition("\n")
        if kept == of:
            return Outcome.from_json(text)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or not of this version: it is made anew
    outcome = _graded(desk, student, submission, data, refusal)
    write_whole(path, f"{of}\n{outcome.to_json()}".encode())
    return outcome


def _graded(desk: Desk, student: Student, submission: Submission, data: bytes, refusal: str) -> Outcome:
    cells = list[str]()
    if submission.path is not None and not refusal:
        try:
            cells = read_cells(data)
        except ValueError as error:
            refusal = str(error)
    if not cells:
        return nothing(desk.assignment, student.id, submission.name, refusal)
    user = desk.users.get()
    try:
        probes = {task.task: task.probe for task in desk.assignment.tasks}
        run = Watch(cells, probes, desk.limits, user).run()
    finally:
        desk.users.put(user)
    return judged(desk.assignment, student.id, submission.name, run, desk.judges)


def _fingerprint(desk: Desk, student: Student, submission: Submission, data: bytes, refusal: str) -> str:
    """What an outcome depends on: after a change nothing that was kept is taken."""
    code = [path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))]
    words = [leaklib.__version__, sys.version, desk.limits, student.id, submission.name, refusal]
    parts = [repr(words).encode(), *code, desk.assignment.path.read_bytes(), data]
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()


def _finish(desk: Desk, people: list[Student], outcomes: list[Outcome], others: list[str]) -> None:
    """All files, and then all of them at their place at once."""
    task, texts = desk.assignment, dict[str, str]()
    for outcome in outcomes:
        texts[f"feedback/{outcome.student}.txt"] = feedback(task, outcome)
        texts[f"gradescope/{outcome.student}.json"] = gradescope(task, outcome)
        if outcome.printed:
            texts[f"printed/{outcome.student}.txt"] = outcome.printed + "\n"
    texts["marks.csv"] = canvas(people, [outcome.points for outcome in outcomes], task.points, task.title)
    texts["report.txt"] = report(task, outcomes, others)
    written = {name: desk.place.write(name, text) for name, text in texts.items()}
    desk.place.publish({"outcomes": {o.student: asdict(o) for o in outcomes}}, written)


def main() -> None:
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=about)
    parser.add_argument("submissions", type=Path, help="a folder of <id>.ipynb")
    parser.add_argument("--assignment", required=True, help="its number, or a file of make coursework")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the results")
    parser.add_argument("--roster", type=Path, help="a CSV with ids, or Canvas's gradebook: who takes part")
    parser.add_argument("--seconds", type=float, default=300, help="processor time of one notebook")
    parser.add_argument("--memory", type=float, default=3, help="GB of memory of one notebook")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1), help="notebooks at a time")
    options = parser.parse_args()
    path = Path(options.assignment)
    if options.assignment.isdigit():
        path = ROOT / "_build" / "coursework" / "instructor" / f"{options.assignment}.json"
    limits = Limits(seconds=options.seconds, memory=int(options.memory * 2**30))
    try:
        grade(options.submissions, path, options.out, options.roster, limits, max(1, options.jobs))
    except (ValueError, NoSandbox) as error:
        sys.exit(str(error))
    print(f"The marks are in {options.out}; read report.txt first.")


if __name__ == "__main__":
    main()
