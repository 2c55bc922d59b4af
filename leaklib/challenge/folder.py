"""The folder of an issued challenge: what identifies it, and where its files lie.

    OUT/issue.json             of which key, roster and version everything here is
    OUT/students/<id>.safetensors      what students receive
    OUT/proofs/<id>.json       what the reference attack made of a student's file
    OUT/report.txt report.json

Until every proof has succeeded students' files lie in ``OUT/unproved`` instead of ``OUT/students``.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from leaklib.challenge import handout, keys
from leaklib.challenge.files import clean, write_whole
from leaklib.challenge.proofs import Proof
from leaklib.challenge.roster import Student

ENDING = ".safetensors"


@dataclass(frozen=True)
class Folder:
    """Where a challenge is issued to: ``path`` is OUT."""

    path: Path

    @property
    def unproved(self) -> Path:
        return self.path / "unproved"

    @property
    def students(self) -> Path:
        return self.path / "students"

    @property
    def proofs(self) -> Path:
        return self.path / "proofs"

    @property
    def identity(self) -> Path:
        return self.path / "issue.json"

    def open(self, key: bytes, students: list[Student]) -> None:
        """Begin here, or go on. ValueError if what lies here is of another key, roster or version."""
        ids = json.dumps([student.id for student in students])
        own = {
            "version": handout.version(),
            "key": keys.derived(key, "fingerprint").hex()[:16],
            "roster": sha256(ids.encode()).hexdigest()[:16],
        }
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} must be a folder, or not be there yet: choose another --out")
        if self.identity.is_file():
            self._check(own)
        elif self.path.is_dir() and any(p for p in self.path.iterdir() if not p.name.startswith(".")):
            raise ValueError(f"{self.path} holds other files already: choose an empty folder as --out")
        self.path.mkdir(parents=True, exist_ok=True)
        clean(self.path)
        write_whole(self.identity, text(own))
        if not self.students.is_dir():
            self.unproved.mkdir(exist_ok=True)
        self.proofs.mkdir(exist_ok=True)
        clean(self.working)
        clean(self.proofs)

    @property
    def working(self) -> Path:
        """Where students' files are written."""
        return self.students if self.students.is_dir() else self.unproved

    def file(self, student: str) -> Path:
        return self.working / f"{student}{ENDING}"

    def proofs_of(self, student: str) -> dict[str, Proof]:
        """By level what was proved on this student's file, in an earlier run or this one."""
        path = self.proofs / f"{student}.json"
        if not path.is_file():
            return {}
        try:
            found = [Proof.from_json(row) for row in json.loads(path.read_text(encoding="utf8"))]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged: delete it, and it is proved again") from error
        return {proof.level: proof for proof in found}

    def keep_proofs(self, student: str, proofs: Iterable[Proof]) -> None:
        """Without processor times: they would make two runs differ."""
        kept = [{k: v for k, v in asdict(proof).items() if k != "seconds"} for proof in proofs]
        write_whole(self.proofs / f"{student}.json", text(kept))

    def hand_out(self) -> None:
        """All proved: the files move to where they are given away from."""
        if not self.students.is_dir():
            self.unproved.rename(self.students)

    def _check(self, own: dict[str, str]) -> None:
        try:
            there = json.loads(self.identity.read_text(encoding="utf8"))
            differing = [name for name in own if there[name] != own[name]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.identity} is damaged: choose another --out") from error
        if differing:
            what = " and ".join(differing)
            raise ValueError(
                f"{self.path} holds a challenge of another {what}: its students keep their files only if "
                "nothing changes, so choose another --out"
            )


def text(content: object) -> bytes:
    """``content`` as a file of JSON."""
    return (json.dumps(content, indent=1) + "\n").encode()
