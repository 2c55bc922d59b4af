"""What a page weighs before it is read, and that formulas, icons and pictures stand in it from the start."""

import base64
import functools
import gzip
import io
import re
from pathlib import Path

import numpy as np
import pages
import pytest
from bs4 import BeautifulSoup
from leaky import weight
from leaky.formulas import Painter, in_lines
from leaky.icons import sheet
from leaky.pages import keep_punctuation
from PIL import Image
from sphinx.errors import ExtensionError

PAGES = [f"{file}.html" for file in (pages.TOC["root"], *pages.LISTED)]
FRONT = ["index.html"]
FIRST, CHAPTER = 500_000, 900_000  # bytes on the wire until the first view, and until a figure is touched


# What is loaded


@functools.cache
def packed(path):
    """Bytes on the wire."""
    data = path.read_bytes()
    return len(gzip.compress(data)) if path.suffix in (".html", ".css", ".js", ".svg") else len(data)


def loaded(site, name, lazy=False):
    """Bytes on the wire of what a page loads by itself; ``lazy``: of all that a reader comes near."""
    text = (site / name).read_text(encoding="utf8")
    # What an explorer folds is loaded with the slider.
    seen = re.sub(r'<details class="lx-all">.*?</details>', "", text, flags=re.DOTALL)
    tags = re.findall(r"<(?:script|link|img|image)\b[^>]*>", seen)
    tags = [tag for tag in tags if not tag.startswith("<link") or re.search(r'rel="(stylesheet|icon)"', tag)]
    tags = [tag for tag in tags if lazy or 'loading="lazy"' not in tag]
    found = (re.search(r'\b(?:src|href)="(?!data:|https?:)([^"?#]+)', tag) for tag in tags)
    files = {((site / name).parent / match[1]).resolve() for match in found if match}
    frame = packed(site / "live.html") if "leaky-live" in text else 0
    return packed(site / name) + sum(map(packed, files)) + frame


@pytest.mark.parametrize("name", [*FRONT, *PAGES])
def test_a_page_is_light(site, name):
    assert loaded(site, name) <= FIRST
    assert loaded(site, name, lazy=True) <= CHAPTER


@pytest.mark.parametrize("name", [*FRONT, *PAGES])
def test_pictures_are_files_of_known_size(site, name):
    text = (site / name).read_text(encoding="utf8")
    assert not [data for data in re.findall(r'data:image/[^"\')]*', text) if len(data) > 2000]
    for tag in re.findall(r"<img\b[^>]*>", text):
        assert re.search(r' width="\d+"', tag) and re.search(r' height="\d+"', tag), tag[:200]


@pytest.mark.parametrize("name", [*FRONT, *PAGES])
def test_no_script_waits_before_the_page_is_painted(site, name):
    head = (site / name).read_text(encoding="utf8").partition("</head>")[0]
    scripts = re.findall(r"<script\b[^>]*\bsrc=[^>]*>", head)
    assert scripts and all(re.search(r"\b(defer|async)\b", tag) for tag in scripts)
    sheets = [tag for tag in re.findall(r"<link\b[^>]*>", head) if 'rel="stylesheet"' in tag]
    assert len([tag for tag in sheets if 'media="print"' not in tag]) == 1


SHIFT = """
  window.shift = 0;
  new PerformanceObserver(list => list.getEntries().forEach(entry => { shift += entry.value; }))
    .observe({type: "layout-shift", buffered: true});
"""


@pytest.mark.parametrize(
    "name", ["index.html", "chapters/03_dlg.html", "chapters/10_differential_privacy.html"]
)
def test_nothing_moves_while_a_page_is_loaded(browser, address, name):
    page = browser.new_context(viewport=pages.PHONE).new_page()
    page.add_init_script(SHIFT)
    page.goto(f"{address}/{name}", wait_until="networkidle")
    page.wait_for_timeout(500)
    moved = page.evaluate("shift")
    page.context.close()
    assert moved <= 0.02


def picture(mode, side=8):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, len(mode)), dtype=np.uint8)
    return Image.fromarray(noise[..., 0] if mode == "L" else noise, mode)


