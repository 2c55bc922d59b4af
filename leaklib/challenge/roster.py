"""Who takes part: a CSV with a column ``id``, or a gradebook that Canvas exported.

    id,name
    alice,Alice Example

Of a Canvas export the login (``SIS Login ID``) is the id. Its row of possible points and its test student
are left out.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leaklib.challenge.files import shown
from leaklib.challenge.naming import readings

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
"""The columns of a gradebook by which Canvas finds its students again."""

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
MOST = 10 << 20  # bytes


@dataclass(frozen=True)
class Student:
    """One row: ``id`` names files, ``name`` is for people, ``columns`` are the cells by title."""

    id: str
    name: str
    columns: dict[str, str]


def is_canvas(students: list[Student]) -> bool:
    """Whether the roster was a gradebook of Canvas."""
    return bool(students) and all(column in students[0].columns for column in CANVAS)


def read_roster(path: Path) -> list[Student]:
    """The students in the order of the file, which is UTF-8 with or without a byte order mark.

    ValueError with one sentence per fault, each with its line, for a file without the columns, ids that are
    missing, twice (A and a are the same), of other than 1 to 64 characters ``A-Z a-z 0-9 . _ @ -`` or not
    beginning with a letter or digit, or readable as another student's second file.
    """
    rows = _rows(_text(path), path)
    line, titles = next(rows, (1, []))
    titles = [title.strip() for title in titles]
    canvas = all(column in titles for column in CANVAS)
    if not canvas and "id" not in titles:
        raise ValueError(
            f"{path}, line {line}: expected a column id, or Canvas's {', '.join(CANVAS)}, separated "
            f"by commas, got {shown(', '.join(titles)) or 'nothing'}: add that first line"
        )
    if doubled := sorted({title for title in titles if title and titles.count(title) > 1}):
        raise ValueError(f"{path}, line {line}: the column {shown(doubled[0])} is there twice: remove one")
    faults, students, lines = list[str](), list[Student](), dict[str, int]()
    for line, cells in rows:
        columns = dict(zip(titles, cells, strict=False))
        if not any(cell.strip() for cell in cells) or (canvas and _is_no_student(columns)):
            continue
        id = columns.get("SIS Login ID" if canvas else "id", "").strip()
        if fault := _fault(id, lines, len(cells), len(titles)):
            faults.append(f"{path}, line {line}: {fault}")
            continue
        lines[id.lower()] = line
        students.append(Student(id, columns.get("Student" if canvas else "name", "").strip() or id, columns))
    faults += [f"{path}, {fault}" for fault in _ambiguous(students, lines)]
    if not students and not faults:
        faults = [f"{path}, line {line}: expected at least one student below the titles, got none"]
    if faults:
        raise ValueError("\n".join(faults))
    return students


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MOST:
            raise ValueError(f"{path}: a roster may have {MOST:,} bytes, this file has {size:,}: is it one?")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: expected UTF-8: save the file as CSV in UTF-8") from error
    except OSError as error:
        raise ValueError(f"{path}: expected a roster, but it cannot be read ({error.strerror})") from error


def _rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line where it begins."""
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {line}: no row of a CSV file ({error}): check its quotes") from error


def _is_no_student(columns: dict[str, str]) -> bool:
    """A row that Canvas writes of its own: possible points, how marks are posted, the test student."""
    name = columns.get("Student", "").strip()
    login = columns.get("SIS Login ID", "").strip()
    return name in ("Points Possible", "Student, Test") or not (name or login)


def _fault(id: str, lines: dict[str, int], cells: int, titles: int) -> str:
    """What is wrong with a row, if something is."""
    if cells > titles:
        return f"expected {titles} cells, got {cells}: put a cell with a comma in quotes"
    if not ID.fullmatch(id):
        return (
            "expected an id of 1 to 64 characters A-Z a-z 0-9 . _ @ -, the first a letter or digit, "
            f"got {shown(id) or 'none'}: change it"
        )
    if (first := lines.get(id.lower())) is not None:
        return f"the id {id} is there already, in line {first}: give each student one of their own"
    return ""


def _ambiguous(students: list[Student], lines: dict[str, int]) -> Iterator[str]:
    """Ids that, as the name of a file, could also be another student's."""
    ids = {student.id.lower(): student.id for student in students}
    for student in students:
        for reading in readings(student.id)[1:]:
            if other := ids.get(reading.id.lower()):
                yield (
                    f"line {lines[student.id.lower()]}: a file named {student.id} could be a later one of "
                    f"{other}, line {lines[other.lower()]}: change one of the two ids"
                )
