"""A figure as a piece of a page: SVG whose ink follows the page, dark or light, and whose text stays text.

matplotlib's own SVG cannot stand in a page: it repeats ids and styles every other element of the page. Here
no element has an id, colors of palette.json become the page's ``--leaky-*`` properties, with the light color
where the page has none, and ink becomes the color of the text around.

Chapters: all.
"""

import io
import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

PALETTE: dict[str, dict[str, dict[str, str]]] = json.loads(
    files("leaklib").joinpath("palette.json").read_text()
)
INK, MUTED, LINE = (PALETTE["ink"][name]["light"] for name in ("text", "muted", "line"))

PAGE = 5.4  # inches: on a phone of 390 pixels, text of 10 points is 9 pixels high
DPI = 110

# JupyterLab, VS Code and Colab each say in their own way that they are dark, and know no color of ours.
NOTEBOOKS = (
    'html[theme="dark"]',
    'body[data-jp-theme-light="false"]',
    'body[data-vscode-theme-kind="vscode-dark"]',
    'body[data-vscode-theme-kind="vscode-high-contrast"]',
)
LIMIT = 150_000  # bytes
REM = 38 / PAGE  # of a wide page, per inch of a figure

# What stands for a color of a figure on a page; the rest stays as it is.
CSS = {
    colors["light"]: f"var(--leaky-{group}-{name.lower()},{colors['light']})"
    for group, named in PALETTE.items()
    for name, colors in named.items()
} | {
    INK: "currentColor",
    "#000000": "currentColor",
    "#ffffff": f"var(--leaky-ink-page,{PALETTE['ink']['page']['light']})",
    "#808080": f"var(--leaky-ink-muted,{MUTED})",  # "gray"
    "#b0b0b0": f"var(--leaky-ink-line,{LINE})",  # matplotlib's grids and frames of legends
    "#cccccc": f"var(--leaky-ink-line,{LINE})",
}
ROOT = (
    "height:auto;font-family:var(--leaky-sans,inherit);font-size:10px;"
    "color:var(--leaky-ink-text,currentColor);fill:currentColor;stroke-linejoin:round;stroke-linecap:butt"
)
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "leaky",
    "svg.image_inline": True,
    "image.composite_image": False,  # each picture in its own pixels
}
XLINK = "{http://www.w3.org/1999/xlink}href"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
Node = ElementTree.Element


class Drawing(Figure):
    """A figure that a notebook stores as SVG for pages and as PNG for whatever shows no HTML."""

    def _repr_html_(self) -> str | None:
        """None where the SVG would be too large: then the PNG is shown."""
        text = svg(self)
        return _dark(text) if len(text.encode()) <= LIMIT else None


def _dark(text: str) -> str:
    """The same with the palette's dark colors in a dark notebook."""
    colors = "".join(
        f"--leaky-{group}-{name.lower()}:{color['dark']};"
        for group, named in PALETTE.items()
        for name, color in named.items()
        if f"var(--leaky-{group}-{name.lower()},#" in text
    )
    start = text.index(">") + 1
    roots = ",".join(f"{root} .leaky-figure" for root in NOTEBOOKS)
    return f"{text[:start]}<style>@media screen{{{roots}{{{colors}}}}}</style>{text[start:]}"


def svg(figure: Figure) -> str:
    """``figure`` as an ``svg`` element for HTML; the same figure gives the same bytes.

    Pictures keep their pixels and are enlarged by the browser, unfiltered. Where dots are so many that the
    text exceeds 150 KB they become a picture, whose colors no longer follow the page.
    """
    text = _convert(_matplotlib(figure), figure)
    if len(text.encode()) <= LIMIT:
        return text
    dots = [dot for dot in figure.findobj(PathCollection) if not dot.get_rasterized()]
    for dot in dots:
        dot.set_rasterized(True)
    try:
        return _convert(_matplotlib(figure), figure)
    finally:
        for dot in dots:
            dot.set_rasterized(False)


