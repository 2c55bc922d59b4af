"""What an instructor and a learning platform read: Canvas's CSV, Gradescope's JSON, the report.

A name that begins like a formula gets an apostrophe in the CSV, so that no spreadsheet computes it.
"""

import csv
import io
import json
from collections.abc import Iterable

from leaklib.challenge.files import shown
from leaklib.challenge.levels import Level
from leaklib.challenge.outcome import Outcome, Standing
from leaklib.challenge.roster import CANVAS, Student, is_canvas
from leaklib.challenge.submissions import Line

ASSIGNMENT = "Steal your picture back"


def number(value: float | int) -> str:
    """Points as people write them: 2, 2.5."""
    return f"{value:g}"


def cell(text: str) -> str:
    """``text`` as a cell that no spreadsheet takes for a formula, on one line."""
    text = shown(text, 500)
    return f"'{text}" if text.lstrip()[:1] in tuple("=+-@") else text


def canvas(students: list[Student], outcomes: list[Outcome], levels: Iterable[Level]) -> str:
    """A gradebook in Canvas's layout: the points of each student, none where the grader itself failed."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CANVAS, ASSIGNMENT])
    writer.writerow(["    Points Possible", "", "", "", "", number(sum(level.points for level in levels))])
    for student, outcome in zip(students, outcomes, strict=True):
        known = (
            [student.columns[title] for title in CANVAS]
            if is_canvas([student])
            else [student.name, "", student.id, student.id, ""]
        )
        writer.writerow([*map(cell, known), "" if outcome.broken else number(outcome.points)])
    return out.getvalue()


def gradescope(outcome: Outcome, levels: Iterable[Level]) -> str:
    """The ``results.json`` that Gradescope expects of an autograder: two tests for each level."""
    tests = [test for level in levels for test in _tests(level, outcome.levels.get(level.name))]
    head = "The grader failed here: this is no mark. Ask your instructor." if outcome.broken else ""
    output = " ".join(part for part in (head, says(outcome)) if part)
    results = {"output": output, "visibility": "visible", "stdout_visibility": "hidden", "tests": tests}
    return json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _tests(level: Level, standing: Standing | None) -> list[dict[str, object]]:
    standing = standing or Standing("missing")
    what = "tokens" if level.is_text else "pictures"
    parts = [
        ("labels", standing.label_points, level.label_points, _labels(level, standing)),
        (what, standing.input_points, level.points - level.label_points, _inputs(level, standing)),
    ]
    return [
        dict(name=f"{level.title}: {name}", score=got, max_score=most, output=output, visibility="visible")
        for name, got, most, output in parts
    ]


def says(outcome: Outcome) -> str:
    """One sentence on the file as a whole."""
    if not outcome.file and not outcome.refusal:
        return "Nothing was handed in."
    return f"The file {outcome.file} {outcome.refusal}." if outcome.refusal else f"Read: {outcome.file}."


def stands(level: Level, standing: Standing) -> str:
    """One sentence on a level that was not marked on its merits; empty if it was."""
    return {
        "marked": "",
        "missing": "Not handed in.",
        "refused": f"Does not count: {standing.says}.",
        "foreign": "Does not count: this is what another student's client held, not yours.",
    }[standing.state]


def _labels(level: Level, standing: Standing) -> str:
    return stands(level, standing) or f"{standing.labels_right} of {level.num_examples} right."


def _inputs(level: Level, standing: Standing) -> str:
    return stands(level, standing) or " ".join(
        f"{example(level, i)}: {reached(level, standing, i)}." for i in range(level.num_examples)
    )


def example(level: Level, i: int) -> str:
    """Picture 2, or Picture if there is one."""
    return ("Phrase" if level.is_text else "Picture") + (f" {i + 1}" if level.num_examples > 1 else "")


def reached(level: Level, standing: Standing, i: int) -> str:
    """What example ``i`` reached, beside what costs nothing and what earns points."""
    value, floor, bands = standing.reached[i], standing.floor[i], standing.bands[i]
    if level.is_text:
        floor = f"the words in random order give {floor:.0%}"
        return f"{value:.0%} of the tokens; {floor}, all points need {bands[-1]:.0%}"
    needed = " and at ".join(f"{band:.1f}" for band in bands)
    return f"{decibel(value)}; a gray picture has {floor:.1f} dB, there are points at {needed} dB"


def decibel(value: float) -> str:
    return "the same to the bit" if value >= 150 else f"{value:.1f} dB"


def lines(students: list[Student], outcomes: list[Outcome], others: Iterable[Line]) -> list[Line]:
    """What an instructor should look at, then one line per file that counted, then who handed in nothing."""
    faults, files, silent = list(others), list[Line](), list[Line]()
    for outcome in outcomes:
        faults += _faults(outcome)
        if outcome.file and not outcome.refusal:
            marked = sum(standing.state == "marked" for standing in outcome.levels.values())
            says = f"{number(outcome.points)} points, {marked} of {len(outcome.levels)} levels marked"
            files.append(Line(says, outcome.file, outcome.student))
        elif not outcome.file and not outcome.refusal:
            silent.append(Line("nothing was handed in", "", outcome.student))
    return [*faults, *_equal(outcomes), *files, *silent]


def _faults(outcome: Outcome) -> list[Line]:
    me = outcome.file, outcome.student
    if outcome.broken:
        last = outcome.broken.strip().splitlines()[-1]
        return [Line(f"THE GRADER FAILED, so there is no mark: {shown(last, 300)}", *me)]
    if outcome.refusal:
        return [Line(f"0 points: {outcome.refusal}", *me)]
    found = [Line(note, *me) for note in outcome.notes]
    for name, standing in outcome.levels.items():
        if standing.state == "refused":
            found.append(Line(f"0 points: {standing.says}", *me, name))
        if standing.state == "foreign":
            found.append(Line(f"0 points: this is what {standing.says} holds", *me, name))
    return found


def _equal(outcomes: list[Outcome]) -> list[Line]:
    """Answers that are the same to the bit. Two students hold different secrets: honest work never is."""
    groups: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        for name, standing in outcome.levels.items():
            if standing.digest:
                groups.setdefault((name, standing.digest), []).append(outcome.student)
    levels: dict[str, list[str]] = {}
    for (name, _), ids in groups.items():
        if len(ids) > 1:
            levels.setdefault(", ".join(ids), []).append(name)
    return [
        Line(f"the same answer to the bit from {ids}", level=", ".join(names))
        for ids, names in levels.items()
    ]


def report(
    students: list[Student], outcomes: list[Outcome], levels: Iterable[Level], found: Iterable[Line]
) -> str:
    """The report as text: a head, then one line per file and fault."""
    levels = list(levels)
    possible = sum(level.points for level in levels)
    handed = sum(bool(outcome.file) for outcome in outcomes)
    broken = sum(bool(outcome.broken) for outcome in outcomes)
    head = [
        f"{len(students)} students, {handed} with a file, {len(levels)} levels, {possible} points possible.",
        f"THE GRADER ITSELF FAILED on {broken}: they have no mark." if broken else "",
        *(_level(level, outcomes) for level in levels),
    ]
    return "\n".join([*(line for line in head if line), "", *map(str, found)]) + "\n"


def _level(level: Level, outcomes: list[Outcome]) -> str:
    """How a level went."""
    found = [o.levels[level.name] for o in outcomes if level.name in o.levels]
    marked = [standing for standing in found if standing.state == "marked"]
    full = sum(standing.points == level.points for standing in marked)
    mean = sum(standing.points for standing in marked) / max(1, len(marked))
    full_marks = f"{full} of them with all {level.points} points"
    return f"{level.name}: {len(marked)} marked, {full_marks}, {mean:.1f} on average"
