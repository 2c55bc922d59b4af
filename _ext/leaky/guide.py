"""What the instructor's guide takes from the chapters, so that nothing is typed twice.

    ```{plan} six                  ```{objectives}                ```{decks}
    ```                            ```                            ```

A plan of ``instructor/weeks.yml`` becomes a table: a row for each of its weeks or days, with its chapters and
exercises, and with their minutes added up. The objectives are what each chapter says its reader can do. The
decks are the weeks with slides.
"""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from leaky.repository import ROOT

WEEKS = ROOT / "instructor" / "weeks.yml"
MINUTES = re.compile(r"\{\.meta\}\n(?:[●○]{3} · )?(\d+) minutes?\b")
EXERCISE = re.compile(r"^(:::+)\{exercise\} *([^\n]*)\n:label: (\S+)\n.*?^\1 *$", re.MULTILINE | re.DOTALL)
LABEL = re.compile(r"^\((ch-[\w-]+)\)=$", re.MULTILINE)
OBJECTIVES = re.compile(r"\n:class: objectives\n(.*?)\{\.meta\}", re.DOTALL)


def setup(app):
    app.add_directive("plan", Plan)
    app.add_directive("objectives", Objectives)
    app.add_directive("decks", Decks)


@dataclass(frozen=True)
class Chapter:
    name: str  # 03_dlg
    label: str  # ch-dlg
    minutes: int  # to read it
    exercises: dict[str, int]  # the minutes of each, by its label
    objectives: str  # a list in MyST


@functools.cache
def chapters() -> dict[str, Chapter]:
    """The numbered chapters by name, as their notebooks say."""
    return {path.stem: chapter(path) for path in sorted((ROOT / "chapters").glob("[0-9]*.ipynb"))}


def chapter(path: Path) -> Chapter:
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    exercises = {found[3]: int(MINUTES.search(found[0])[1]) for found in EXERCISE.finditer(text)}
    return Chapter(
        path.stem,
        LABEL.search(text)[1],
        int(MINUTES.search(text)[1]),
        exercises,
        OBJECTIVES.search(text)[1].strip(),
    )


@functools.cache
def weeks() -> dict:
    return yaml.safe_load(WEEKS.read_text(encoding="utf8"))


class Guide(SphinxDirective):
    """Writes MyST, which is read where it stands."""

    def read(self, lines: list[str]) -> list[nodes.Node]:
        self.env.note_dependency(str(WEEKS))
        for name in chapters():
            self.env.note_dependency(str(ROOT / "chapters" / f"{name}.ipynb"))
        found = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(WEEKS)), self.content_offset, found)
        return found.children

    def known(self, name: str) -> Chapter:
        if name not in chapters():
            raise self.error(f"{WEEKS.name}: there is no chapter {name}, only {', '.join(chapters())}")
        return chapters()[name]

    def exercise(self, label: str) -> int:
        found = [one.exercises[label] for one in chapters().values() if label in one.exercises]
        if not found:
            raise self.error(f"{WEEKS.name}: no chapter has an exercise {label}")
        return found[0]

    def link(self, name: str) -> str:
        """A chapter by its number and name; where it is not built, by its name alone."""
        there = f"chapters/{name}" in self.env.found_docs
        return (
            f"{{numref}}`{{number}} · {{name}} <{chapters()[name].label}>`"
            if there
            else name.replace("_", " ")
        )

    def number(self, label: str) -> str:
        home = next(one.name for one in chapters().values() if label in one.exercises)
        there = f"chapters/{home}" in self.env.found_docs
        return f"{{numref}}`%s <{label}>`" if there else f"`{label}`"


class Plan(Guide):
    required_arguments = 1

    def run(self):
        name, plans = self.arguments[0], weeks()["plans"]
        if name not in plans:
            raise self.error(f"{WEEKS.name} has no plan {name}, only {', '.join(plans)}")
        rows = [self.row(number, row) for number, row in enumerate(plans[name]["rows"], 1)]
        totals = [sum(row[1][place] for row in rows) for place in range(3)]
        head = f"| {plans[name]['unit']} | read | in class | at home | hand out |\n|---|---|---|---|---|"
        total = f"| **together** | {hours(totals[0])} | {hours(totals[1])} | {hours(totals[2])} | |"
        return self.read([*head.splitlines(), *(line for line, _ in rows), total])

    def row(self, number: int, row: dict) -> tuple[str, tuple[int, int, int]]:
        """A row of the table, and its minutes of reading, of exercises in class and at home."""
        minutes = (
            sum(self.known(name).minutes for name in row["read"]),
            sum(map(self.exercise, row.get("in_class", []))),
            sum(map(self.exercise, row.get("at_home", []))),
        )
        cells = [
            f"**{number}** · {row['title']}",
            f"{'; '.join(map(self.link, row['read']))} · {hours(minutes[0])}",
            self.exercises(row.get("in_class", []), minutes[1]),
            self.exercises(row.get("at_home", []), minutes[2]),
            row.get("hand_out", ""),
        ]
        return f"| {' | '.join(cells)} |", minutes

    def exercises(self, labels: list[str], minutes: int) -> str:
        return f"{', '.join(map(self.number, labels))} · {hours(minutes)}" if labels else ""


def hours(minutes: int) -> str:
    """Two hours and five minutes as 2 h 05, with spaces at which no line breaks."""
    text = f"{minutes // 60} h {minutes % 60:02}" if minutes >= 60 else f"{minutes} min"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


class Objectives(Guide):
    def run(self):
        lines = []
        for name, one in chapters().items():
            lines += [f"**{self.link(name)}**", "", *one.objectives.splitlines(), ""]
        return self.read(lines)


class Decks(Guide):
    def run(self):
        rows = enumerate(weeks()["plans"]["six"]["rows"], 1)
        return self.read([f"{number}. {self.deck(number, row)}" for number, row in rows])

    def deck(self, number: int, row: dict) -> str:
        # Written when the pages are there: to the build an address like any other.
        address = f"<a class='reference external' href='../slides/week-{number}.html'>{row['title']}</a>"
        return f"{address}: {'; '.join(map(self.link, row['read']))}"
