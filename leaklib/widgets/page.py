"""A widget as one piece of HTML: style, content that reads by itself, and the script that brings it to life.

Chapters: 4, 8 to 15.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from leaklib.drawing import NOTEBOOKS, PALETTE

LIMIT = 1_500_000  # bytes

# The website says in its own way which theme is on, too.
DARK = 'html[data-theme="dark"]', *NOTEBOOKS
# Where none of them speaks, the reader's system does.
SILENT = "html:not([data-theme],[theme]) body:not([data-jp-theme-light],[data-vscode-theme-kind])"


@dataclass(frozen=True)
class Page:
    """What a notebook shows as HTML. The same contents give the same bytes."""

    html: str
    title: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r})"


def page(widget: str, kind: str, title: str, content: str, spec: dict[str, object], advice: str) -> str:
    """``content`` under its title, with the style and the script of ``widget``, which reads ``spec``.

    ``kind`` names the element around both; each widget has its own, since the styles of all widgets on a page
    meet. Style and script are the same in each page of a widget, so that a website needs them once.
    ValueError, which ends with the ``advice``, for more than 1.5 MB.
    """
    # "<" would end the script early where a caption holds "</script>".
    data = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")
    script = files("leaklib.widgets").joinpath(f"{widget}.js").read_text(encoding="utf8").strip()
    colors = drawn(widget, re.findall(r"var\(--leaky-((?:attacks|mechanisms|ink)-[\w-]+)", content))
    html = (
        f"<style>{stylesheet(widget)}</style>{f'<style>{colors}</style>' if colors else ''}"
        f'<div class="leaky-{widget}">'
        f'<div class="lx-{kind}"><p class="lx-title">{escape(title)}</p>{content}</div>'
        f'<script type="application/json">{data}</script></div><script>{script}</script>'
    )
    if (size := len(html.encode())) > LIMIT:
        article = "an" if widget == "explorer" else "a"
        raise ValueError(f"{article} {widget} may have 1.5 MB, this one has {size / 1e6:.2f} MB {advice}")
    return html


def stylesheet(widget: str) -> str:
    """CSS with one ``--lx-*`` property per color of the palette's ink, and the layout of ``widget``."""
    ink = {f"lx-{name}": color for name, color in PALETTE["ink"].items()}
    layout = files("leaklib").joinpath(f"widgets/{widget}.css").read_text(encoding="utf8").strip()
    return f"{_themes(widget, ink, scheme=True)}\n{layout}"


def drawn(widget: str, used: Iterable[str]) -> str:
    """CSS with the palette's colors that drawings in ``widget`` use, such as "attacks-dlg", on its ground."""
    named = {
        f"leaky-{name}": PALETTE["ink"]["surface"] if name == "ink-page" else color
        for group, colors in PALETTE.items()
        for name, color in ((f"{group}-{key.lower()}", color) for key, color in colors.items())
        if name in set(used)
    }
    return _themes(widget, named) if named else ""


def _themes(widget: str, colors: dict[str, dict[str, str]], scheme: bool = False) -> str:
    """One property per color, as light or as dark as what is around."""
    light, dark = (
        "".join(f"--{name}:{color[theme]};" for name, color in colors.items())
        + (f"color-scheme:{theme}" if scheme else "")
        for theme in ("light", "dark")
    )
    chosen = ",".join(f"{root} .leaky-{widget}" for root in DARK)
    return (
        f".leaky-{widget}{{{light}}}\n"
        # Paper is light, whatever the screen was.
        f"@media screen{{{chosen}{{{dark}}}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{{SILENT} .leaky-{widget}{{{dark}}}}}"
    )
