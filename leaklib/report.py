"""A measured number, its unit and its bound on one line: what a reader sees, and what a re-run is held to.

    Recursive: 66 dB, above 50 (±8 across machines)

The bound is enforced where the line is printed. A re-run must print the same line; where machines differ by
rounding, the line says by how much its number may move.
"""

import math
import re
from collections.abc import Iterable, Sequence
from operator import eq, ge, gt, le, lt
from typing import NamedTuple

Real = float | int

_HOLDS = {"above": gt, "below": lt, "at least": ge, "at most": le, "exactly": eq}
_NUMBER = r"[-−]?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|inf)"
_BOUND = rf"({'|'.join(_HOLDS)}) ({_NUMBER})"
_LINE = re.compile(
    rf"(?P<name>.*): (?P<low>{_NUMBER})(?: to (?P<high>{_NUMBER}))?(?P<unit>(?: [^\s,(]+)*?)"
    rf"(?P<bounds>(?:, {_BOUND})+)(?: \(±(?P<tolerance>{_NUMBER}) across machines\))?"
)


def report(
    name: str,
    value: Real | Sequence[Real],
    unit: str = "",
    *,
    tolerance: Real = 0,
    digits: int = 3,
    **bounds: Real,
) -> None:
    """Print ``value``, or the lowest and highest of several, with its ``unit`` and bounds, and enforce them.

    ``bounds`` are ``above``, ``below``, ``at_least``, ``at_most``, ``exactly``, one or more of them. Numbers
    are rounded to ``digits`` significant digits, whole numbers are not. ``tolerance`` is how far the number
    may move from one machine to another, in its own unit. AssertionError, after the line is printed, if a
    value is outside; ValueError for other bounds or none, and for a number that is none.
    """
    words = {word.replace("_", " "): float(bound) for word, bound in bounds.items()}
    values = [float(v) for v in (value if isinstance(value, Sequence) else [value])]
    if not words or not words.keys() <= _HOLDS.keys() or not values or any(map(math.isnan, values)):
        raise ValueError(
            f"{name}: expected numbers and at least one bound ({', '.join(_HOLDS)}), got {value} and "
            f"{', '.join(words) or 'no bound'}"
        )
    ends = " to ".join(dict.fromkeys(_text(end, digits) for end in (min(values), max(values))))
    shown = "".join(f", {word} {_text(bound, 12)}" for word, bound in words.items())
    moves = f" (±{tolerance:g} across machines)" if tolerance else ""
    print(f"{name}: {ends}{' ' * bool(unit)}{unit}{shown}{moves}")
    if broken := _broken(words.items(), values):
        raise AssertionError(f"{name} must be {broken[0]}, got {ends}")


def _broken(bounds: Iterable[tuple[str, float]], values: Sequence[float]) -> list[str]:
    return [f"{word} {bound:g}" for word, bound in bounds if not all(_HOLDS[word](v, bound) for v in values)]


def _text(value: float, digits: int) -> str:
    rounded = value if value.is_integer() else float(f"{value:.{digits}g}")
    if abs(rounded) < 1e9 and (value.is_integer() or abs(rounded) >= 1e3):
        return f"{rounded:,.0f}"
    return f"{rounded:.{digits}g}"


class Line(NamedTuple):
    """A line that ``report`` printed, read again: what stands around the number, and the number."""

    words: str
    numbers: tuple[float, float]
    bounds: tuple[tuple[str, float], ...]
    tolerance: float

    @classmethod
    def read(cls, line: str) -> "Line | None":
        """None for a line that ``report`` did not print."""
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        low, high, tolerance = found["low"], found["high"] or found["low"], found["tolerance"] or "0"
        bounds = tuple((word, _number(text)) for word, text in re.findall(_BOUND, found["bounds"]))
        words = f"{found['name']}: …{found['unit']}{found['bounds']}"
        return cls(words, (_number(low), _number(high)), bounds, _number(tolerance))

    def outside(self) -> list[str]:
        """The bounds that the printed numbers break."""
        return _broken(self.bounds, self.numbers)

    def agrees(self, again: "Line") -> bool:
        """Whether ``again``, the same line of a later run, is no further away than the tolerance."""
        pairs = zip(self.numbers, again.numbers, strict=True)
        near = all(a == b or abs(a - b) <= self.tolerance for a, b in pairs)
        return near and self.words == again.words and self.tolerance == again.tolerance


def _number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))
