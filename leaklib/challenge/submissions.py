"""Which file of a folder is whose, from names alone: no file is opened here.

Of several files of a student the highest number counts (``alice-2`` after ``alice``). Two with the same
number count for nothing until someone who knows removes one. Where the roster is Canvas's, the user's number
that Canvas writes into each name says who handed the file in, whatever the student called it.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from leaklib.challenge.answers import ENDINGS
from leaklib.challenge.files import shown
from leaklib.challenge.naming import readings
from leaklib.challenge.roster import Student, is_canvas
from leaklib.named import listed


@dataclass(frozen=True)
class Line:
    """One line of the instructor's report: about a file, a student, a level, as far as there is one."""

    says: str
    file: str = ""
    student: str = ""
    level: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in (self.file, self.student, self.level) if part) + f": {self.says}"


@dataclass(frozen=True)
class Submission:
    """What counts for a student: the file at ``path``; or nothing, because of ``refusal`` if there is one."""

    path: Path | None = None
    refusal: str = ""

    @property
    def name(self) -> str:
        """The file's name as it can be shown, empty where there is none."""
        return "" if self.path is None else shown(self.path.name)


@dataclass(frozen=True)
class _File:
    path: Path
    number: int
    problem: str
    expected: bool

    @property
    def rank(self) -> tuple[bool, int]:
        """A note beside an answer never stands in its way."""
        return self.expected, self.number


def collect(
    folder: Path, students: list[Student], endings: Iterable[str] = ENDINGS
) -> tuple[dict[str, Submission], list[Line]]:
    """What counts for whom, by id, and a line for each file that does not count, in the order of names.

    ``endings`` are those of a submission, in lower case.

    ValueError if there is no such folder, or it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            paths = sorted(
                (folder / entry.name for entry in entries), key=lambda path: os.fsencode(path.name)
            )
    except OSError as error:
        raise ValueError(
            f"{folder}: expected the folder with the students' files, but it cannot be listed "
            f"({error.strerror}): unpack the archive first if it is one"
        ) from error
    files, lines, whose = dict[str, list[_File]](), list[Line](), _Whose(students)
    for path in paths:
        student, number, problem = whose(path)
        if student is None:
            lines.append(Line(f"left out: {problem}", shown(path.name)))
        else:
            file = _File(path, number, problem, path.suffix.lower() in endings)
            files.setdefault(student.id, []).append(file)
    found = {id: _choose(id, some, lines, endings) for id, some in files.items()}
    return found, sorted(lines, key=lambda line: line.file)


def _choose(id: str, files: list[_File], lines: list[Line], endings: Iterable[str]) -> Submission:
    best = max(file.rank for file in files)
    newest = [file for file in files if file.rank == best]
    names = listed(shown(file.path.name) for file in newest)
    for file in files:
        if file not in newest:
            lines.append(Line(f"does not count: {_why(file, names, endings)}", shown(file.path.name), id))
    if len(newest) > 1:
        return Submission(refusal=f"there are {len(newest)} files with the same number ({names}): keep one")
    return Submission(newest[0].path, newest[0].problem)


def _why(file: _File, names: str, endings: Iterable[str]) -> str:
    if not file.expected:
        return f"{' or '.join(endings)} was expected"
    return f"{names} has a higher number"


class _Whose:
    """The student that a file's name names, with its number and what is wrong with that."""

    def __init__(self, students: Iterable[Student]) -> None:
        students = list(students)
        self.by_id = {student.id.lower(): student for student in students}
        users = (
            {student.columns["ID"].strip(): student for student in students} if is_canvas(students) else {}
        )
        self.by_user = {user: student for user, student in users.items() if user}

    def __call__(self, path: Path) -> tuple[Student | None, int, str]:
        meanings = readings(path.stem)
        for meaning in meanings:
            named = self.by_id.get(meaning.id.lower())
            if named is None:
                continue
            if meaning.user is None or not self.by_user:
                return named, meaning.number, ""
            uploader = self.by_user.get(meaning.user)
            if uploader is None:
                return None, 0, f"Canvas says that user {meaning.user} sent it, who is not in the roster"
            problem = f"is named after {named.id}, and Canvas says that {uploader.id} sent it"
            return uploader, meaning.number, "" if named is uploader else problem
        if uploader := self.by_user.get(meanings[-1].user or ""):
            return uploader, meanings[-1].number, ""
        return None, 0, "no id of the roster is in its name"
