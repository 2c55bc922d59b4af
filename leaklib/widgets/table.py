"""A table of measurements that a reader can sort, on a static page, wide and on a phone.

The page holds an ordinary table. A script puts a button into the head of every column that has an order, and
a choice above; where no script runs, and on paper, the table is read as it is listed. Where there is no room
for columns each row shows its name and what tells most, and unfolds; without a script it is a card with all.

Chapters: 12, 15.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from leaklib.sweep.rows import png
from leaklib.widgets.page import Page, page
from leaklib.widgets.pictures import figure
from leaklib.widgets.results import Pictures, Real, show


@dataclass(frozen=True)
class Column:
    """A heading; ``unit`` follows every number below it."""

    name: str
    unit: str = ""


@dataclass(frozen=True)
class Spread:
    """A number with the range around it. ValueError unless low ≤ value ≤ high."""

    value: Real
    low: Real
    high: Real

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"expected low ≤ value ≤ high, got {self.low}, {self.value}, {self.high}")


Cell = str | Real | Spread | Pictures | None
"""Words, a number, pictures, or None for what was not measured."""


class Comparison(Page):
    """What ``compare`` returns."""


def compare(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, caption: str) -> Comparison:
    """A table with one of ``rows`` a line, whose first cell names it.

    Names and numbers can be sorted; what was not measured stays at the end, and equal rows stay in the order
    in which they are listed. ValueError for rows of another length, two of one name, columns that mix
    numbers with words, and for more than 1.5 MB.
    """
    _check(columns, rows)
    kinds = [_kind([row[i] for row in rows], column) for i, column in enumerate(columns)]
    classes = [f"lx-{kind} lx-key" if i in _keys(kinds) else f"lx-{kind}" for i, kind in enumerate(kinds)]
    head = "".join(f'<th role="columnheader" scope="col" class="{k}">{escape(c.name)}</th>'
                   for c, k in zip(columns, classes, strict=True))  # fmt: skip
    body = "".join(_row(columns, classes, row) for row in rows)
    table = (
        f'<div class="lx-scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table role="table" aria-label="{escape(caption)}">'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )
    orders = [i for i, kind in enumerate(kinds) if i == 0 or kind == "number"]
    advice = "with all its pictures: show smaller or fewer ones"
    return Comparison(page("comparison", "table", caption, table, {"orders": orders}, advice), caption)


def _check(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    if len(columns) < 2 or not rows:
        raise ValueError(f"expected two columns and a row at least, got {len(columns)} and {len(rows)}")
    for row in rows:
        if len(row) != len(columns) or not isinstance(row[0], str) or not row[0]:
            raise ValueError(f"expected a name and {len(columns) - 1} more cells in each row, got {row}")
    names = [row[0] for row in rows]
    if len(set(names)) < len(names):
        raise ValueError(f"expected each row's name once, got {names}")


def _kind(cells: Sequence[Cell], column: Column) -> str:
    """What a column holds: "text", "number" or "picture"."""
    kinds = {
        "text" if isinstance(cell, str) else "picture" if isinstance(cell, Pictures) else "number"
        for cell in cells
        if cell is not None
    }
    if len(kinds) > 1:
        raise ValueError(f"column {column.name!r} mixes {' and '.join(sorted(kinds))}: one kind is expected")
    return kinds.pop() if kinds else "text"


def _keys(kinds: Sequence[str]) -> list[int]:
    """The columns that a folded row shows beside its name: the first pictures and three numbers."""
    pictures, numbers = ([i for i, k in enumerate(kinds) if k == kind] for kind in ("picture", "number"))
    return pictures[:1] + numbers[:3]


def _row(columns: Sequence[Column], classes: Sequence[str], row: Sequence[Cell]) -> str:
    name = str(row[0])
    cells = "".join(
        f'<td role="cell" class="{kind}" data-name="{escape(column.name)}"{_order(cell)}>'
        f"{_content(cell, column, name)}</td>"
        for column, kind, cell in zip(columns[1:], classes[1:], row[1:], strict=True)
    )
    return f'<tr role="row"><th role="rowheader" scope="row">{escape(name)}</th>{cells}</tr>'


def _order(cell: Cell) -> str:
    """The number by which a row is sorted."""
    value = cell.value if isinstance(cell, Spread) else cell
    if not isinstance(value, int | float) or math.isnan(value):
        return ""
    return f' data-value="{str(value).replace("inf", "Infinity")}"'


def _content(cell: Cell, column: Column, name: str) -> str:
    if cell is None:
        return "<i>not measured</i>"
    if isinstance(cell, str):
        return escape(cell)
    if isinstance(cell, Pictures):
        pictures = "".join(
            figure(png(image), f"{cell.name}{f' {i}' if len(cell.images) > 1 else ''}, {name}", caption)
            for i, (image, caption) in enumerate(cell.captioned(), 1)
        )
        return f"<div>{pictures}</div>"
    spread = f" <small>{show(cell.low)} to {show(cell.high)}</small>" if isinstance(cell, Spread) else ""
    value = cell.value if isinstance(cell, Spread) else cell
    return f"<span>{escape(f'{show(value)} {column.unit}'.strip())}{spread}</span>"
