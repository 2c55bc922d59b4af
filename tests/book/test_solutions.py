"""Every hidden solution runs, in the state that its chapter leaves behind."""

import json
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

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
    assert len(exercises) >= 3 and list(solutions) == exercises
    assert all(solutions.values())
    assert all(":class: dropdown" in cell for cell in text if SOLUTION.search(cell))


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_solutions_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib.use("Agg")
    monkeypatch.setattr(plt, "show", plt.close)
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("me.jpg")  # the reader's own picture
    state: dict[str, object] = {"__name__": "chapter"}
    for source in cells(path, "code"):
        exec(source, state)
    for cell in cells(path, "markdown"):
        if found := SOLUTION.search(cell):
            for source in CODE.findall(cell):
                exec(compile(source, found[1], "exec"), dict(state))
