"""What the tests of the grader share: a small assignment, as `make coursework` writes it, and notebooks."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

# Asked of bubblewrap itself, not of the grader: where it may build no walls, no submission can be tested.
BUILT = ["bwrap", "--unshare-pid", "--unshare-net", "--ro-bind", "/", "/", "true"]
walls = pytest.mark.skipif(
    shutil.which("bwrap") is None or subprocess.run(BUILT, capture_output=True).returncode != 0,
    reason="submissions run only under bubblewrap, which is not installed here, or not allowed",
)

TASKS = [
    {
        "task": "7.1",
        "title": "Twice as much",
        "points": 2,
        "probe": (
            "def probe_7_1(submitted):\n"
            "    import numpy\n"
            "    return {'y': numpy.asarray(submitted['double'](numpy.arange(4.0)))}"
        ),
        "judge": (
            "def judge_7_1(answers):\n"
            "    import torch\n"
            "    return 2 * float((answers['y'] == torch.arange(4.0) * 2).double().mean() == 1)"
        ),
    },
    {
        "task": "7.2",
        "title": "Squares",
        "points": 4,
        "probe": (
            "def probe_7_2(submitted):\n"
            "    import numpy\n"
            "    return {'y': numpy.asarray(submitted['square'](numpy.arange(4.0)))}"
        ),
        "judge": (
            "def judge_7_2(answers):\n"
            "    import torch\n"
            "    return 4 * float((answers['y'] == torch.arange(4.0) ** 2).double().mean())"
        ),
    },
]

DOUBLE, SQUARE = "def double(x):\n    return 2 * x", "def square(x):\n    return x * x"
SQUARE_HALF = "def square(x):\n    return x"  # right for 0 and 1 only


def write_assignment(folder: Path, number: int = 7) -> Path:
    path = folder / f"{number}.json"
    path.write_text(
        json.dumps({"assignment": number, "name": "7_small", "title": "Assignment 7: Small", "tasks": TASKS})
    )
    return path


def notebook(*cells: str, **fields: object) -> str:
    """A notebook as Jupyter writes it, of code cells."""
    made = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells]
    text = {"cell_type": "markdown", "metadata": {}, "source": "# A title"}
    return json.dumps({"cells": [text, *made], "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | fields)