def _matplotlib(figure: Figure) -> Node:
    """matplotlib's own SVG, without namespaces."""
    changed: list[tuple[Callable[[Any], None], Any]] = []
    for image in figure.findobj(AxesImage):
        changed.append((image.set_interpolation, image.get_interpolation()))
        image.set_interpolation("none")
    changed.append((figure.set_dpi, figure.dpi))
    figure.set_dpi(72)  # so that a pixel is a point, as in the SVG
    for _ in range(2):  # the first one still moves the axes by hundredths of a point
        figure.draw_without_rendering()
    for text in figure.findobj(Text):
        if "\n" in text.get_text() and text.get_rotation() == 0:
            changed.append((text.set_gid, text.get_gid()))
            text.set_gid(_anchor(text))
    target = io.BytesIO()
    try:
        with plt.rc_context(SETTINGS):
            figure.savefig(
                target, format="svg", dpi=144, facecolor="none", edgecolor="none", metadata={"Date": None}
            )
    finally:
        for put_back, value in changed:
            put_back(value)
    root = ElementTree.fromstring(target.getvalue())
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        if XLINK in node.attrib:
            node.set("href", node.attrib.pop(XLINK))
    return root


def _anchor(text: Text) -> str:
    """Where all lines of a text meet: matplotlib places each by its width, which a page's font changes."""
    box = text.get_window_extent()
    anchor, x = {
        "left": ("start", box.x0),
        "center": ("middle", (box.x0 + box.x1) / 2),
        "right": ("end", box.x1),
    }[text.get_horizontalalignment()]
    return f"leaky-{anchor}-{x:.2f}"


def _convert(root: Node, figure: Figure) -> str:
    defined = {node.get("id"): node for node in root.iter() if node.get("id")}
    clips = {
        f"url(#{name})": node[0]
        for name, node in defined.items()
        if node.tag == "clipPath" and node[0].tag == "rect"
    }
    nodes = [new for child in root for new in _node(child, defined, clips)]
    # What cannot do without an id, such as a hatch, is kept.
    kept = sorted({name for node in nodes for name in _references(node)})
    for name in kept:
        definition = Node("defs")
        definition.extend(_node(defined[name], defined, clips, keep=True))
        nodes.insert(0, definition)
    width, height = figure.get_size_inches()
    style = f"width:100%;max-width:{REM * width:.2f}rem;{ROOT}"
    body = "".join(map(_text, nodes))
    key = sha256(body.encode()).hexdigest()[:12]  # figures of one page may share a hatch, and no id
    for i, name in enumerate(kept):
        new = f"leaky-{key}-{i}"
        body = body.replace(f'id="{name}"', f'id="{new}"').replace(f"url(#{name})", f"url(#{new})")
    box = f"0 0 {_short(72 * width)} {_short(72 * height)}"
    return f'<svg class="leaky-figure" role="img" viewBox="{box}" style="{style}">{body}</svg>'


def _text(*nodes: Node) -> str:
    return "".join(ElementTree.tostring(node, encoding="unicode") for node in nodes)


def _references(node: Node) -> Iterator[str]:
    for part in node.iter():
        for value in part.attrib.values():
            yield from re.findall(r"url\(#(.*?)\)", value)


def _node(
    old: Node, defined: dict[str | None, Node], clips: dict[str, Node], keep: bool = False
) -> list[Node]:
    """What takes the place of one of matplotlib's elements: itself without ids, its children, or nothing."""
    if old.tag in ("metadata", "style", "clipPath") and not keep:
        return []
    if old.tag == "defs":
        return []
    if old.tag == "use":
        return [_marker(old, defined[old.attrib["href"][1:]])]
    new = Node(old.tag, {name: value for name, value in old.attrib.items() if name != "id" or keep})
    new.text = old.text if old.tag in ("text", "tspan") else None
    for child in old:
        new.extend(_node(child, defined, clips))
    if new.tag == "text" and len(new):
        new.text = None
    clip = clips.get(new.attrib.get("clip-path", ""))
    if clip is not None:
        del new.attrib["clip-path"]
    _tidy(new)
    anchor = re.fullmatch(r"leaky-(start|middle|end)-([-\d.]+)", old.get("id", ""))
    if anchor:
        for text in new.iter("text"):
            _align(text, *anchor.groups())
    if new.tag == "path" and new.get("style") == "fill:none":
        return []
    nodes = _merged(list(new)) if new.tag == "g" and not new.attrib else [new]
    return [_clipped(nodes, clip)] if clip is not None and nodes else nodes


