"""Pictures and drawings inside a page: each stored once, and enlarged by the browser."""

import base64
import re
from dataclasses import dataclass, field
from html import escape

from leaklib.sweep.rows import png
from leaklib.widgets.results import Pictures


@dataclass
class Store:
    """Numbers pictures in the order in which the film strip first shows them, and says where that was.

    Drawings, as SVG, are numbered for themselves.
    """

    seen: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    rows: dict[tuple[int, ...], str] = field(default_factory=dict)
    drawn: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.seen)

    def numbers(self, row: Pictures) -> list[int]:
        """The numbers of pictures that are all stored."""
        return [self.seen[png(picture)][0] for picture in row.images]

    def row(self, row: Pictures, position: str) -> str:
        """A row of the film strip at the named position; what was shown before is named, not repeated."""
        parts = [
            self._picture(png(picture), f"{row.name}{_of(i, len(row.images))}, {position}", caption)
            for i, (picture, caption) in enumerate(row.captioned(), 1)
        ]
        numbers = tuple(self.numbers(row))
        where = self.rows.setdefault(numbers, f"{row.name}, {position}")
        if where != f"{row.name}, {position}":  # the whole row was shown before: one sentence for all
            parts = [_again(numbers, where, ", ".join(row.captions))]
        return f"<div><b>{escape(row.name)}</b> {' '.join(parts)}</div>"

    def drawing(self, svg: str, position: str, label: str) -> str:
        """A drawing of the film strip at the named position, with ``label`` for who cannot see it.

        ValueError where it is larger or smaller than those before: below, a slider would jump.
        """
        if svg in self.drawn:
            number, where = self.drawn[svg]
            return f'<div><i data-drawn="{number}">the same drawing as {escape(where)}</i></div>'
        (box,) = _box(svg)
        for other in map(_box, self.drawn):
            if other != [box]:
                raise ValueError(f"expected drawings of one size, got {other[0]} and, at {position}, {box}")
        self.drawn[svg] = len(self.drawn), position
        start = '<svg class="leaky-figure" role="img" '
        labelled = f'{start}aria-label="{escape(label)}" ' + svg.removeprefix(start)
        return f'<div class="lx-drawing">{labelled}</div>'

    def _picture(self, data: bytes, name: str, caption: str) -> str:
        if data in self.seen:
            number, where = self.seen[data]
            return _again((number,), where, caption)
        self.seen[data] = len(self.seen), name
        return figure(data, name, caption)


def _box(svg: str) -> list[str]:
    """Width and height."""
    return re.findall(r'viewBox="0 0 (.*?)"', svg)[:1]


def _of(i: int, count: int) -> str:
    return f" {i} of {count}" if count > 1 else ""


def _again(numbers: tuple[int, ...], where: str, caption: str) -> str:
    text = f" <small>{escape(caption)}</small>" if caption else ""
    numbered = " ".join(map(str, numbers))
    return f'<span><i data-again="{numbered}">the same as {escape(where)}</i>{text}</span>'


def figure(data: bytes, alt: str, caption: str = "", style: str = "") -> str:
    """A PNG as an element of a page, with its caption below."""
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alt = f"{alt}: {caption}" if caption else alt
    text = f" <small>{escape(caption)}</small>" if caption else ""
    style = f' style="{style}"' if style else ""
    # Width and height as attributes also hold where a notebook is not trusted and styles are dropped.
    return f'<span><img src="{source}" alt="{escape(alt)}" width="64" height="64"{style}>{text}</span>'
