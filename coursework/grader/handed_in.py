"""Who takes part where there is no roster: whoever's id is the name of a notebook."""

from collections.abc import Iterable
from pathlib import Path

from leaklib.challenge.naming import readings
from leaklib.challenge.roster import ID, Student

ENDINGS = (".ipynb",)


def students(folder: Path) -> list[Student]:
    """One for each id among the names of notebooks: ``alice``, ``alice-2`` and ``ALICE`` are one student."""
    stems = sorted(path.stem for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    names = {id.lower(): id for id in reversed([_plain(stem) for stem in stems]) if ID.fullmatch(id)}
    kept = [id for low, id in sorted(names.items()) if not _is_later(low, names)]
    return [Student(id, id, {"id": id}) for id in kept]


def _plain(stem: str) -> str:
    """The id in a name as Canvas makes it, or the name itself."""
    return next((reading.id for reading in readings(stem) if reading.user is not None), stem)


def _is_later(name: str, names: Iterable[str]) -> bool:
    return any(reading.id in names for reading in readings(name) if reading.number > 1)
