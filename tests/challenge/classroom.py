"""A small class with a key: what each student would hand in, and how its marks are compared."""

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from leaklib.challenge.grading import grade
from leaklib.challenge.levels import LEVELS

KEY = b"0123456789abcdef0123456789abcdef"
STUDENTS = ["alice", "bob", "carol", "mallory"]
POINTS = sum(level.points for level in LEVELS)
Arrays = dict[str, np.ndarray]


def arrays(student: str, noise: float = 0.0, levels: Iterable[str] = ()) -> Arrays:
    """What ``student`` should hand in, with noise on the pictures; of some levels, or of all."""
    rng = np.random.default_rng(len(student))
    found = {}
    for level in LEVELS:
        if levels and level.name not in levels:
            continue
        truth = level.secret(KEY, student)
        values = truth.inputs.numpy()
        if not level.is_text:
            values = (values + noise * rng.standard_normal(values.shape)).clip(0, 1).astype(np.float32)
        found |= {f"{level.name}.inputs": values, f"{level.name}.labels": truth.labels.numpy()}
    return found


class Classroom:
    """A folder with key and roster, in which three students have handed in: all, most, and one level."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.submissions, self.out = folder, folder / "submissions", folder / "marks"
        self.key, self.roster = folder / "key", folder / "roster.csv"
        self.submissions.mkdir()
        self.key.write_bytes(KEY)
        self.roster.write_text("id,name\n" + "".join(f"{id},{id.title()} Example\n" for id in STUDENTS))
        for name, content in (
            ("alice", arrays("alice")),
            ("bob", arrays("bob", noise=0.06)),
            ("carol", arrays("carol", levels=["linear"])),
        ):
            self.put(f"{name}.safetensors", save(content))

    def put(self, name: str | bytes, data: bytes) -> None:
        path = self.submissions / name if isinstance(name, str) else bytes(self.submissions) + b"/" + name
        with open(path, "wb") as file:
            file.write(data)

    def grade(self, **options) -> int:
        return grade(self.submissions, self.key, self.roster, self.out, jobs=1, **options)

    def files(self) -> dict[str, bytes]:
        return tree(self.out)

    def report(self) -> list[str]:
        return (self.out / "report.txt").read_text().splitlines()

    def marks(self) -> dict[str, str]:
        with (self.out / "marks.csv").open(newline="") as file:
            return {row["SIS Login ID"]: row["Steal your picture back"] for row in csv.DictReader(file)}

    def without(self, student: str) -> dict[str, object]:
        """All that the results say of everyone else, to the byte."""
        files = self.files()
        report = json.loads(files["report.json"])
        pages = {n: data for n, data in files.items() if "/" in n and Path(n).stem != student}
        mine = re.search(r"<code>(\w+)</code>", files[f"feedback/{student}.html"].decode())
        assert mine is not None
        board = re.findall("<tr>.*", files["leaderboard.html"].decode())
        return {
            **pages,
            "marks.csv": [
                row for row in files["marks.csv"].splitlines() if student.encode() not in row.lower()
            ],
            "leaderboard.html": [row for row in board if mine[1] not in row],
            "outcomes": {name: found for name, found in report["outcomes"].items() if name != student},
            "lines": [line for line in report["lines"] if line["student"] in {*STUDENTS} - {student}],
        }


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
