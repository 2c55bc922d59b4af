"""The palette that pages and figures share: colours that style sheets name, in light and in dark."""

import json
from pathlib import Path

from leaky.repository import ROOT

PALETTE = json.loads((ROOT / "leaklib" / "palette.json").read_text(encoding="utf8"))


def setup(app):
    app.connect("config-inited", write_sheet)
    # After the theme's own sheets (500), so that ours has the last word.
    app.add_css_file("palette.css", priority=800)


def sheet(palette):
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


def write_sheet(app, config):
    folder = Path(app.doctreedir) / "leaky"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "palette.css").write_text(sheet(PALETTE), encoding="utf8")
