"""A widget as one piece of HTML: style, content that reads by itself, and the script that brings it to life.

Chapters: 4, 8 to 15.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
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
    """``content`` under its title, with the style and the script of ``widget``, which is handed ``spec``.

    ``kind`` names the element around both; each widget has its own, since the styles of all widgets on a page
    meet. What tells two widgets apart comes from what they hold. ValueError, which ends with the ``advice``,
    for more than 1.5 MB.
    """
    # "<" would end the script early where a caption holds "</script>".
    data = json.dumps(spec, separators=(",", ":")).replace("<", "\\u003c")
    script = files("leaklib.widgets").joinpath(f"{widget}.js").read_text(encoding="utf8").strip()
    style = stylesheet(widget, re.findall(r"var\(--leaky-((?:attacks|mechanisms|ink)-[\w-]+)", content))
    key = sha256("".join([style, content, script, data]).encode()).hexdigest()[:12]
    html = (
        f'<style>{style}</style><div class="leaky-{widget}" data-key="{key}">'
        f'<div class="lx-{kind}"><p class="lx-title">{escape(title)}</p>{content}</div></div>'
        f'<script>({script})("{key}", {data})</script>'
    )
    if (size := len(html.encode())) > LIMIT:
        article = "an" if widget == "explorer" else "a"
        raise ValueError(f"{article} {widget} may have 1.5 MB, this one has {size / 1e6:.2f} MB {advice}")
    return html


def stylesheet(widget: str, used: Iterable[str] = ()) -> str:
    """CSS with one ``--lx-*`` property per color of the palette's ink, and the layout of ``widget``.

    ``used`` names the palette's colors in drawings, such as "attacks-dlg", on the widget's ground.
    """
    drawn = {
        name: PALETTE["ink"]["surface"] if name == "ink-page" else color
        for group, colors in PALETTE.items()
        for name, color in ((f"{group}-{key.lower()}", color) for key, color in colors.items())
        if name in set(used)
    }
    light, dark = (
        "".join(f"--lx-{name}:{color[theme]};" for name, color in PALETTE["ink"].items())
        + "".join(f"--leaky-{name}:{color[theme]};" for name, color in drawn.items())
        + f"color-scheme:{theme}"
        for theme in ("light", "dark")
    )
    chosen = ",".join(f"{root} .leaky-{widget}" for root in DARK)
    colors = (
        f".leaky-{widget}{{{light}}}\n"
        # Paper is light, whatever the screen was.
        f"@media screen{{{chosen}{{{dark}}}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{{SILENT} .leaky-{widget}{{{dark}}}}}\n"
    )
    return colors + files("leaklib").joinpath(f"widgets/{widget}.css").read_text(encoding="utf8").strip()
