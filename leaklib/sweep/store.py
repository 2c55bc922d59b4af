"""Where rows lie: the book's own in the package, a reader's in the cache folder.

Chapters: 8, 9, 11, 12, 15.
"""

import os
import sys
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile

from leaklib.experiment import Experiment
from leaklib.sweep.key import key
from leaklib.sweep.rows import Row, read_row, write_row
from leaklib.sweep.witness import agree, available, witness

BOOK = files("leaklib").joinpath("results", "sweeps.jsonl")


def cache_folder() -> Path:
    """Where a reader's own rows lie: ``leaklib`` in the user's folder for caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "leaklib" / "sweeps"


def cached(experiment: Experiment) -> Row | None:
    """The stored row of ``experiment``, or None if there is none that the present code gives.

    A row of one's own is believed if its witness, computed again, agrees: that takes a moment, and sees what
    changes the first numbers of an attack, not what it does only later. After such a change delete the
    folder. Where the files of its pictures are missing, it is believed as it is. The book's rows are checked
    by the tests of the package.
    """
    name = key(experiment)
    row = _own(name)
    if row is not None and (not available(experiment) or agree(row.witness, witness(experiment))):
        return row
    return _book().get(name)


@lru_cache
def _book() -> dict[str, Row]:
    """The rows that ship with the package."""
    lines = BOOK.read_text(encoding="utf8").splitlines() if BOOK.is_file() else []
    return {row.key: row for row in map(read_row, lines)}


def _own(name: str) -> Row | None:
    path = cache_folder() / f"{name}.json"
    if not path.is_file():
        return None
    try:
        row = read_row(path.read_text(encoding="utf8"))
        if row.key != name:
            raise ValueError(f"it holds the row of experiment {row.key}")
        return row
    except ValueError as error:
        print(f"{path} is skipped, its experiment runs again: {error}", file=sys.stderr)
        return None


def keep(row: Row) -> None:
    """Under its final name only when it is complete, so that no interrupt leaves half a row."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False, encoding="utf8") as file:
        file.write(write_row(row))
    os.replace(file.name, folder / f"{row.key}.json")
