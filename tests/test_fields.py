"""Ranges on fields: what is in them is taken as it is, what is outside is named with what came."""

import dataclasses
import math
from typing import Annotated, Literal

import pytest

from leaklib.fields import (
    Checked,
    Clients,
    Count,
    FiniteNonNegative,
    FinitePositive,
    Inner,
    Natural,
    NonNegative,
    Positive,
    Proportion,
    Range,
    Several,
    check,
    within,
)


@dataclasses.dataclass(frozen=True)
class Example(Checked):
    count: Count = 1
    several: Several = 2
    natural: Natural = 0
    positive: Positive = 1.0
    non_negative: NonNegative = 0.0
    finite_positive: FinitePositive = 1.0
    finite_non_negative: FiniteNonNegative = 0.0
    proportion: Proportion = 1.0
    inner: Inner = 0.5
    clients: Clients = ()
    bits: Annotated[int, within(1, 16)] = 8
    rate: Positive | None = None
    size: Count | None = None
    kind: Literal["exact", "running", "none"] = "exact"
    switch: bool = False
    free: int | float = 0
    odd: Annotated[int, Range("odd", lambda number: number % 2 == 1)] = 1


TINY = 5e-324
INSIDE = {
    "count": [1, 10**9],
    "several": [2, 3],
    "natural": [0, 1],
    "positive": [TINY, 1, math.inf],
    "non_negative": [0, 0.0, math.inf],
    "finite_positive": [TINY, 3, 1e308],
    "finite_non_negative": [0, 1e308],
    "proportion": [TINY, 0.5, 1],
    "inner": [TINY, 0.9999999999999999],
    "clients": [(), (0,), (3, 0, 3)],
    "bits": [1, 16],
    "rate": [None, TINY],
    "size": [None, 1],
    "kind": ["exact", "running", "none"],
    "switch": [True],
    "free": [-5, math.nan],
    "odd": [-1, 3],
}
OUTSIDE = [
    ("count", 0, "at least 1, got 0"),
    ("several", 1, "at least 2, got 1"),
    ("natural", -1, "at least 0, got -1"),
    ("positive", 0.0, "above 0, got 0.0"),
    ("positive", math.nan, "above 0, got nan"),
    ("non_negative", -TINY, "at least 0, got -5e-324"),
    ("non_negative", math.nan, "at least 0, got nan"),
    ("finite_positive", 0, "above 0 and finite, got 0"),
    ("finite_positive", math.inf, "above 0 and finite, got inf"),
    ("finite_positive", math.nan, "above 0 and finite, got nan"),
    ("finite_non_negative", -1.5, "at least 0 and finite, got -1.5"),
    ("finite_non_negative", math.inf, "at least 0 and finite, got inf"),
    ("finite_non_negative", math.nan, "at least 0 and finite, got nan"),
    ("proportion", 0.0, "above 0 and at most 1, got 0.0"),
    ("proportion", 1.0000000000000002, "above 0 and at most 1, got 1.0000000000000002"),
    ("proportion", math.nan, "above 0 and at most 1, got nan"),
    ("inner", 0.0, "above 0 and below 1, got 0.0"),
    ("inner", 1, "above 0 and below 1, got 1"),
    ("inner", math.nan, "above 0 and below 1, got nan"),
    ("clients", (2, -1), "client numbers from 0, got (2, -1)"),
    ("bits", 0, "in 1..16, got 0"),
    ("bits", 17, "in 1..16, got 17"),
    ("rate", 0.0, "above 0 or None, got 0.0"),
    ("rate", math.nan, "above 0 or None, got nan"),
    ("size", 0, "at least 1 or None, got 0"),
    ("kind", "full", "'exact', 'running' or 'none', got 'full'"),
    ("odd", 4, "odd, got 4"),
]


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in INSIDE.items() for v in values])
def test_what_is_in_the_range_is_taken(field: str, value) -> None:
    assert getattr(Example(**{field: value}), field) is value


@pytest.mark.parametrize(("field", "value", "sentence"), OUTSIDE)
def test_what_is_outside_is_named_with_what_came(field: str, value, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        Example(**{field: value})
    assert str(refused.value) == f"{field} must be {sentence}"


def test_an_argument_is_checked_by_the_same_words() -> None:
    check("steps", 1, Count)
    check("steps", None, Count | None)
    with pytest.raises(ValueError, match=r"^steps must be at least 1, got 0$"):
        check("steps", 0, Count)


def test_a_changed_copy_is_checked_as_well_and_so_is_what_is_inherited() -> None:
    @dataclasses.dataclass(frozen=True)
    class Further(Example):
        more: Count = 1

    for change in ({"more": 0}, {"bits": 0}):
        with pytest.raises(ValueError, match="must be"):
            dataclasses.replace(Further(), **change)
