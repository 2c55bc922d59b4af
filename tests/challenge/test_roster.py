"""A roster is read as it is meant, and every fault is one sentence with its line."""

import csv
import io
from pathlib import Path

import pytest

from leaklib.challenge.naming import Reading, readings
from leaklib.challenge.roster import is_canvas, read_roster

TITLES = "Student,ID,SIS User ID,SIS Login ID,Section,Quiz 1 (77)\n"
CANVAS = (
    TITLES + ",,,,,Manual Posting\n"
    "    Points Possible,,,,,10\n"
    '"Example, Alice",11,0042,alice,S1,7\n'
    '"Sample, Bob",12,0043,bob@example.org,S1,\n'
    '"Student, Test",13,,5f3a,S1,\n'
)


def roster(folder: Path, text: str | bytes) -> Path:
    path = folder / "roster.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_ids_and_names(tmp_path: Path, mark: bytes, end: str) -> None:
    text = end.join(["id,name", 'alice,"Example, Alicé"', "", "b.o-b_@2,"]) + end
    students = read_roster(roster(tmp_path, mark + text.encode()))
    assert [(s.id, s.name) for s in students] == [("alice", "Example, Alicé"), ("b.o-b_@2", "b.o-b_@2")]
    assert not is_canvas(students)


def test_a_gradebook_of_canvas(tmp_path: Path) -> None:
    students = read_roster(roster(tmp_path, CANVAS))
    assert is_canvas(students)
    assert [(s.id, s.name) for s in students] == [
        ("alice", "Example, Alice"),
        ("bob@example.org", "Sample, Bob"),
    ]
    assert students[0].columns["SIS User ID"] == "0042", "a number with leading zeros is no number"


FAULTS = {
    "no file": (None, "roster.csv: expected a roster, but it cannot be read"),
    "empty": ("", "line 1: expected a column id"),
    "no id column": ("name,mail\na,b\n", "line 1: expected a column id"),
    "semicolons": ("id;name\na;b\n", "line 1: expected a column id"),
    "only titles": ("id,name\n", "expected at least one student"),
    "column twice": ("id,id\na,b\n", "line 1: the column id is there twice"),
    "id missing": ("id,name\na,A\n,B\n", "line 3: expected an id of 1 to 64 characters"),
    "path": ("id\n../../etc/passwd\n", "line 2: expected an id"),
    "hidden": ("id\n.a\n", "line 2: expected an id"),
    "option": ("id\n-rf\n", "line 2: expected an id"),
    "formula": ("id\n=1+1\n", "line 2: expected an id"),
    "long": (f"id\n{'a' * 65}\n", "line 2: expected an id"),
    "not ascii": ("id\nalicé\n", "line 2: expected an id"),
    "escape": ("id\n\x1b[31mred\n", r"line 2: expected an id .* got \\x1b\[31mred"),
    "twice": ("id\na\nb\na\n", "line 4: the id a is there already, in line 2"),
    "twice but for case": ("id\nAlice\n\nalice\n", "line 4: the id alice is there already, in line 2"),
    "another's second file": ("id\na\na-2\n", "line 3: a file named a-2 could be a later one of a, line 2"),
    "another's in bulk": (
        "id\nx_1_2_a\na\n",
        "line 2: a file named x_1_2_a could be a later one of a, line 3",
    ),
    "comma without quotes": ("id,name\na,Example, Alice\n", "line 2: expected 2 cells, got 3"),
    "quote left open": ('id,name\na,b\nc,"d\n', "line 3: no row of a CSV file"),
    "latin 1": (b"id,name\na,Alic\xe9\n", "line 2: expected UTF-8"),
    "utf 16": ("id,name\na,b\n".encode("utf-16"), "line 1: expected UTF-8"),
    "huge": (b"id\n" + b"a" * (11 << 20), "a roster may have 10,485,760 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_a_sentence_with_its_line(tmp_path: Path, name: str) -> None:
    text, words = FAULTS[name]
    path = tmp_path / "roster.csv" if text is None else roster(tmp_path, text)
    with pytest.raises(ValueError, match=words) as caught:
        read_roster(path)
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 3.*\n.*line 5.*\n.*line 6") as caught:
        read_roster(roster(tmp_path, "id\na\n+\nb\nA\nb-7\n"))
    assert len(str(caught.value).splitlines()) == 3


def test_titles_and_cells_survive_a_round_trip(tmp_path: Path) -> None:
    """A cell of two lines counts its lines, and nothing is lost of it."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["id", "name"], ["a", "two\nlines"], ["?", "x"]])
    with pytest.raises(ValueError, match="line 4: expected an id"):
        read_roster(roster(tmp_path, out.getvalue()))


MEANINGS = {
    "alice": [Reading("alice")],
    "alice-2": [Reading("alice-2"), Reading("alice", 2)],
    "exa_1_2_alice": [Reading("exa_1_2_alice"), Reading("alice", 1, "1")],
    "exa_LATE_1_2_a-b-9": [
        Reading("exa_LATE_1_2_a-b-9"),
        Reading("exa_LATE_1_2_a-b", 9),
        Reading("a-b-9", 1, "1"),
        Reading("a-b", 9, "1"),
    ],
    "mal_66_7_exa_1_2_alice": [Reading("mal_66_7_exa_1_2_alice"), Reading("exa_1_2_alice", 1, "66")],
}


@pytest.mark.parametrize("stem", MEANINGS)
def test_what_a_file_s_name_can_mean(stem: str) -> None:
    """Who handed it in stands in front, where Canvas writes it, whatever follows."""
    assert readings(stem) == MEANINGS[stem]
