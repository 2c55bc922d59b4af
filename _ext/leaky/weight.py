"""What a page loads: pictures as files, as small as they can be, no script or sheet that it has no use for.

Notebooks hold their pictures inside, as data: addresses, so that each is whole by itself. On the site these
become files of ``_images``, named after their contents: lossless WebP where that is smaller, else PNG, with
the same pixels either way. What stands below the first section's heading is loaded when a reader comes near;
the first figure is loaded at once. Scripts run when the page is there; the sheets of theme and book are one
file.
"""

import base64
import functools
import hashlib
import io
import re
import zlib
from pathlib import Path

from PIL import Image
from sphinx.errors import ExtensionError
from sphinx.util.osutil import relative_uri

DATA = re.compile(r'(\b(?:src|href)=")data:image/png;base64,([^"]*)"')
# What says where a picture stands: in an explorer, those that are not its start wait for paper or a reader.
PLACE = re.compile(r"<(?:figure|h2|img)\b[^>]*>")
STORED = re.compile(r'\bsrc="(?:\.\./)*_images/([^"]+\.png)"')
# Loaded by the theme's template before all others.
THEME = ("basic.css", "styles/bootstrap.css", "styles/pydata-sphinx-theme.css")
# When all is loaded the theme measures and changes each block of code in turn, laying out the page each time;
# leaky.js marks the same blocks at once.
BLOCKS = ',"complete"===document.readyState?T():window.addEventListener("load",T)'
# What a page that does not say so has no use for.
NEEDS = {
    "togglebutton": r'class="[^"]*\b(?:toggle|dropdown)\b',
    "toggleHint": r'class="[^"]*\b(?:toggle|dropdown)\b',
    "toggleOpenOnPrint": r'class="[^"]*\b(?:toggle|dropdown)\b',
    "design-tabs": r'class="[^"]*\bsd-tab-set\b',
    "clipboard": r'class="highlight',
    "copybutton": r'class="highlight',
}


def setup(app):
    # After all that finishes a page.
    app.connect("html-page-context", lighten, priority=950)
    app.connect("build-finished", merge, priority=900)
    app.connect("build-finished", lay_out_once, priority=900)


def lighten(app, pagename, templatename, context, doctree):
    if app.builder.name != "html":
        return
    if "body" in context:
        images = relative_uri(app.builder.get_target_uri(pagename), "_images")
        context["body"] = place(files(context["body"], app, images), Path(app.outdir) / "_images")
    context["script_files"] = scripts(context["script_files"], context.get("body", ""))
    context["css_files"] = sheets(context["css_files"], app)


def files(body, app, images):
    """The body of a page with each picture as a file of ``_images``."""
    folder = Path(app.outdir) / "_images"
    folder.mkdir(exist_ok=True)
    sources = {name: uri for uri, name in app.builder.images.items()}

    def stored(match):
        uri = sources.get(match[1])
        if uri is None or match[1].startswith("http"):
            return match[0]
        app.builder.images.pop(uri, None)  # so that the original is not copied too
        return f'src="{images}/{write((Path(app.srcdir) / uri).read_bytes(), folder)}"'

    def inside(match):
        return f'{match[1]}{images}/{write(base64.b64decode(match[2]), folder)}"'

    return DATA.sub(inside, STORED.sub(stored, body))


def write(png, folder):
    """The name of the file that holds this picture."""
    key = hashlib.sha256(png).hexdigest()[:16]
    for name in (f"{key}.webp", f"{key}.png"):
        if (folder / name).exists():
            return name
    webp = smaller(png)
    name = f"{key}.png" if webp is None else f"{key}.webp"
    (folder / name).write_bytes(png if webp is None else webp)
    return name


def smaller(png):
    """The picture as lossless WebP, None where that is no smaller or PNG says more than pixels."""
    with Image.open(io.BytesIO(png)) as image:
        if image.mode not in ("L", "RGB", "RGBA") or {"gamma", "icc_profile"} & set(image.info):
            return None
        out = io.BytesIO()
        image.save(out, "WEBP", lossless=True, quality=100, exact=True)
    return out.getvalue() if len(out.getvalue()) < len(png) else None


