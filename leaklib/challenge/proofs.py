"""The proof that a level can be solved: the reference attack on a student's file, and its marks."""

import time
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from leaklib.challenge import handout
from leaklib.challenge.levels import LEVELS
from leaklib.challenge.marks import marks


@dataclass(frozen=True)
class Proof:
    """What the reference attack made of one level of one student's file.

    ``solved`` means full marks. ``reached``, ``floor`` and ``needed``, one number per example in the batch's
    order, are PSNRs in dB: of the attack, of a gray picture, and of the highest band. For text they are
    token accuracies. ``seconds`` is the processor time of this run, 0 for a proof that an earlier run left.
    """

    level: str
    student: str
    solved: bool
    reached: tuple[float, ...] = ()
    floor: tuple[float, ...] = ()
    needed: tuple[float, ...] = ()
    evaluations: int = 0
    words: str = ""
    seconds: float = 0.0

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Proof":
        """What ``asdict`` and JSON made of a proof."""
        values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in row.items()}
        return cls(**values)


def prove(key: bytes, student: str, data: bytes, wanted: Container[str]) -> list[Proof]:
    """One proof for each of the ``wanted`` levels, from the bytes of the student's file."""
    proofs, found = [], handout.read(data, wanted)
    for level in LEVELS:
        if level.name not in wanted:
            continue
        start = time.thread_time()
        try:
            guess = level.solve(*found[level.name])
        except ValueError as error:
            proofs.append(Proof(level.name, student, False, words=str(error)))
            continue
        seconds = time.thread_time() - start
        got = marks(level, level.secret(key, student), guess)
        needed = tuple(bands[-1] for bands in got.bands)
        words = f"{got.points:g} of {level.points} points, the attack ended: {guess.stop}"
        proofs.append(
            Proof(
                level.name,
                student,
                got.full,
                got.reached,
                got.floor,
                needed,
                guess.evaluations,
                words,
                seconds,
            )
        )
    return proofs