def as_png(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_picture_keeps_every_pixel(tmp_path, mode):
    flat = picture(mode).resize((64, 64), Image.Resampling.NEAREST)
    name = weight.write(as_png(flat), tmp_path)
    assert name.endswith(".webp")
    with Image.open(tmp_path / name) as kept:
        assert kept.convert(mode).tobytes() == flat.tobytes()
    assert weight.write(as_png(flat), tmp_path) == name and len(list(tmp_path.iterdir())) == 1


def test_a_picture_with_a_profile_stays_as_it_is(tmp_path):
    flat = as_png(picture("RGB").resize((64, 64)), icc_profile=b"a profile")
    name = weight.write(flat, tmp_path)
    assert name.endswith(".png") and (tmp_path / name).read_bytes() == flat


def test_what_is_first_is_loaded_first(tmp_path):
    data = base64.b64encode(as_png(picture("RGB"))).decode()
    address = weight.write(base64.b64decode(data), tmp_path)
    image = f'<img src="../_images/{address}">'
    start = f'<figure class="lx-printed lx-first">{image}</figure><figure class="lx-printed">{image}</figure>'
    body = f"{start}<h2>Later</h2>{image}"
    sized = image.replace(">", ' width="8" height="8"')
    assert weight.place(body, tmp_path) == body.replace(image, "{}").format(
        f'{sized} fetchpriority="high" decoding="async">',
        f'{sized} loading="lazy" decoding="async">',
        f'{sized} loading="lazy" decoding="async">',
    )
    film = f'<figure class="live">{image}</figure>'
    assert 'loading="lazy"' in weight.place(film, tmp_path)


# Formulas and icons


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    painter = Painter(tmp_path_factory.mktemp("formulas") / "formulas.json")
    yield painter
    painter.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_no_mathjax_and_no_font_awesome(site, name):
    text = (site / name).read_text(encoding="utf8")
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]* (?:src|href)="(?!data:)([^"]*)"', text)
    assert loaded and not [address for address in loaded if re.search("mathjax|fontawesome|woff", address)]
    icons = set(re.findall(r"fa-[\w-]+", " ".join(re.findall(r'class="([^"]*)"', text))))
    unknown = {name for name in icons - {"fa-solid", "fa-brands", "fa-lg"} if f".{name} " not in sheet()}
    assert not unknown, f"_ext/leaky/icons has no drawing of {unknown}"


@pytest.mark.parametrize("name", PAGES)
def test_every_letter_of_a_formula_has_its_shape(site, name):
    text = (site / name).read_text(encoding="utf8")
    used, drawn = (re.findall(pattern, text) for pattern in (r'<use href="#([^"]*)"', r'<path id="([^"]*)"'))
    assert len(drawn) == len(set(drawn)) and set(used) == set(drawn)


def test_a_formula_is_drawn_for_the_eye_and_written_for_a_screen_reader(painter):
    html = painter(r"\lVert x\rVert^2", False)
    assert html.startswith("<mjx-container><svg ") and html.count("<use ") == 4
    assert re.search(r"<mjx-assistive-mml[^>]*><math.*<mi>x</mi>.*</math></mjx-assistive-mml>", html)
    assert 'display="true"' not in html and 'display="true"' in painter(r"\lVert x\rVert^2", True)
    for name in re.findall(r'href="#([^"]*)"', html):
        assert re.fullmatch(r"M[-\dMLHVQTZ. ]+", painter.glyphs[name])


@pytest.mark.parametrize(
    "tex, why",
    [
        (r"\frac{1}", r"Missing argument for \frac"),
        (r"\nosuch", r"Undefined control sequence \nosuch"),
        (r"\left( x", r"Extra \left or missing \right"),
        (r"\text{ü}", "MathJax's fonts have no ü"),
    ],
)
def test_a_broken_formula_is_no_formula(painter, tex, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        painter(tex, False)


def test_what_was_drawn_is_kept_until_mathjax_changes(tmp_path, monkeypatch):
    store = tmp_path / "formulas.json"
    first = Painter(store)
    html = first("a+b", False)
    first.close()
    again = Painter(store)
    assert again("a+b", False) == html and again.process is None
    assert again.glyphs == first.glyphs
    store.write_text(store.read_text().replace(first.version, "another"))
    assert Painter(store).drawn == {}


def test_an_ended_mathjax_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("leaky.formulas.MATHJAX", Path("nowhere"))
    with pytest.raises(ExtensionError, match=r"formulas\.js ended: error"):
        Painter(tmp_path / "formulas.json")("a", False)


def test_an_empty_line_begins_a_new_line():
    assert in_lines("a") == "a"
    assert in_lines(r"a \\ b") == r"\begin{split}a \\ b\end{split}"
    assert in_lines("a\n\nb") == r"\begin{aligned}a\\b\end{aligned}"


def test_a_formula_keeps_its_punctuation():
    """The browser breaks lines beside a formula, and so would begin one with a comma."""
    page = BeautifulSoup('<p><span class="math">x</span>, <span class="math">y</span> z</p>', "html.parser")
    keep_punctuation(page)
    assert str(page.span) == '<span class="leaky-together"><span class="math">x</span>,</span>'
    assert page.get_text() == "x, y z"
    assert len(page.select(".leaky-together")) == 1
