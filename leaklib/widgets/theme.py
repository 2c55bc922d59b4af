"""A widget's stylesheet: its colors come from palette.json, in light and in dark."""

import json
from importlib.resources import files

# The website, JupyterLab, VS Code and Colab each say in their own way which theme is on.
DARK = (
    'html[data-theme="dark"]',
    'html[theme="dark"]',
    'body[data-jp-theme-light="false"]',
    'body[data-vscode-theme-kind="vscode-dark"]',
    'body[data-vscode-theme-kind="vscode-high-contrast"]',
)
# Where none of them speaks, the reader's system does.
SILENT = "html:not([data-theme],[theme]) body:not([data-jp-theme-light],[data-vscode-theme-kind])"


def stylesheet(widget: str) -> str:
    """CSS with one ``--lx-*`` property per color of the palette's ink, and the layout of ``widget``."""
    here = files("leaklib")
    ink = json.loads(here.joinpath("palette.json").read_text(encoding="utf8"))["ink"]
    light, dark = (
        "".join(f"--lx-{name}:{color[theme]};" for name, color in ink.items()) + f"color-scheme:{theme}"
        for theme in ("light", "dark")
    )
    chosen = ",".join(f"{root} .leaky-{widget}" for root in DARK)
    colors = (
        f".leaky-{widget}{{{light}}}\n"
        # Paper is light, whatever the screen was.
        f"@media screen{{{chosen}{{{dark}}}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{{SILENT} .leaky-{widget}{{{dark}}}}}\n"
    )
    return colors + here.joinpath(f"widgets/{widget}.css").read_text(encoding="utf8").strip()
