"""Draws the pictures of the chapters' cards on the front page, from what the chapters have stored.

    .venv/bin/python scripts/cards.py

A card shows photographs or squares of a figure of its chapter edge to edge, each in its own pixels; where
a chapter has none, a fragment of one of its figures, or the graph that it is about. There white becomes
transparent.
"""

import base64
import io
import json
import math
import re
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "chapters" / "_static" / "cards"
EMBEDDED = re.compile(r'(?:href|src)="data:image/png;base64,([^"]+)"')
SIDE = 32

# Which pictures of which figure, row by row; or, of a figure without pictures, where a fragment begins and
# ends: left, top and right as shares of the figure's width and height. A card is twice as wide as it is high.
CARD_OF = {
    "01_not_private": ("fig-private-updates", [[0, 9, 17, 26], [1, 10, 18, 27]]),
    "02_gradient_inversion": ("fig-definition-face", [[0, 4]]),
    "03_dlg": ("fig-dlg-film", [[1, 4, 6, 7], [8, 9, 10, 12]]),
    "04_identifiability": ("fig-identifiability-lenet5", [[0, 1]]),
    "05_attack_family": ("fig-family-cats", [[1, 2]]),
    "06_what_decides": ("fig-decides-trained", [[3, 6]]),
    "07_text": ("fig-text-sentence", (0.14, 0.1, 0.68)),
    "08_batch_size": ("fig-batch-four", [[0, 1, 2, 3], [4, 5, 6, 7]]),
    "09_compression": ("fig-compression-signs", [[1, 2]]),
    "10_differential_privacy": ("fig-dp-noise", [[6, 15, 12, 21], [7, 16, 13, 22]]),
    "11_secure_aggregation": ("fig-secagg-opening", [[4, 5, 6, 7], [8, 9, 10, 11]]),
    "12_combined": ("fig-combined-attack", [[1, 3]]),
    "13_sparse_graphs": ("two rings", None),
    "14_byzantine": ("fig-byz-liar", [[0, 1]]),
    "15_comparison": ("fig-comparison-rows", (0.26, 0.13, 1)),
    "16_production": ("fig-production-matrix", (0.38, 0.36, 1)),
    "17_history": ("fig-dlg-stock", [[1, 3]]),
    "18_conclusion": ("fig-conclusion-row", [[0, 2, 3, 4], [6, 7, 8, 9]]),
}
ELSEWHERE = {"17_history": "03_dlg"}  # a figure of another chapter


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


def fragment(chapter: str, figure: str, corners: tuple[float, float, float]) -> Image.Image:
    (png,) = (data["image/png"] for data in outputs(chapter, figure) if "image/png" in data)
    whole = picture("".join(png)).convert("RGB")
    left, top, right = corners[0] * whole.width, corners[1] * whole.height, corners[2] * whole.width
    box = (left, top, right, top + (right - left) / 2)
    return clear(whole.crop(tuple(map(round, box))).resize((480, 240), Image.Resampling.LANCZOS))


def rings(chapter: str, figure: str, what: None) -> Image.Image:
    """Two rings of clients that no mask connects."""
    card = Image.new("RGB", (960, 480), "white")
    draw = ImageDraw.Draw(card)
    for center, color in ((260, "#0739a2"), (700, "#c57a1b")):
        places = [
            (center + 170 * math.cos(k * math.pi / 4), 240 + 170 * math.sin(k * math.pi / 4))
            for k in range(8)
        ]
        for k, place in enumerate(places):
            for step in (1, 2):
                draw.line([place, places[(k + step) % 8]], fill=color, width=5)
        for x, y in places:
            draw.ellipse([x - 24, y - 24, x + 24, y + 24], fill=color)
    return clear(card.resize((480, 240), Image.Resampling.LANCZOS))


def clear(card: Image.Image) -> Image.Image:
    """The same without its white, so that it stands on a dark page too."""
    red, green, blue = card.split()
    least = ImageChops.darker(ImageChops.darker(red, green), blue)
    card.putalpha(ImageChops.invert(least).point(lambda level: min(255, 3 * level)))
    return card


if __name__ == "__main__":
    CARDS.mkdir(exist_ok=True)
    for chapter, (figure, what) in CARD_OF.items():
        draw = rings if what is None else photographs if isinstance(what, list) else fragment
        draw(ELSEWHERE.get(chapter, chapter), figure, what).save(CARDS / f"{chapter[:2]}.png", optimize=True)
