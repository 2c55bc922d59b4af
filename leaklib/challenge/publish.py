"""A folder of results that is there whole or not at all.

What an instructor sees, at any moment and after any kill: the folder is missing, or it holds all files of
one finished run, the present or an earlier one. Work in progress lies beside it, in ``<folder>.part``; the
same command takes it up again, and it is gone once the folder is complete.

The last file of a run, ``report.json``, names all others with their SHA-256. A folder is replaced only if it
holds these and nothing else: a mark that someone changed, or a note that someone put there, is never lost.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from leaklib.challenge.files import clean, shown, sync_folder, write_whole
from leaklib.challenge.outcome import sha256
from leaklib.named import listed

FORMAT = "leaklib challenge marks 1"
REPORT = "report.json"


class Workshop:
    """Where the results of one run are made: ``kept`` holds outcomes, ``new`` the files to be published."""

    def __init__(self, out: Path, format: str) -> None:
        self.format = format
        self.out = Path(os.path.realpath(out))
        self.folder = self.out.with_name(f"{self.out.name}.part")
        self.kept, self.new, self.old = (self.folder / name for name in ("kept", "new", "old"))

    def write(self, name: str, text: str) -> str:
        """A file of the results, below ``new``; returns its SHA-256."""
        data = text.encode()
        write_whole(self.new / name, data)
        return sha256(data)

    def publish(self, report: dict[str, object], files: dict[str, str]) -> None:
        """Put ``new``, which holds ``files``, by name with their SHA-256, in the place of ``out``."""
        wanted = {*files, REPORT}
        for name in _names(self.new) - wanted:  # of students who have left the roster since the last start
            (self.new / name).unlink()
        whole = {"format": self.format, **report, "files": dict(sorted(files.items()))}
        self.write(REPORT, json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        for folder in {(self.new / name).parent for name in wanted}:
            sync_folder(folder)
        if self.out.exists():
            # Again: grading took a while, in which someone may have changed it.
            _check_ours(self.out, self.format)
            os.rename(self.out, self.old)
        os.rename(self.new, self.out)
        sync_folder(self.out.parent)
        shutil.rmtree(self.folder)


@contextlib.contextmanager
def workshop(out: Path, folders: tuple[str, ...], format: str = FORMAT) -> Iterator[Workshop]:
    """Where to make results for ``out``, with what an earlier run left; ``folders`` are those below ``new``.

    ``format`` names their kind: results of one kind never take the place of another's.

    ValueError, before anything is touched, if ``out`` holds something else than results of an earlier run as
    it left them, or if another run is at work on them.
    """
    place = Workshop(out, format)
    if place.out == place.out.parent:
        raise ValueError(f"{out}: expected a folder for the results, name a new one")
    if place.out.exists() and not place.old.exists():
        _check_ours(place.out, format)
    place.folder.mkdir(parents=True, exist_ok=True)
    with _alone(place.folder / "lock", out):
        # A run that was killed in between has put the old results away, and the new ones not yet in place.
        if place.old.exists() and not place.out.exists():
            os.rename(place.old, place.out)
        if place.out.exists():
            _check_ours(place.out, format)
        if place.old.exists():
            shutil.rmtree(place.old)
        for folder in (place.kept, place.new, *(place.new / name for name in folders)):
            folder.mkdir(exist_ok=True)
            clean(folder)
        yield place


@contextlib.contextmanager
def _alone(path: Path, out: Path) -> Iterator[None]:
    """Hold the lock on ``path``, which the system takes back from whoever is killed."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows: there, nothing keeps two runs apart
        yield
        return
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"another run writes results for {out}: wait for it, or name another folder"
            ) from error
        yield


def _check_ours(out: Path, format: str) -> None:
    """ValueError unless ``out`` is empty, or holds what a run wrote and nothing else."""
    if not out.is_dir():
        raise ValueError(f"{out}: expected a folder for the results, and this is none: name a new one")
    names = _names(out)
    if not names:
        return
    try:
        report = json.loads((out / REPORT).read_bytes())
        files = dict(report["files"]) if report["format"] == format else None
    except (OSError, ValueError, KeyError, TypeError):
        files = None
    if files is None:
        raise ValueError(f"{out} holds files, and no results of grading: name a new folder")
    changed = {name for name, digest in files.items() if name not in names or _digest(out / name) != digest}
    if odd := changed | (names - files.keys() - {REPORT}):
        names = listed(shown(name) for name in odd)
        raise ValueError(
            f"{out} was changed since it was written ({names}): move it away, or name a new folder"
        )


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()) if path.is_file() and not path.is_symlink() else ""


def _names(folder: Path) -> set[str]:
    """All that lies below a folder and is no folder itself, with / between the parts of a name."""
    return {
        (Path(root) / name).relative_to(folder).as_posix()
        for root, folders, names in os.walk(folder)
        for name in [*names, *(name for name in folders if (Path(root) / name).is_symlink())]
    }
