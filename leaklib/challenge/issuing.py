"""Issuing: each student's file, and the proof that the reference attack solves it from that file alone.

Attacks that take milliseconds are tried on fifty students' files, those that search on a sample, or both
on all. Nothing is handed out before every proof has succeeded, and what is done is not computed again.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from torch import nn

from leaklib.challenge import difficulty, handout, keys
from leaklib.challenge.files import write_whole
from leaklib.challenge.folder import Folder, text
from leaklib.challenge.levels import LEVELS, Level
from leaklib.challenge.proofs import Proof, prove
from leaklib.challenge.roster import read_roster
from leaklib.challenge.side_by_side import PROCESSES, side_by_side

SAMPLE = 2
QUICK = 50


def issue(
    roster: Path, key: Path, out: Path, *, sample: int | None = SAMPLE, n_jobs: int = PROCESSES
) -> list[Proof]:
    """Write every student's file and the report below ``out``, and return the proofs.

    The searching attacks are tried on ``sample`` students' files, the quick ones on ``QUICK`` or as many;
    with None both are tried on all. A missing ``key`` file is made. ValueError, a sentence, for a key, a
    roster or a folder that cannot be used, and for a proof that failed: then no file is handed out.
    """
    students = read_roster(roster)
    folder, secret = Folder(out), _key(key, out)
    folder.open(secret, students)
    ids = [student.id for student in students]
    searched = set(sampled(secret, ids, sample))
    quick = set(sampled(secret, ids, None if sample is None else max(sample, QUICK)))
    wanted = {student: _wanted(student in searched, student in quick) for student in ids}
    proofs = {student: folder.proofs_of(student) for student in ids}
    todo = [s for s in ids if not folder.file(s).is_file() or wanted[s] - proofs[s].keys()]
    todo.sort(key=lambda student: student not in searched)  # the longest first
    calls = [(secret, student, wanted[student]) for student in todo]
    for student, data, found in side_by_side(prepare, calls, doing="issued", n_jobs=n_jobs):
        proofs[student] |= {proof.level: proof for proof in found}
        folder.keep_proofs(student, proofs[student].values())
        write_whole(folder.file(student), data)
    every = [proof for student in ids for proof in proofs[student].values()]
    _check(every)
    folder.hand_out()
    _report(folder, every, len(ids))
    return every


def _report(folder: Folder, proofs: list[Proof], students: int) -> None:
    """How hard it was, beside the students' files and on the screen."""
    rows, spent = difficulty.rows(proofs, students), difficulty.seconds(proofs)
    write_whole(folder.path / "report.json", text(rows))
    write_whole(folder.path / "report.txt", difficulty.table(rows).encode())
    print(difficulty.table(rows), end="")
    each = (f"{name} {s['median']:.2g} / {s['worst']:.2g}" for name, s in spent.items())
    if spent:
        print("Processor seconds of one attack, median / worst: " + ", ".join(each))
    print(f"{students} students' files are in {folder.students}.", flush=True)


def _key(path: Path, out: Path) -> bytes:
    """The key in the file, which is made if this is the first time."""
    if not path.exists() and not Folder(out).identity.exists():
        keys.make_key(path)
        print(f"{path} is a new key. Keep it, and keep it secret: grading needs it.", flush=True)
    return keys.read_key(path)


def sampled(key: bytes, students: Sequence[str], size: int | None) -> list[str]:
    """``size`` of the ``students``, or all for None; which ones follows from the key."""
    return sorted(students, key=lambda student: keys.derived(key, "sample", student))[:size]


def _wanted(searched: bool, quick: bool) -> set[str]:
    """The levels that are to be proved on a student's file."""
    return {level.name for level in LEVELS if (quick if level.quick else searched)}


def prepare(key: bytes, student: str, wanted: set[str]) -> tuple[str, bytes, list[Proof]]:
    """The ``student``'s file, and the proofs of the ``wanted`` levels, from what it holds."""
    shared = [(level, model, level.update(key, student, model)) for level, model in _networks(key)]
    data = handout.write(student, shared)
    return student, data, prove(key, student, data, wanted) if wanted else []


@lru_cache(maxsize=1)
def _networks(key: bytes) -> list[tuple[Level, nn.Module]]:
    return [(level, level.model(key)) for level in LEVELS]


def _check(proofs: Iterable[Proof]) -> None:
    """ValueError for the first proof that failed."""
    for proof in proofs:
        if not proof.solved:
            raise ValueError(
                f"level {proof.level} of student {proof.student} was not solved by the reference attack "
                f"({proof.words}): no file is handed out; issue with another key to another --out"
            )
