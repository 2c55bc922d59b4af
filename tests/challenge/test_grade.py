"""What everyone gets: marks that follow from the answers, for Canvas and for Gradescope, and pages."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from classroom import KEY, POINTS, STUDENTS, Classroom, arrays, tree
from safetensors.numpy import save

from leaklib.challenge import grading, keys
from leaklib.challenge.levels import LEVELS
from leaklib.challenge.outcome import Outcome
from leaklib.challenge.pages import hints
from leaklib.sweep.rows import png


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    room = Classroom(tmp_path_factory.mktemp("graded"))
    assert room.grade() == 0
    return room


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    return Classroom(tmp_path)


class Parsed(HTMLParser):
    """A page's text, pictures and what it would load from elsewhere; every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.alts, self.open, self.loaded = "", [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "img":
            self.alts.append(found["alt"])
        self.loaded += [
            v for k, v in attrs if k in ("src", "href") and not v.startswith("data:image/png;base64,")
        ]
        self.loaded += ["script"] * (tag == "script") + [k for k, _ in attrs if k.startswith("on")]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data if self.open and self.open[-1] != "style" else ""


def test_right_answers_get_all_points_and_noise_costs_some(graded: Classroom) -> None:
    marks = graded.marks()
    assert marks["alice"] == str(POINTS) and marks["mallory"] == "0"
    assert float(marks["carol"]) == LEVELS[0].points
    assert 0 < float(marks["bob"]) < POINTS


def test_gray_pictures_get_nothing_but_their_labels(room: Classroom) -> None:
    found = {n: np.full_like(v, 0.5) if v.dtype == np.float32 else v for n, v in arrays("mallory").items()}
    found = {name: values for name, values in found.items() if not name.startswith("text")}
    room.put("mallory.safetensors", save(found))
    assert room.grade() == 0
    assert float(room.marks()["mallory"]) == sum(level.label_points for level in LEVELS if not level.is_text)


def test_the_gradebook_is_one_that_canvas_takes(graded: Classroom) -> None:
    text = (graded.out / "marks.csv").read_bytes().decode()
    titles, possible, *rows = csv.reader(io.StringIO(text))
    assert titles == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Steal your picture back"]
    assert possible == ["    Points Possible", "", "", "", "", str(POINTS)]
    assert [row[3] for row in rows] == STUDENTS and rows[0][0] == "Alice Example"


def test_a_gradebook_of_canvas_comes_back_with_its_columns(room: Classroom) -> None:
    """Names that a spreadsheet would compute are defused, and Canvas's number says who handed a file in."""
    names = ["Example, Alice", "=HYPERLINK(1)", "+1", "\t@x"]
    out = io.StringIO(newline="")
    titles = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Old (1)"]
    rows = [
        [n, 10 + i, f"00{i}", id, "S", "9"] for i, (n, id) in enumerate(zip(names, STUDENTS, strict=True))
    ]
    csv.writer(out).writerows([titles, ["    Points Possible", "", "", "", "", 9], *rows])
    room.roster.write_text(out.getvalue())
    for path in room.submissions.iterdir():
        path.unlink()
    room.put("examplealice_LATE_10_501_alice.safetensors", save(arrays("alice")))
    room.put("mallory_13_502_alice-7.safetensors", save(arrays("alice")))
    room.put("bob_11_503_my answer.safetensors", save(arrays("bob")))
    room.put("x_99_504_carol.safetensors", save(arrays("carol")))
    assert room.grade() == 0
    assert room.marks() == {
        "": str(POINTS),
        "alice": str(POINTS),
        "bob": str(POINTS),
        "carol": "0",
        "mallory": "0",
    }
    with (room.out / "marks.csv").open(newline="") as file:
        _, _, *found = csv.reader(file)
    assert [row[0] for row in found] == ["Example, Alice", "'=HYPERLINK(1)", "'+1", r"\t@x"]
    assert [row[1:3] for row in found] == [["10", "000"], ["11", "001"], ["12", "002"], ["13", "003"]]
    report = "\n".join(room.report())
    assert "mallory: 0 points: is named after alice, and Canvas says that mallory sent it" in report
    assert "Canvas says that user 99 sent it, who is not in the roster" in report


@pytest.mark.parametrize("student", STUDENTS)
def test_gradescope_s_results_add_up(graded: Classroom, student: str) -> None:
    results = json.loads((graded.out / "gradescope" / f"{student}.json").read_text())
    assert results["visibility"] == "visible" and len(results["tests"]) == 2 * len(LEVELS)
    assert sum(test["max_score"] for test in results["tests"]) == POINTS
    assert f"{sum(test['score'] for test in results['tests']):g}" == graded.marks()[student]
    assert all(0 <= test["score"] <= test["max_score"] and test["output"] for test in results["tests"])


