"""What all pages share: the frame, the colors of the book's palette, pictures inside the page."""

import base64
import json
from functools import lru_cache
from html import escape
from importlib.resources import files

from jaxtyping import Float
from torch import Tensor

from leaklib.sweep.rows import png


def document(title: str, body: str) -> str:
    """A whole page. Nothing in it is loaded from elsewhere, and it runs no script."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


@lru_cache
def _style() -> str:
    """One property per ink of the palette, in light and in dark, and the layout. Paper is light."""
    palette = json.loads(files("leaklib").joinpath("palette.json").read_text())
    light, dark = (
        "".join(f"--{name}:{color[theme]};" for name, color in palette["ink"].items())
        for theme in ("light", "dark")
    )
    layout = files("leaklib").joinpath("challenge", "pages", "style.css").read_text(encoding="utf8")
    return (
        f":root{{{light}color-scheme:light}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}color-scheme:dark}}}}\n{layout}"
    )


def picture(values: Float[Tensor, "channels height width"], alt: str, caption: str) -> str:
    """A small picture in [0, 1], enlarged by the browser so that its pixels stay visible."""
    data = base64.b64encode(png(values)).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{escape(alt)}" width="160" height="160">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(head: list[str], rows: list[list[str]], caption: str) -> str:
    """A table whose first column names the rows; it scrolls by itself where the screen is narrow."""
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{titles}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )
