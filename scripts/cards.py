"""Draws the pictures of the chapters' cards on the front page, from what the chapters have stored.

    .venv/bin/python scripts/cards.py

A card shows photographs or squares of a figure of its chapter edge to edge, each in its own pixels; where a chapter
has none, a fragment of one of its figures.
"""

import base64
import io
import json
import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "chapters" / "_static" / "cards"
EMBEDDED = re.compile(r'(?:href|src)="data:image/png;base64,([^"]+)"')
SIDE = 32

# Which pictures of which figure, row by row; or, of a figure without pictures, the corners of a fragment as shares of
# its width and height.
CARD_OF = {}


def outputs(chapter: str, figure: str) -> list[dict]:
    notebook = json.loads((ROOT / "chapters" / f"{chapter}.ipynb").read_text(encoding="utf8"))
    for cell in notebook["cells"]:
        if cell["metadata"].get("mystnb", {}).get("figure", {}).get("name") == figure:
            return [output["data"] for output in cell["outputs"] if "data" in output]
    raise ValueError(f"{chapter} has no figure {figure!r}")


def picture(data: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data)))


def photographs(chapter: str, figure: str, rows: list[list[int]]) -> Image.Image:
    html = "".join("".join(data.get("text/html", "")) for data in outputs(chapter, figure))
    found = EMBEDDED.findall(html)
    card = Image.new("RGB", (SIDE * len(rows[0]), SIDE * len(rows)))
    for y, row in enumerate(rows):
        for x, number in enumerate(row):
            square = picture(found[number]).convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
            card.paste(square, (x * SIDE, y * SIDE))
    return card


def fragment(chapter: str, figure: str, corners: tuple[float, float, float, float]) -> Image.Image:
    (png,) = (data["image/png"] for data in outputs(chapter, figure) if "image/png" in data)
    whole = picture("".join(png)).convert("RGB")
    left, top, right, bottom = corners
    box = (left * whole.width, top * whole.height, right * whole.width, bottom * whole.height)
    return whole.crop(tuple(map(round, box))).resize((480, 240), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    CARDS.mkdir(exist_ok=True)
    for chapter, (figure, what) in CARD_OF.items():
        draw = photographs if isinstance(what, list) else fragment
        draw(chapter, figure, what).save(CARDS / f"{chapter[:2]}.png", optimize=True)
