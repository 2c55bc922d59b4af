"""Every exercise has a hidden solution that computes; `chapters/conftest.py` runs it after its chapter."""

import json
import re
from pathlib import Path

import pytest

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))
EXERCISE = re.compile(r"\{exercise\}.*?:label: (\S+)", re.DOTALL)
SOLUTION = re.compile(r"\{solution\} (\S+)")
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def cells(path: Path, kind: str) -> list[str]:
    return ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == kind]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_has_a_solution_that_computes(path: Path) -> None:
    text = cells(path, "markdown")
    exercises = [found[1] for cell in text if (found := EXERCISE.search(cell))]
    solutions = {found[1]: CODE.findall(cell) for cell in text if (found := SOLUTION.search(cell))}
    least = 3 if path.stem[:2].isdigit() else 0  # a page without a number is a guide, not a chapter
    assert len(exercises) >= least and list(solutions) == exercises
    assert all(solutions.values())
    assert all(":class: dropdown" in cell for cell in text if SOLUTION.search(cell))
