"""What an explorer shows: positions on a few axes, each with pictures, a drawing, numbers, a verdict.

Chapters: 4, 8 to 15.
"""

import math
from dataclasses import dataclass
from itertools import groupby

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

Real = int | float
Value = int | float | str

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Axis:
    """One slider over ``values`` in their order, or, with ``buttons``, one button for each of them.

    A value is shown as its entry of ``labels``, such as "0.1 %", or else as itself followed by ``unit``.
    ``families`` has one name per value, such as "rounding": no line joins values of two families. Raises
    ValueError for fewer than two values, repeated ones, labels or families of another number, and for a
    family that begins twice.
    """

    name: str
    values: tuple[Value, ...]
    unit: str = ""
    labels: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    buttons: bool = False

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise ValueError(f"axis {self.name!r} needs two or more different values, got {self.values}")
        for kind, given in (("label", self.labels), ("family", self.families)):
            if given and len(given) != len(self.values):
                raise ValueError(
                    f"axis {self.name!r} needs one {kind} per value or none, "
                    f"got {len(given)} for {len(self.values)} values"
                )
        begins = [name for name, _ in groupby(self.families)]
        if len(set(begins)) < len(begins):
            raise ValueError(f"axis {self.name!r} needs each family in one piece, got {', '.join(begins)}")

    def shown(self) -> tuple[str, ...]:
        """What the reader sees of each value."""
        return self.labels or tuple(f"{value} {self.unit}".strip() for value in self.values)


@dataclass(frozen=True)
class Pictures:
    """A named row of gray or color pictures in [0, 1], with one caption under each or none at all.

    Raises ValueError where a picture leaves [0, 1], or the numbers of pictures and captions differ.
    """

    name: str
    images: Float[Tensor, "pictures channels height width"]
    captions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) == 0 or self.images.shape[1] not in (1, 3):
            raise ValueError(
                f"{self.name!r} needs pictures of shape N×C×H×W with N ≥ 1 and C = 1 or 3, "
                f"got {tuple(self.images.shape)}"
            )
        if not ((self.images >= 0) & (self.images <= 1)).all():  # also catches nan
            raise ValueError(
                f"{self.name!r} needs values in [0, 1], got {self.images.min():.3g} to "
                f"{self.images.max():.3g}: clamp them where that is honest"
            )
        if self.captions and len(self.captions) != len(self.images):
            raise ValueError(
                f"{self.name!r} needs one caption per picture or none, "
                f"got {len(self.captions)} for {len(self.images)} pictures"
            )

    def captioned(self) -> list[tuple[Tensor, str]]:
        """Each picture with its caption, which may be empty."""
        return list(zip(self.images, self.captions or ("",) * len(self.images), strict=True))


@dataclass(frozen=True)
class Number:
    """A named number; text is shown as it stands."""

    name: str
    value: Value
    unit: str = ""

    def __str__(self) -> str:
        return f"{show(self.value)} {self.unit}".strip()


@dataclass(frozen=True)
class Position:
    """What was measured at ``at``, which holds one value per axis.

    ``verdict`` is a sentence; ``holds`` gives it a tick or a cross, and None neither. ``value`` is the point
    on the curve and ``low`` to ``high`` its spread; None leaves a gap. Where it is the median of several
    victims, ``count`` says of how many. ``floor`` is what knowing nothing scores on the same victims.
    ``drawing`` is a figure made with ``panels``, as large as that of every other position. Raises ValueError
    for a spread that does not contain the value, for a count or floor without a value, and for no verdict.
    """

    at: tuple[Value, ...]
    pictures: tuple[Pictures, ...] = ()
    verdict: str = ""
    holds: bool | None = None
    numbers: tuple[Number, ...] = ()
    value: Real | None = None
    low: Real | None = None
    high: Real | None = None
    drawing: Figure | None = None
    count: int | None = None
    floor: Real | None = None

    def __post_init__(self) -> None:
        if not self.verdict:
            raise ValueError(f"expected a verdict in words at {self.at}")
        given = [v for v in (self.low, self.value, self.high) if v is not None]
        floor = [] if self.floor is None else [self.floor]
        if not all(map(math.isfinite, given + floor)):
            raise ValueError(f"the curve needs finite numbers or None, got {given + floor} at {self.at}")
        if (self.low is None) != (self.high is None) or len(given) == 2 or given != sorted(given):
            raise ValueError(
                f"expected low ≤ value ≤ high, or a value alone, or none of them, "
                f"got {self.low}, {self.value}, {self.high} at {self.at}"
            )
        if self.value is None and (self.count is not None or self.floor is not None):
            raise ValueError(f"expected a value beside count and floor, got none at {self.at}")


@dataclass(frozen=True)
class Curve:
    """What ``Position.value`` is, with a line across at ``mark`` if there is something to compare it with.

    ``limits`` are the ends of its scale, else what all values need; what lies beyond is drawn as an open mark
    at the edge, and told. ``spread`` and ``floor`` say what ``Position.low`` to ``high`` and its floor are.
    Raises ValueError for limits that leave no room.
    """

    name: str
    unit: str = ""
    mark: Real | None = None
    mark_name: str = ""
    limits: tuple[Real, Real] | None = None
    spread: str = "lowest to highest"
    floor: str = "gray picture"

    def __post_init__(self) -> None:
        if self.limits and not self.limits[0] < self.limits[1]:
            raise ValueError(f"expected limits from low to high, got {self.limits[0]} to {self.limits[1]}")


def show(value: Value) -> str:
    """A number as a reader wants it: three digits, thousands grouped, powers of ten beyond a million."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        digits, power = f"{value:.1e}".split("e")
        text = f"{digits} × 10{str(int(power)).translate(SUPERSCRIPTS)}"
    elif isinstance(value, int) or size >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "−")
