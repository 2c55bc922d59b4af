"""Ranges, declared on the fields of frozen dataclasses and checked when one of these is built.

    @dataclass(frozen=True)
    class Search(Checked):
        steps: Count = 300
        lr: Positive | None = None
        bits: Annotated[int, within(1, 16)] = 8

``Search(steps=0)`` raises ValueError, "steps must be at least 1, got 0". NaN is in no range. A ``Literal``
says by itself what is allowed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin


class Range(NamedTuple):
    """The values for which ``holds`` is true; ``words`` say which, after "steps must be"."""

    words: str
    holds: Callable[[Any], bool]


def at_least(low: int) -> Range:
    """From ``low`` on."""
    return Range(f"at least {low}", lambda value: value >= low)


def within(low: int, high: int) -> Range:
    """From ``low`` to ``high``, both included."""
    return Range(f"in {low}..{high}", lambda value: low <= value <= high)


Number = float | int
Count = Annotated[int, at_least(1)]
Natural = Annotated[int, at_least(0)]
Several = Annotated[int, at_least(2)]
Positive = Annotated[Number, Range("above 0", lambda value: value > 0)]
NonNegative = Annotated[Number, at_least(0)]
FinitePositive = Annotated[Number, Range("above 0 and finite", lambda value: 0 < value < math.inf)]
FiniteNonNegative = Annotated[Number, Range("at least 0 and finite", lambda value: 0 <= value < math.inf)]
Inner = Annotated[Number, Range("above 0 and below 1", lambda value: 0 < value < 1)]
Proportion = Annotated[Number, Range("above 0 and at most 1", lambda value: 0 < value <= 1)]
Clients = Annotated[tuple[int, ...], Range("client numbers from 0", lambda value: min(value, default=0) >= 0)]


@dataclass(frozen=True)
class Checked:
    """Base of frozen dataclasses that declare ranges: ValueError, naming the field, for a value outside."""

    def __post_init__(self) -> None:
        for field in fields(self):
            check(field.name, getattr(self, field.name), field.type)


def check(name: str, value: object, annotation: Any) -> None:
    """ValueError unless ``value`` is in the range that ``annotation`` declares."""
    if wanted := _wanted(annotation, value):
        raise ValueError(f"{name} must be {wanted}, got {value!r}")


def _wanted(annotation: Any, value: object) -> str:
    """What ``annotation`` asks for, in words, if ``value`` is not that; empty if it is."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return next((part.words for part in parts if isinstance(part, Range) and not part.holds(value)), "")
    if origin is Literal and value not in parts:
        *first, last = map(repr, parts)
        return f"{', '.join(first)} or {last}"
    if origin in (Union, UnionType) and NoneType in parts and value is not None:
        wanted = _wanted(parts[0], value)
        return wanted and f"{wanted} or None"
    return ""