@functools.cache
def size(path):
    with Image.open(path) as image:
        return image.size


def place(body, folder):
    """Each picture with its size, and with when it is loaded."""
    figure, below, first = "", False, True

    def mark(match):
        nonlocal figure, below, first
        tag = match[0]
        if tag.startswith("<h2"):
            below = True
            return tag
        if tag.startswith("<figure"):
            figure = tag
            return tag
        more = ""
        name = re.search(r'\bsrc="(?:\.\./)*_images/([^"]+)"', tag)
        if name and "width=" not in tag:
            more += ' width="{}" height="{}"'.format(*size(folder / name[1]))
        classes = (re.search(r'class="([^"]*)"', figure) or ["", ""])[1].split()
        waits = below or "live" in classes or ("lx-printed" in classes and "lx-first" not in classes)
        if "loading=" not in tag:
            if waits:
                more += ' loading="lazy"'
            elif first:
                more += ' fetchpriority="high"'
                first = False
        if "decoding=" not in tag:
            more += ' decoding="async"'
        return re.sub(r"\s*/?>$", f"{more}>", tag)

    return PLACE.sub(mark, body)


def scripts(given, body):
    """Those that the page needs; they run in their order once all of it is there."""
    kept = []
    for script in given:
        said = f"{script.filename or ''} {script.attributes.get('body', '')}"
        # The theme's switch of versions alone reads it, which a book has none of.
        if said.strip().startswith("DOCUMENTATION_OPTIONS.pagename"):
            continue
        if any(name in said and not re.search(need, body) for name, need in NEEDS.items()):
            continue
        if script.filename:
            attributes = {**script.attributes, "defer": "defer"}
            script = type(script)(script.filename, priority=script.priority, **attributes)
        kept.append(script)
    return kept


def sheets(given, app):
    """The sheets of theme and book as one file, those for paper alone behind it."""
    given = sorted(given, key=lambda sheet: sheet.priority)
    whole = [sheet for sheet in given if not sheet.attributes.get("media")]
    names = (*THEME, *(sheet.filename.removeprefix("_static/") for sheet in whole))
    merged = merged_name(names, Path(app.outdir) / "_static")
    app.merged_sheets = getattr(app, "merged_sheets", {}) | {merged: names}
    return [type(whole[0])(f"_static/{merged}", priority=0), *(s for s in given if s.attributes.get("media"))]


@functools.cache
def merged_name(names, static):
    """Other contents, another name: by the sheets that are there, by the versions in the others' names."""
    there = [(static / name).read_bytes() for name in names if (static / name).exists()]
    return f"site-{zlib.crc32(b''.join([repr(names).encode(), *there])):08x}.css"


def lay_out_once(app, exception):
    """The theme's script without its turn through the blocks of code."""
    if exception or app.builder.name != "html":
        return
    path = Path(app.outdir) / "_static" / "scripts" / "pydata-sphinx-theme.js"
    text = path.read_text(encoding="utf8")
    if BLOCKS in text:
        path.write_text(text.replace(BLOCKS, ""), encoding="utf8")
    elif 'addEventListener("load"' in text:
        raise ExtensionError(f"the theme's {path.name} has changed: update BLOCKS in _ext/leaky/weight.py")


def merge(app, exception):
    """At the end of a build, since some extensions bring their sheets only then."""
    static = Path(app.outdir) / "_static"
    for merged, names in getattr(app, "merged_sheets", {}).items() if exception is None else ():
        text = "\n".join((static / name).read_text(encoding="utf8").removeprefix("\ufeff") for name in names)
        text = re.sub(
            r'@charset "[^"]*";|/\*(?!!).*?\*/|/\*# sourceMappingURL.*?\*/', "", text, flags=re.DOTALL
        )
        (static / merged).write_text(re.sub(r"\s*\n\s*", "\n", text), encoding="utf8")
