"""Pictures and drawings inside a page: each stored once, and enlarged by the browser."""

import base64
import re
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

from leaklib.drawing import PALETTE
from leaklib.sweep.rows import png
from leaklib.widgets.results import Pictures


@dataclass
class Store:
    """Numbers pictures in the order in which they come, and says where each was first.

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

    def row(self, row: Pictures, position: str, *, whole: bool = False, first: bool = False) -> str:
        """A row at the named position; what was shown before is named, not repeated, unless it is ``whole``.

        The pictures of the ``first`` position are larger. What is not for paper is loaded when it is seen.
        """
        parts = [
            self._picture(
                png(picture), f"{row.name}{_of(i, len(row.images))}, {position}", caption, whole, first
            )
            for i, (picture, caption) in enumerate(row.captioned(), 1)
        ]
        numbers = tuple(self.numbers(row))
        where = self.rows.setdefault(numbers, f"{row.name}, {position}")
        if where != f"{row.name}, {position}" and not whole:  # all were shown before: one sentence for all
            parts = [_again(where, ", ".join(row.captions))]
        return f"<div><b>{escape(row.name)}</b> {' '.join(parts)}</div>"

    def drawing(self, svg: str, position: str, label: str) -> str:
        """A drawing at the named position, with ``label`` for who cannot see it; shown before, it is named.

        ValueError where it is larger or smaller than those before: below, a slider would jump.
        """
        if svg in self.drawn:
            return f"<div><i>the same drawing as {escape(self.drawn[svg][1])}</i></div>"
        box = _box(svg)
        for other in map(_box, self.drawn):
            if other != box:
                sizes = f"{other[0]} {other[1]} and, at {position}, {box[0]} {box[1]}"
                raise ValueError(f"expected drawings of one size, got {sizes}")
        self.drawn[svg] = len(self.drawn), position
        width, height = (round(float(size)) for size in box)
        return (
            f'<div class="lx-drawing"><img src="{_address(svg)}" alt="{escape(label)}" '
            f'width="{width}" height="{height}" data-n="{self.drawn[svg][0]}"></div>'
        )

    def _picture(self, data: bytes, name: str, caption: str, whole: bool, first: bool) -> str:
        number, where = self.seen.setdefault(data, (len(self.seen), name))
        if where != name and not whole:
            return _again(where, caption)
        more = f' data-n="{number}"' if whole else f' data-n="{number}" loading="lazy"'
        return figure(data, name, caption, size=96 if first else 64, more=more)


def _box(svg: str) -> tuple[str, str]:
    """Width and height."""
    return re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0]


def _address(svg: str) -> str:
    """A drawing as a picture, which stays where a notebook that is not trusted drops SVG from its page.

    It has a ground and a font of its own, since nothing around reaches it there.
    """
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    svg = svg.replace('style="', f'style="background:{PALETTE["ink"]["surface"]["light"]};', 1)
    svg = svg.replace("var(--leaky-sans,inherit)", "var(--leaky-sans,sans-serif)", 1)
    return "data:image/svg+xml," + quote(svg, safe=" !$()*+,/:;=?@[]^`{|}~")


def _of(i: int, count: int) -> str:
    return f" {i} of {count}" if count > 1 else ""


def _again(where: str, caption: str) -> str:
    text = f" <small>{escape(caption)}</small>" if caption else ""
    return f"<span><i>the same as {escape(where)}</i>{text}</span>"


def figure(data: bytes, alt: str, caption: str = "", size: int = 64, more: str = "") -> str:
    """A PNG as an element of a page, with its caption below; ``more`` are further attributes."""
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alt = f"{alt}: {caption}" if caption else alt
    text = f" <small>{escape(caption)}</small>" if caption else ""
    # Width and height as attributes also hold where a notebook is not trusted and styles are dropped.
    box = f'width="{size}" height="{size}"{more}'
    return f'<span><img src="{source}" alt="{escape(alt)}" {box}>{text}</span>'
