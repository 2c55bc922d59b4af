"""The book's own part of the site, one part a file; here the palette that pages and figures share."""

import json
from pathlib import Path

from leaky import (
    buttons,
    cells,
    cite,
    copies,
    formulas,
    found,
    handouts,
    head,
    icons,
    live,
    pages,
    search,
    social,
    weight,
)

PARTS = (
    cells,
    pages,
    live,
    cite,
    head,
    social,
    found,
    search,
    buttons,
    handouts,
    copies,
    formulas,
    icons,
    weight,
)
ROOT = Path(__file__).resolve().parents[2]
PALETTE = ROOT / "leaklib" / "palette.json"


def palette_css(palette):
    """One CSS custom property per colour, such as `--leaky-attacks-dlg`, in light and in dark."""

    def block(selector, theme):
        lines = (
            f"  --leaky-{group}-{name.lower()}: {colour[theme]};"
            for group, colours in palette.items()
            for name, colour in colours.items()
        )
        return f"{selector} {{\n  color-scheme: {theme};\n" + "\n".join(lines) + "\n}\n"

    # Paper is light, whatever the screen was.
    return block("html", "light") + "@media screen {\n" + block('html[data-theme="dark"]', "dark") + "}\n"


def write_palette(app, config):
    folder = Path(app.doctreedir) / "leaky"
    folder.mkdir(parents=True, exist_ok=True)
    css = palette_css(json.loads(PALETTE.read_text(encoding="utf8")))
    (folder / "palette.css").write_text(css, encoding="utf8")
    config.html_static_path += [str(folder), str(Path(__file__).parent / "static")]


def setup(app):
    for part in PARTS:
        part.setup(app)
    app.connect("config-inited", write_palette)
    # After the theme's own sheets (500), so that ours has the last word.
    app.add_css_file("palette.css", priority=800)
    app.add_css_file("leaky.css", priority=810)
    app.add_css_file("print.css", priority=820, media="print")
    app.add_js_file("leaky.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
