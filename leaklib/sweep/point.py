"""From rows to what a curve shows: one point for all runs of a setting, with its spread.

Chapters: 7, 8, 10, 12.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TypeVar

from leaklib.experiment import Experiment
from leaklib.sweep.rows import Row
from leaklib.sweep.runs import run_all

Setting = TypeVar("Setting", bound=Hashable)


@dataclass(frozen=True)
class Point:
    """All runs of one setting, each with one PSNR in dB per picture. No run is left out."""

    experiments: tuple[Experiment, ...]
    rows: tuple[Row, ...]

    @property
    def psnr(self) -> list[float]:
        """Of every picture of every run, from the worst to the best."""
        return sorted(value for row in self.rows for value in row.psnr)

    @property
    def median(self) -> float:
        """The PSNR that half of the pictures reach."""
        return median(self.psnr)

    @property
    def evaluations(self) -> int:
        """What the longest run took."""
        return max(row.evaluations for row in self.rows)

    def above(self, decibel: int | float) -> int:
        """How many pictures reach this PSNR; all others are failures."""
        return sum(value >= decibel for value in self.psnr)


def points(
    sweep: Mapping[Setting, Sequence[Experiment]], *, n_jobs: int | None = None, progress: bool = True
) -> dict[Setting, Point]:
    """The point of every setting; what is not stored is run, see ``run_all``."""
    rows = iter(run_all([e for some in sweep.values() for e in some], n_jobs=n_jobs, progress=progress))
    return {setting: Point(tuple(some), tuple(islice(rows, len(some)))) for setting, some in sweep.items()}