def _align(text: Node, anchor: str, x: str) -> None:
    """The line of a longer text, where matplotlib gave its left end."""
    place = NUMBER.findall(text.attrib.get("transform", ""))
    if len(place) == 2:
        del text.attrib["transform"]
        style = f"text-anchor:{anchor};{text.get('style', '')}".rstrip(";")
        text.attrib.update({"x": _short(float(x)), "y": _short(float(place[1])), "style": style})


def _merged(nodes: list[Node]) -> list[Node]:
    """Neighbors that look the same as one group, which names the look once; clipped alike, one box."""
    merged: list[Node] = []
    for (style, box), run in groupby(nodes, lambda node: (_look(node), _box(node))):
        same = list(run)
        if len(same) == 1:
            merged += same
        elif box:
            for node in same[1:]:
                same[0].extend(node)
            merged.append(same[0])
        elif style:
            group = Node("g", {"style": style})
            for node in same:
                del node.attrib["style"]
            group.extend(same)
            merged.append(group)
        else:
            merged += same
    return merged


def _look(node: Node) -> str:
    """The style, if children inherit all of it."""
    style = node.get("style", "")
    return "" if re.search(r"(^|;)opacity|rendering", style) else style


def _box(node: Node) -> str:
    return node.get("viewBox", "") if node.tag == "svg" else ""


def _clipped(nodes: list[Node], clip: Node) -> Node:
    """A nested ``svg`` clips as a clip path does, and needs no id to be found by."""
    x, y, width, height = (_short(float(clip.attrib[name])) for name in ("x", "y", "width", "height"))
    box = Node(
        "svg", {"x": x, "y": y, "width": width, "height": height, "viewBox": f"{x} {y} {width} {height}"}
    )
    box.extend(_merged(nodes))
    return box


def _marker(use: Node, shape: Node) -> Node:
    """A marker at its place, as an element of its own."""
    x, y = float(use.get("x", 0)), float(use.get("y", 0))
    style = use.get("style", "") + ";" + shape.get("style", "")
    path = shape.attrib["d"]
    if path.count("C") == 8 and path.startswith("M 0 "):  # matplotlib's circle
        node = Node("circle", {"cx": str(x), "cy": str(y), "r": path.split()[2], "style": style})
    else:
        shifts = iter([x, y] * len(path))
        node = Node(
            "path", {"d": NUMBER.sub(lambda n: f"{float(n[0]) + next(shifts):f}", path), "style": style}
        )
    _tidy(node)
    return node


def _tidy(node: Node) -> None:
    """Short numbers, the page's colors and font, and nothing that says nothing."""
    for name in node.attrib.keys() & {"fill", "stroke"}:  # of a hatch; a property is read in a style only
        node.set("style", f"{name}:{node.attrib.pop(name)};{node.get('style', '')}")
    for name, value in list(node.attrib.items()):
        if name == "style":
            node.set("style", _style(value))
        elif name == "d":
            node.set("d", re.sub(r"\s*([A-Za-z])\s*", r"\1", NUMBER.sub(_rounded, value)).strip())
        elif name == "transform":
            kept = re.sub(r"\s*rotate\(-?0(?:\.0+)? .*?\)", "", value)
            node.set("transform", NUMBER.sub(_scaled, kept))
        elif name == "href":
            node.set("href", re.sub(r"\s", "", value))
        elif name in ("x", "y", "cx", "cy", "r", "width", "height"):
            node.set(name, NUMBER.sub(_rounded, value))
    if node.tag == "image":
        node.attrib |= {"preserveAspectRatio": "none", "style": "image-rendering:pixelated"}
    for name in ("style", "transform"):
        if node.get(name) == "":
            del node.attrib[name]


def _style(text: str) -> str:
    pairs = dict(re.split(r"\s*:\s*", part.strip(), maxsplit=1) for part in text.split(";") if part.strip())
    pairs.pop("font-family", None)
    if pairs.get("font-size") == "10px":
        del pairs["font-size"]
    return ";".join(f"{name}:{CSS.get(value.lower(), value)}" for name, value in pairs.items())


def _rounded(number: re.Match[str]) -> str:
    return _short(float(number[0]))


def _scaled(number: re.Match[str]) -> str:
    """A place, or a factor: of a large picture one below 1, of which more digits count."""
    return _rounded(number) if abs(float(number[0])) >= 1 else f"{float(number[0]):.3g}"


def _short(number: float) -> str:
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
