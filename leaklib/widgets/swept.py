"""The points of a sweep as positions of an explorer: medians, their spread and floors, and who is recognized.

Chapters: 6, 8, 9.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median

import torch
from torch import Tensor

from leaklib.experiment import Experiment
from leaklib.metrics import gray_floor
from leaklib.sweep.rows import CANDIDATES, KEPT
from leaklib.sweep.runs import Point
from leaklib.types import Inputs
from leaklib.widgets.results import Axis, Curve, Number, Pictures, Position, Value

DECIBELS = Curve("PSNR", "dB", limits=(5, 60))
SURE = 0.999  # from here on a probability is as good as 1


def position(
    at: tuple[Value, ...],
    point: Point,
    *,
    shown: int = 2,
    verdict: str | None = None,
    holds: bool | None = None,
    numbers: tuple[Number, ...] = (),
) -> Position:
    """What a reader sees of ``point`` at this place of the axes.

    The first ``shown`` pictures that its rows keep stand beside their originals. The verdict says how many
    victims were identified, unless it is given; ``numbers`` come after those that all points have.
    """
    kept = list(islice(_kept(point), shown))
    rows = ()
    if kept:
        originals, guesses, scores = zip(*kept, strict=True)
        truth = torch.stack(originals)
        floors = tuple(f"gray: {v:.0f} dB" for v in gray_floor(truth).tolist())
        captions = tuple(f"{v:.0f} dB" for v in scores)
        rows = (
            Pictures("original", truth, floors),
            Pictures("reconstruction", torch.stack(guesses), captions),
        )
    if verdict is None:
        hits, count = point.identified
        verdict = f"{hits} of {count} victims are identified among {CANDIDATES} pictures; chance finds 1.6 %."
    return Position(
        at,
        rows,
        verdict,
        holds,
        (*_numbers(point), *numbers),
        round(point.median, 1),
        round(point.psnr[0], 1),
        round(point.psnr[-1], 1),
        count=len(point.psnr),
        floor=round(median(_floors(point)), 1),
    )


def _truth(experiment: Experiment) -> Inputs:
    return experiment.data.batch(experiment.first_client, experiment.batch_size).inputs


def _floors(point: Point) -> list[float]:
    """What gray scores on each victim; rows of before this was kept are of data that is always there."""
    runs = zip(point.experiments, point.rows, strict=True)
    return [v for e, row in runs for v in row.gray or gray_floor(_truth(e)).tolist()]


def _kept(point: Point) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Original, reconstruction and PSNR of each picture in the rows; of CIFAR-10 there are none."""
    for experiment, row in zip(point.experiments, point.rows, strict=True):
        if row.pictures:
            yield from zip(_truth(experiment)[:KEPT], row.reconstructions, row.psnr, strict=False)


def _numbers(point: Point) -> tuple[Number, ...]:
    """How sure identification is, the other floor, and what the network thought, where rows keep them."""
    if not all(row.identified and row.confidence for row in point.rows):
        return ()
    low, high = (round(100 * share) for share in point.interval)
    sure = median(value for row in point.rows for value in row.confidence)
    return (
        Number("identified, 95 % interval", f"{low} to {high} %"),
        Number("best single color", round(point.constant, 1), "dB"),
        Number("p(label), median", f"above {SURE}" if sure > SURE else f"{sure:.3f}"),
    )


def compressor_axis(names: Iterable[str]) -> Axis:
    """A slider over compressors as sweeps name them: rounding, signs and top k are families of their own."""
    names = tuple(names)
    families = ("rounding" if "bit" in name else "top k" if "top" in name else name for name in names)
    return Axis("compressor", names, families=tuple(families))