@pytest.mark.parametrize("student", STUDENTS)
def test_feedback_says_where_each_level_stands(graded: Classroom, student: str) -> None:
    page = Parsed((graded.out / "feedback" / f"{student}.html").read_text())
    assert page.loaded == []
    assert f"{student.title()} Example" in page.text and keys.public_id(KEY, student) in page.text
    assert all(level.asks in page.text for level in LEVELS)
    assert page.text.count("Next:") == {"alice": 0, "carol": len(LEVELS) - 1, "mallory": len(LEVELS)}.get(
        student, page.text.count("Next:")
    )
    pictures = sum(level.num_examples for level in LEVELS if not level.is_text)
    assert len(page.alts) == {"alice": pictures, "bob": pictures, "carol": 1, "mallory": 0}[student]
    assert all(page.alts)


def test_the_truth_is_shown_only_if_the_instructor_says_so(room: Classroom) -> None:
    def shown(student: str) -> int:
        page = (room.out / "feedback" / f"{student}.html").read_text()
        truth = LEVELS[0].secret(KEY, student).inputs[0]
        return page.count(base64.b64encode(png(truth)).decode())

    room.grade()
    assert [shown(student) for student in STUDENTS] == [1, 0, 1, 0], (
        "alice's and carol's own answers are exact"
    )
    room.grade(reveal=True)
    assert [shown(student) for student in STUDENTS] == [2, 1, 2, 1]


def test_the_leaderboard_names_nobody(graded: Classroom) -> None:
    text = (graded.out / "leaderboard.html").read_text()
    page = Parsed(text)
    assert page.loaded == [] and not any(student in text.lower() for student in STUDENTS)
    places = re.findall(r'<th scope="row">(\d)</th><td>(\w+)</td><td>([\d.]+)</td>', text)
    assert [p for p, _, _ in places] == ["1", "2", "3"]
    assert [name for _, name, _ in places] == [keys.public_id(KEY, s) for s in ("alice", "bob", "carol")]


def test_names_are_text_in_every_page(room: Classroom) -> None:
    room.roster.write_text(
        'id,name\nalice,<script>alert(1)</script>\nbob,"""><img src=x onerror=alert(1)>"\n'
    )
    room.put('"><img src=x>_1_2_bob-2.npz', b"")
    assert room.grade() == 0
    for path in (room.out / "feedback").iterdir():
        assert Parsed(path.read_text()).loaded == []


def test_every_level_has_its_hints() -> None:
    assert {level.name for level in LEVELS} == hints.LABELS.keys() == hints.INPUTS.keys()


def test_the_same_folder_gives_the_same_bytes_however_many_processes(
    room: Classroom, graded: Classroom
) -> None:
    assert room.grade() == 0
    assert room.files() == graded.files()
    assert room.grade() == 0, "results of an earlier run are replaced"
    assert room.files() == graded.files()
    assert [path.name for path in room.folder.iterdir() if ".part" in path.name] == []


def test_a_fault_of_the_grader_is_no_mark_and_no_secret(
    room: Classroom, graded: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one place where a fault is made on purpose: marking bob divides by zero."""
    real = grading.mark

    def faulty(group, student, *more):
        return 1 // 0 if student == "bob" else real(group, student, *more)

    monkeypatch.setattr(grading, "mark", faulty)
    assert room.grade() == 1
    assert room.marks() == graded.marks() | {"bob": ""}
    there, here = room.without("bob"), graded.without("bob")
    assert there | {"leaderboard.html": []} == here | {"leaderboard.html": []}, (
        "only carol's place is another"
    )
    assert [line for line in room.report() if "GRADER FAILED" in line and "ZeroDivisionError" in line]
    outcome = json.loads((room.out / "report.json").read_text())["outcomes"]["bob"]
    assert "faulty" in outcome["broken"] and outcome["levels"] == {}
    assert "no mark" in (room.out / "feedback" / "bob.html").read_text()
    monkeypatch.undo()
    assert room.grade() == 0 and room.files() == graded.files()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda room: room.key.unlink(), "there is no key file"),
        (lambda room: room.key.write_bytes(b"short"), "at least 16 bytes"),
        (lambda room: room.roster.write_text("id\n../x\n"), "line 2: expected an id"),
        (
            lambda room: setattr(room, "submissions", room.folder / "no"),
            "expected the folder with the students' files",
        ),
        (lambda room: setattr(room, "submissions", room.key), "expected the folder with the students' files"),
        (lambda room: setattr(room, "out", room.key), "expected a folder for the results"),
        (lambda room: setattr(room, "out", room.submissions), "holds files, and no results of grading"),
    ],
)
def test_what_cannot_be_used_is_said_and_left_alone(room: Classroom, change, words: str) -> None:
    change(room)
    before = tree(room.folder)
    with pytest.raises(ValueError, match=words):
        room.grade()
    assert tree(room.folder) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [("marks.csv", "changed by hand"), ("notes.txt", "mine"), ("feedback/alice.html", "changed")],
)
def test_what_someone_changed_in_the_results_is_not_lost(room: Classroom, name: str, content: str) -> None:
    room.grade()
    (room.out / name).write_text(content)
    before = tree(room.folder)
    with pytest.raises(ValueError, match=rf"was changed since it was written \({name}\)"):
        room.grade()
    assert tree(room.folder) == before


def test_kept_outcomes_are_plain_data() -> None:
    outcome = Outcome("a", "f", "r", ("n",))
    assert Outcome.from_json(outcome.to_json()) == outcome
