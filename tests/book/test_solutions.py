"""Every exercise says how hard and long it is and what should come out, and has a solution for instructors.

`chapters/conftest.py` runs the solutions behind their chapter and compares what they print.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))
EXERCISE = re.compile(
    r"^(?P<box>:::+)\{exercise\} *(?P<title>.*)\n(?P<options>(?::[\w-]+:.*\n)*)"
    r"(?P<text>(?s:.*?))^(?P=box) *$",
    re.M,
)
# What students compare their own result with, since they have no solution.
GIVEN = re.compile(r"^:::\{dropdown\} What should come out\n(.+?)\n:::\n\Z", re.M | re.S)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SOLUTION = re.compile(r"^:::+\{solution\} (\S+)", re.M)
CODE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
RESULT = re.compile(r"^```text\n(.*?)^```", re.M | re.S)
SPELLED = "zero one two three four five six seven eight nine ten".split()
META = re.compile(r"\s*\{\.meta\}\n(●○○|●●○|●●●) · \d+ minutes?\b[^\n]*\n")
DRAWS = re.compile(r"\b(?:panels|show_images|loss_curve|spread|trade_off|explore|plot|scatter|show)\(")


def words(solution: str) -> int:
    """How many words stand in a solution, its code and results aside."""
    text = re.sub(r"^```.*?^```|^:[^\n]*$|<!--.*?-->", "", solution, flags=re.M | re.S)
    return len(re.findall(r"[^\W\d_]+|\$[^$]+\$", text))


def faults(exercise: re.Match[str], solution: str) -> Iterator[str]:
    """What an exercise or its solution lacks, in words."""
    meta = META.match(exercise["text"])
    if not exercise["title"].strip():
        yield "no title"
    level = re.search(r"^:class: level-([123])$", exercise["options"], re.M)
    if not level:
        yield "no :class: level-1, level-2 or level-3"
    if not meta:
        yield "its first paragraph is not {.meta}, then a line such as ●○○ · 10 minutes · pencil"
    elif level and meta[1].count("●") != int(level[1]):
        yield f"{meta[1]} is not level {level[1]}"
    if ":class: dropdown" not in solution:
        yield "its solution is not folded"
    code = CODE.findall(solution)
    if not code and not (meta and "pencil" in meta[0]):
        yield "nothing is computed, and it is not for the pencil"
    if len(code) > 1:
        yield "its code stands in more than one block"
    if code and not RESULT.search(solution) and not (DRAWS.search(code[0]) and "print(" not in code[0]):
        yield "its solution does not show what is printed"
    if words(solution) < 8:
        yield "its solution says too little"
    given = GIVEN.search(exercise["text"])
    if not given:
        yield "it does not end with what should come out"
        return
    known = numbers(solution + exercise["text"][: given.start()]) | said(solution)
    if unknown := sorted(numbers(given[1]) - known):
        yield f"what should come out says {', '.join(unknown)}, which neither its text nor its solution says"


def said(text: str) -> set[str]:
    """The small numbers that a text writes as words."""
    return {str(number) for number, word in enumerate(SPELLED) if re.search(rf"\b{word}\b", text, re.I)}


def numbers(text: str) -> set[str]:
    """The numbers of a text as they would be written alone, without zeros at their end."""
    digits = re.sub(r"(?<=\d)(?:,|\{,\})(?=\d{3})", "", text)
    return {f"{float(number):g}" for number in NUMBER.findall(digits)}


def all_faults(cells: list[str], least: int) -> Iterator[str]:
    exercises, solutions = {}, {}
    for cell in cells:
        for found in EXERCISE.finditer(cell):
            label = re.search(r"^:label: (\S+)$", found["options"], re.M)
            exercises[label[1] if label else found["title"]] = found
        for found in SOLUTION.finditer(cell):
            solutions[found[1]] = cell
    if list(exercises) != list(solutions):
        yield f"exercises {list(exercises)}, but solutions {list(solutions)}"
    if len(exercises) < least:
        yield f"{len(exercises)} exercises, fewer than {least}"
    if least and not any(
        "pencil" in exercise["text"].partition("\n\n")[0] for exercise in exercises.values()
    ):
        yield "no exercise for the pencil"
    for label in exercises.keys() & solutions.keys():
        yield from (f"{label}: {fault}" for fault in faults(exercises[label], solutions[label]))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_is_complete(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    text = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    # A page without a number is a guide, not a chapter.
    found = sorted(all_faults(text, least=3 if path.stem[:2].isdigit() else 0))
    assert not found, "\n".join(found)


SOUND = [
    """## Exercises

::::{exercise} One row
:label: ex-row
:class: level-1

{.meta}
●○○ · 10 minutes · pencil

How much of it?
:::{dropdown} What should come out
A half, as 2 of 4 rows.
:::
::::""",
    """::::{solution} ex-row
:class: dropdown

Half of it, 2 of 4, since the other half is what nobody sent.
::::""",
    """::::{exercise} Two rows
:label: ex-rows
:class: level-2

{.meta}
●●○ · 15 minutes · code

Count them.
:::{dropdown} What should come out
2
:::
::::""",
    """::::{solution} ex-rows
:class: dropdown

```python
print(2)
```

```text
2
```

Two rows are left, since one of them stands in the other.
::::""",
]
BROKEN = {
    "title": ("{exercise} One row", "{exercise}", "ex-row: no title"),
    "level": (":class: level-1\n", "", "ex-row: no :class:"),
    "meta": ("{.meta}\n●○○ · 10 minutes · pencil", "Easy.", "ex-row: its first paragraph"),
    "minutes": ("15 minutes", "short", "ex-rows: its first paragraph"),
    "circles": ("●●○", "●●●", "●●● is not level 2"),
    "unfolded": (":class: dropdown\n\nHalf", "\nHalf", "ex-row: its solution is not folded"),
    "no code": ("```python\nprint(2)\n```", "", "ex-rows: nothing is computed"),
    "two blocks": ("```text", "```python\n```\n\n```text", "more than one block"),
    "no result": ("```text\n2\n```", "", "ex-rows: its solution does not show"),
    "no words": ("Half of it, 2 of 4, since the other half is what nobody sent.", "2 of 4", "too little"),
    "nothing to compare": (":::{dropdown} What should come out\n2\n:::\n", "", "ex-rows: it does not end"),
    "another result": ("A half, as 2 of 4 rows.", "3 of 4 rows.", "ex-row: what should come out says 3"),
    "no pencil": ("minutes · pencil", "minutes · code", "no exercise for the pencil"),
    "no solution": ("{solution} ex-rows", "{solution} ex-row-2", "but solutions"),
    "few": (SOUND[0], "", "1 exercises, fewer than 2"),
}


def test_a_complete_exercise_passes() -> None:
    assert list(all_faults(SOUND, least=2)) == []


@pytest.mark.parametrize("name", BROKEN)
def test_an_incomplete_exercise_is_seen(name: str) -> None:
    old, new, expected = BROKEN[name]
    assert any(old in cell for cell in SOUND)
    assert expected in "\n".join(all_faults([cell.replace(old, new) for cell in SOUND], least=2))
