"""What a page weighs before it is read, and that formulas, icons and pictures stand in it from the start."""

import re
from pathlib import Path

import pages
import pytest
from leaky.formulas import Painter, in_lines
from leaky.icons import sheet
from sphinx.errors import ExtensionError

PAGES = sorted(path.relative_to(pages.SITE).as_posix() for path in pages.SITE.glob("chapters/*.html"))


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
