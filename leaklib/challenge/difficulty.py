"""How hard each level was for the reference attack: the report that an instructor reads before handing out.

The same key and roster give the same bytes: processor time, which differs from run to run, is only printed.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any

from leaklib.challenge.levels import LEVELS, Level
from leaklib.challenge.proofs import Proof

HEAD = f"{'level':8} {'points':>6} {'proved':>9}   {'reached, worst / median':>23}   {'needed':>7}   "
HEAD += f"{'gray, worst':>11}   {'evaluations, median / most':>26}"


def rows(proofs: Sequence[Proof], students: int) -> list[dict[str, Any]]:
    """One row for each level: how many students' files were proved, and how close the attack came.

    ``reached`` and ``floor``, the worst first, are PSNRs in dB of the attack and of a gray picture, over all
    examples; for text the share of tokens that are right, and that luck gives.
    """
    return [
        _row(level, [proof for proof in proofs if proof.level == level.name], students) for level in LEVELS
    ]


def _row(level: Level, proofs: Sequence[Proof], students: int) -> dict[str, Any]:
    reached = [value for proof in proofs for value in proof.reached]
    floor = [value for proof in proofs for value in proof.floor]
    evaluations = [proof.evaluations for proof in proofs]
    return {
        "level": level.name,
        "points": level.points,
        "unit": "share of tokens" if level.is_text else "dB",
        "students": students,
        "proved": len(proofs),
        "solved": sum(proof.solved for proof in proofs),
        "reached": _span(reached, min),
        "needed": max((value for proof in proofs for value in proof.needed), default=None),
        "floor": _span(floor, max),
        "evaluations": _span(evaluations, max),
    }


def table(report: Sequence[dict[str, Any]]) -> str:
    """The same for people."""
    lines = [HEAD]
    for row in report:
        digits = ".2f" if row["unit"] != "dB" else ".1f"
        proved = f"{row['solved']} of {row['proved']}"
        head = f"{row['level']:8} {row['points']:6} {proved:>9}   "
        if not row["proved"]:
            lines.append(head + "nobody's file was tried")
            continue
        (worst, middle), (floor, _), (most, usual) = (row[k] for k in ("reached", "floor", "evaluations"))
        reached = f"{worst:{digits}} / {middle:{digits}}"
        needed, floor = f"{row['needed']:{digits}}", f"{floor:{digits}}"
        lines.append(f"{head}{reached:>23}   {needed:>7}   {floor:>11}   {f'{usual:g} / {most}':>26}")
    return "\n".join(lines) + "\n"


def seconds(proofs: Sequence[Proof]) -> dict[str, dict[str, float]]:
    """By level the processor time of this run's attacks, in seconds: median and worst."""
    timed = [proof for proof in proofs if proof.seconds]
    spent = {level.name: [p.seconds for p in timed if p.level == level.name] for level in LEVELS}
    return {n: {"median": median(own), "worst": max(own)} for n, own in spent.items() if own}


def _span(values: Sequence[float | int], worst: Any) -> tuple[float | int, float | int] | None:
    return (worst(values), median(values)) if values else None
