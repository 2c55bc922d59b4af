"""The points of a sweep as positions of an explorer: medians, their spread and floors, and who is recognized.

Chapters: 6, 8, 9.
"""

from collections.abc import Iterable, Iterator
from statistics import median

import torch
from torch import Tensor

from leaklib.sweep.rows import CANDIDATES, KEPT
from leaklib.sweep.runs import Point
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
    kept = [pair for i, pair in zip(range(shown), _kept(point), strict=False)]
    rows = ()
    if kept:
        originals, guesses, floors, captions = zip(*kept, strict=True)
        rows = (
            Pictures("original", torch.stack(originals), floors),
            Pictures("reconstruction", torch.stack(guesses), captions),
        )
    hits, count = point.identified
    return Position(
        at,
        rows,
        verdict
        or f"{hits} of {count} victims are identified among {CANDIDATES} pictures; chance finds 1.6 %.",
        holds,
        (*_numbers(point), *numbers),
        round(point.median, 1),
        round(point.psnr[0], 1),
        round(point.psnr[-1], 1),
        count=len(point.psnr),
        floor=round(point.gray, 1),
    )


def _kept(point: Point) -> Iterator[tuple[Tensor, Tensor, str, str]]:
    """Original, reconstruction and a caption for each; CIFAR-10's pictures are in no row."""
    for experiment, row in zip(point.experiments, point.rows, strict=True):
        if not row.pictures:
            continue
        truth = experiment.data.batch(experiment.first_client, experiment.batch_size).inputs[:KEPT]
        for original, guess, gray, decibels in zip(
            truth, row.reconstructions, row.gray, row.psnr, strict=False
        ):
            yield original, guess, f"gray: {gray:.0f} dB", f"{decibels:.0f} dB"


def _numbers(point: Point) -> tuple[Number, ...]:
    """What all points have: how sure identification is, the other floor, and what the network thought."""
    low, high = (round(100 * share) for share in point.interval)
    sure = median(value for row in point.rows for value in row.confidence)
    return (
        Number("identified, 95 % interval", f"{low} to {high} %"),
        Number("best single color", round(point.constant, 1), "dB"),
        Number("p(label), median", f"above {SURE}" if sure > SURE else f"{sure:.3f}"),
    )


def compressors(names: Iterable[str]) -> Axis:
    """A slider over compressors as sweeps name them: rounding, signs and top k are families of their own."""
    names = tuple(names)
    families = ("rounding" if "bit" in name else "top k" if "top" in name else name for name in names)
    return Axis("compressor", names, families=tuple(families))
