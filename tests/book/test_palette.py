"""The colours of pages and figures can be seen, and told apart with every kind of colour vision."""

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PALETTE = json.loads((ROOT / "leaklib" / "palette.json").read_text())
INK, THEMES = PALETTE["ink"], ("light", "dark")
GRAPHICS = [(group, name) for group in ("attacks", "mechanisms") for name in PALETTE[group]]
TEXTS = [name for name in INK if name not in ("page", "surface", "plate", "line")]

# Linear RGB as it is seen with full deuteranopia, protanopia and tritanopia (Machado et al. 2009).
VISION = {
    "full": np.eye(3),
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
# Linear RGB to OKLab, in which distances look alike (Ottosson 2020); 0.02 can just be seen side by side.
TO_CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(colour):
    value = np.array(list(bytes.fromhex(colour[1:]))) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """Contrast ratio as WCAG 2 defines it."""
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def seen(colour, vision):
    cones = np.array(TO_CONES) @ np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    return np.array(TO_LAB) @ np.cbrt(cones)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("group", "name"), GRAPHICS)
def test_a_colour_of_a_figure_stands_out(group, name, theme):
    colour = PALETTE[group][name]
    assert contrast(colour[theme], INK["page"][theme]) >= 3
    assert contrast(colour[theme], INK["surface"][theme]) >= 3
    # Figures keep their light plate in the dark theme and are drawn in the light colours.
    assert contrast(colour["light"], INK["plate"][theme]) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", TEXTS)
def test_text_can_be_read(name, theme):
    for ground in ("page", "surface"):
        assert contrast(INK[name][theme], INK[ground][theme]) >= 4.5


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("group", ["attacks", "mechanisms"])
def test_colours_of_a_group_can_be_told_apart(group, theme, vision):
    lab = {name: seen(colour[theme], vision) for name, colour in PALETTE[group].items()}
    distances = {pair: np.linalg.norm(lab[pair[0]] - lab[pair[1]]) for pair in combinations(lab, 2)}
    assert min(distances.values()) >= 0.08, min(distances, key=distances.get)


def test_the_stylesheet_has_no_colours_of_its_own():
    css = (ROOT / "chapters" / "_static" / "leaky.css").read_text()
    assert re.findall(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch|color-mix)a?\(", css, re.IGNORECASE) == []
    used = set(re.findall(r"var\(--leaky-((?:attacks|mechanisms|ink)-[\w-]+)", css))
    known = {f"{group}-{name.lower()}" for group, colours in PALETTE.items() for name in colours}
    assert used <= known
