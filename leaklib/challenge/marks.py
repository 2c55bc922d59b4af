"""What an answer is worth: points for labels, and for each picture by the PSNR bands that it reaches.

A picture counts from the first band on, which lies above what a gray picture scores on that very picture:

    a band's threshold = max(its dB, gray floor + its margin),   the margin 3 dB for the first, 6 for the next

Texts count by the share of their tokens that is right, from what the words in random order would give on.
Examples are matched first: a batch has no order.
"""

from dataclasses import dataclass

from leaklib.challenge.levels import Level
from leaklib.metrics import gray_floor, score
from leaklib.types import Batch, Reconstruction

MARGIN = 3.0  # dB, for each band once more
KNOWN = 2  # positions of a phrase that the words alone give on average: <next>, and one by luck


@dataclass(frozen=True)
class Marks:
    """Points of one answer, of the level's ``points``: for ``labels`` and for ``inputs``, both together.

    For each true example, in the batch's order, ``reached`` is the PSNR in dB or the token accuracy,
    ``floor`` what a gray picture, or words in random order, score there, and ``bands`` the thresholds, lowest
    first. ``labels_right`` of the ``num_examples`` labels were right, counted without regard to order.
    """

    points: float
    label_points: float
    input_points: float
    labels_right: int
    reached: tuple[float, ...]
    floor: tuple[float, ...]
    bands: tuple[tuple[float, ...], ...]

    @property
    def full(self) -> bool:
        """Whether there was nothing more to get."""
        return self.labels_right == len(self.reached) and all(
            value >= bands[-1] for value, bands in zip(self.reached, self.bands, strict=True)
        )


def marks(level: Level, batch: Batch, reconstruction: Reconstruction) -> Marks:
    """The marks of ``reconstruction``, of which only inputs and labels count, for the true ``batch``.

    ValueError if it does not have the batch's shape, or holds NaN.
    """
    found = score(reconstruction, batch)
    if level.is_text:
        reached, floor = found.token_accuracy.tolist(), [KNOWN / level.input_shape[0]] * len(batch)
        bands = [(1.0,)] * len(batch)
        shares = [max(0.0, (a - low) / (1 - low)) for a, low in zip(reached, floor, strict=True)]
    else:
        reached, floor = found.psnr.tolist(), gray_floor(batch.inputs).tolist()
        bands = [tuple(max(dB, low + MARGIN * i) for i, dB in enumerate(level.bands, 1)) for low in floor]
        shares = [sum(value >= b for b in own) / len(own) for value, own in zip(reached, bands, strict=True)]
    for_labels = level.label_points * found.label_overlap
    for_inputs = (level.points - level.label_points) * sum(shares) / len(batch)
    return Marks(
        round(for_labels + for_inputs, 2),
        round(for_labels, 2),
        round(for_inputs, 2),
        round(found.label_overlap * len(batch)),
        tuple(reached),
        tuple(floor),
        tuple(bands),
    )
