"""A measured number, its unit and its bound on one line: what a reader sees, and what a re-run is held to.

    Recursive: 66 dB, above 50 (±8 across machines)

The bound is enforced where the line is printed. A re-run must print the same line; where machines differ by
rounding, the line says by how much its number may move.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

Real = float | int

_NUMBER = r"[-−]?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|inf)"
_LINE = re.compile(
    rf"(?P<name>.*): (?P<low>{_NUMBER})(?: to (?P<high>{_NUMBER}))?(?P<unit>(?: [^\s,(]+)*?)"
    rf"(?P<bounds>(?:, (?:above|below|at least|at most|exactly) {_NUMBER})+)"
    rf"(?: \(±(?P<tolerance>{_NUMBER}) across machines\))?"
)
_BOUND = re.compile(rf"(above|below|at least|at most|exactly) ({_NUMBER})")
_HOLDS = {
    "above": lambda value, bound: value > bound,
    "below": lambda value, bound: value < bound,
    "at least": lambda value, bound: value >= bound,
    "at most": lambda value, bound: value <= bound,
    "exactly": lambda value, bound: value == bound,
}


def report(
    name: str,
    value: Real | Sequence[Real],
    unit: str = "",
    *,
    above: Real | None = None,
    below: Real | None = None,
    at_least: Real | None = None,
    at_most: Real | None = None,
    exactly: Real | None = None,
    tolerance: Real = 0,
    digits: int = 3,
) -> None:
    """Print ``value``, or the lowest and highest of several, with its ``unit`` and bounds, and enforce them.

    Numbers are rounded to ``digits`` significant digits, whole numbers are not. ``tolerance`` is how far the
    number may move from one machine to another, in its own unit. AssertionError, after the line is printed,
    if a value is outside; ValueError without any bound, or for a number that is none.
    """
    bounds = {
        "above": above, "below": below, "at least": at_least, "at most": at_most, "exactly": exactly
    }  # fmt: skip
    bounds = {word: bound for word, bound in bounds.items() if bound is not None}
    values = [float(v) for v in (value if isinstance(value, Sequence) else [value])]
    if not bounds or not values or any(map(math.isnan, values)):
        raise ValueError(
            f"{name}: expected numbers and at least one bound, got {value} and {bounds or 'none'}"
        )
    ends = dict.fromkeys(_text(end, digits) for end in (min(values), max(values)))
    line = f"{name}: {' to '.join(ends)}{' ' * bool(unit)}{unit}"
    line += "".join(f", {word} {_text(float(bound), 12)}" for word, bound in bounds.items())
    print(line + (f" (±{tolerance:g} across machines)" if tolerance else ""))
    for word, bound in bounds.items():
        if not all(_HOLDS[word](v, bound) for v in values):
            raise AssertionError(f"{name} must be {word} {bound:g}, got {' to '.join(ends)}")


def _text(value: float, digits: int) -> str:
    if value.is_integer() and abs(value) < 1e9:
        return f"{value:,.0f}"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if 1e3 <= abs(rounded) < 1e9 else f"{rounded:.{digits}g}"


@dataclass(frozen=True)
class Line:
    """A line that ``report`` printed, read again."""

    words: str
    numbers: tuple[float, ...]
    bounds: tuple[tuple[str, float], ...]
    tolerance: float

    @classmethod
    def read(cls, line: str) -> "Line | None":
        """None for a line that ``report`` did not print."""
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        numbers = tuple(_number(text) for text in found.group("low", "high") if text)
        bounds = tuple((word, _number(text)) for word, text in _BOUND.findall(found["bounds"]))
        words = f"{found['name']}: …{found['unit']}{found['bounds']}"
        return cls(words, numbers, bounds, _number(found["tolerance"] or "0"))

    def outside(self) -> list[str]:
        """The bounds that the printed numbers break."""
        return [f"{w} {b:g}" for w, b in self.bounds if not all(_HOLDS[w](n, b) for n in self.numbers)]

    def agrees(self, again: "Line") -> bool:
        """Whether ``again``, the same line of a later run, is no further away than the tolerance."""
        same = self.words == again.words and self.tolerance == again.tolerance
        ours, theirs = ((line.numbers[0], line.numbers[-1]) for line in (self, again))
        return same and all(a == b or abs(a - b) <= self.tolerance for a, b in zip(ours, theirs, strict=True))


def _number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))
