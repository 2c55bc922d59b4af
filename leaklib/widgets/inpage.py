"""The attack in the reader's own browser: one HTML file, with no kernel, library or network behind it.

Its parts lie in ``widgets/live``: JavaScript modules, the network's kernel in C and as WebAssembly, a style
sheet and a skeleton of the page. They become one document here, whose content policy allows exactly this
script and this style and no connection to anywhere.

Chapters: 1 to 4, 8 to 10.
"""

import base64
import json
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files

from leaklib.data import Photos
from leaklib.drawing import PALETTE
from leaklib.rng import generator
from leaklib.widgets.pictures import png

# Each in the order of its imports.
WORKER = "network", "random", "compiled", "mechanisms", "labels", "search", "counting", "closed", "worker"
DATA = "network", "random", "counting", "address", "picture", "drawing", "pasted"
SHOWN = "elements", "canvas", "words", "curves", "helper", "phone", "controls", "layers", "progress"
PAGE = *DATA, *SHOWN, "page"
SEEDS = 10  # networks, starts and draws that a page can show
ROLES = "init", "LeNet", "attack", "mechanism"
SAMPLES = {"cat": 3, "astronaut": 0, "coffee": 4, "rocket": 5, "galaxies": 7}
# Numbers of a gradient as colors: blue and orange, which color-blind readers tell apart, and gray for zero.
GRADIENT = {
    "negative": {"light": "#0739a2", "dark": "#7fa9ff"},
    "nought": {"light": "#e9ecef", "dark": "#2a3038"},
    "positive": {"light": "#b85a00", "dark": "#ffab4d"},
    "minus": {"light": "#000000", "dark": "#000000"},
    "plus": {"light": "#ffffff", "dark": "#ffffff"},
}
IMPORT = re.compile(r"^import .*\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?=\w)", re.MULTILINE)
NOTES = re.compile(r"/\*\*.*?\*/ ?", re.DOTALL)  # JSDoc is for the checker of types


LIVE = files("leaklib.widgets") / "live"


def _read(name: str) -> str:
    return (LIVE / name).read_text(encoding="utf8")


def script(modules: tuple[str, ...]) -> str:
    """The modules as one script: each is read once, after those that it imports from."""
    texts = [_read(f"{name}.js") for name in modules]
    for part in (NOTES, IMPORT, EXPORT):
        texts = [part.sub("", text) for text in texts]
    return "(() => {\n" + "\n".join(text.strip() for text in texts) + "\n})();"


def constants() -> dict[str, object]:
    """What the page is handed: seeds of leaklib's streams, samples, the kernel and the worker's script."""
    # PyTorch's generator takes the lower half of the seed.
    seeds = {role: [generator(s, role).initial_seed() % 2**32 for s in range(SEEDS)] for role in ROLES}
    photos = {name: Photos().batch(i, 1) for name, i in SAMPLES.items()}
    pictures = {name: _base64(png(photo.inputs[0])) for name, photo in photos.items()}
    return {
        "seeds": seeds,
        "samples": {name: f"data:image/png;base64,{picture}" for name, picture in pictures.items()},
        "labels": {name: photo.labels.item() for name, photo in photos.items()},
        "wasm": _base64((LIVE / "kernel.wasm").read_bytes()),
        "worker": script(WORKER),
    }


@cache
def document() -> str:
    """The whole page as one HTML file. The same package gives the same bytes."""
    style = _colors("light") + "@media screen{" + _colors("dark") + "}\n" + _read("live.css").strip()
    data = json.dumps(constants(), separators=(",", ":")).replace("<", "\\u003c")
    code = f"globalThis.CONSTANTS = {data};\n{script(PAGE)}"
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(code)}' 'wasm-unsafe-eval'",
            "worker-src blob:",
            f"style-src '{_hash(style)}'",
            "img-src data: blob:",
            "connect-src 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ]
    )
    page = _read("live.html").replace("{policy}", policy)
    return page.replace("{style}", style).replace("{script}", code)


def _colors(theme: str) -> str:
    """Paper is light whatever the screen was, so dark colors stand behind ``@media screen``."""
    inks = {**PALETTE["ink"], **PALETTE["attacks"], **GRADIENT}
    named = "".join(f"--{name.lower()}:{color[theme]};" for name, color in inks.items())
    root = ":root" if theme == "light" else f":root[data-theme={theme}]"
    return f"{root}{{color-scheme:{theme};{named}}}"


def _hash(text: str) -> str:
    return "sha256-" + _base64(sha256(text.encode()).digest())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
