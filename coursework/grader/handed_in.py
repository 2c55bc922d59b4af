"""Who takes part where there is no roster: whoever's id is the name of a notebook."""

import os
from collections.abc import Iterable
from pathlib import Path

from leaklib.challenge.naming import readings
from leaklib.challenge.roster import ID, Student

ENDINGS = (".ipynb",)


def students(folder: Path) -> list[Student]:
    """One for each id among the names of notebooks: ``alice``, ``alice-2`` and ``ALICE`` are one student."""
    names = os.listdir(folder) if folder.is_dir() else []
    stems = sorted(Path(name).stem for name in names if Path(name).suffix.lower() in ENDINGS)
    ids = {id.lower(): id for id in reversed([_plain(stem) for stem in stems]) if ID.fullmatch(id)}
    kept = [id for low, id in sorted(ids.items()) if not _is_later(low, ids)]
    return [Student(id, id, {"id": id}) for id in kept]


def _plain(stem: str) -> str:
    """The id in a name as Canvas makes it, or the name itself."""
    return next((reading.id for reading in readings(stem) if reading.user is not None), stem)


def _is_later(id: str, ids: Iterable[str]) -> bool:
    return any(reading.id in ids for reading in readings(id) if reading.number > 1)
