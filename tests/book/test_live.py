"""The attack in the pages: its document beside them, frames and film strips in them, settings in an address.

What the document itself does is tested in ``tests/inpage``.
"""

import re
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
import strips
from PIL import Image

from leaklib.widgets.inpage import document

FIGURES = [(path, figure) for path, text in strips.pages() for figure in strips.figures(text)]
by_figure = pytest.mark.parametrize("path, figure", FIGURES, ids=[figure.name for _, figure in FIGURES])
OWN = "chapters/try_it.html"


def test_the_document_is_what_the_package_makes(site):
    assert (site / "live.html").read_text(encoding="utf8") == document()


# Film strips


@by_figure
def test_a_film_strip_belongs_to_the_settings_of_its_figure(path, figure):
    stored = strips.read(strips.STRIPS / f"{figure.name}.png")
    assert stored["settings"] == figure.settings, "run scripts/strips.py"


def test_each_film_strip_belongs_to_a_figure():
    assert {path.stem for path in strips.STRIPS.glob("*.png")} == {figure.name for _, figure in FIGURES}


@by_figure
def test_the_numbers_of_a_film_strip_are_those_of_its_run(path, figure):
    """The beginning, from which rounding has not yet grown."""
    stored = strips.read(strips.STRIPS / f"{figure.name}.png")
    early = [i for i in stored["evaluations"] if i <= 60]
    scores = strips.scores_at(strips.run(figure.settings, most=early[-1]), early)
    for found, kept in zip(scores, stored["psnr"], strict=False):
        assert found == pytest.approx(kept, abs=0.3)


def test_frames_climb_from_the_first_to_the_best():
    assert strips.chosen([10, 9, 12, 20, 17, 38, 38]) == [1, 4, 6]
    assert strips.chosen([12.0]) == [1]


# Frames


@pytest.fixture
def framed(browser, address):
    """Opens a page, and hands out its frame when the document in it is ready."""
    contexts = []

    def framed(name, **options):
        context = browser.new_context(**{"reduced_motion": "reduce", "color_scheme": "light"} | options)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{address}/{name}")
        if options.get("java_script_enabled", True):
            page.locator(".leaky-live").scroll_into_view_if_needed()
            page.locator("iframe").element_handle().content_frame().wait_for_selector("[data-state=ready]")
        return page

    yield framed
    for context in contexts:
        context.close()


def inner(page):
    return page.locator("iframe").element_handle().content_frame()


def wait_inside(page, condition, seconds=20):
    """Until an expression holds in the frame; TimeoutError if it does not.

    Each look is an `evaluate` of its own. Playwright's `wait_for_function` looks once like that, then it
    evaluates the text inside the frame, where the Content Security Policy forbids it: it fails wherever
    the first look came too early.
    """
    end = time.monotonic() + seconds
    while not inner(page).evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds} s still not {condition}")
        page.wait_for_timeout(30)


@by_figure
def test_a_figure_shows_the_attack_at_its_settings(framed, path, figure):
    page = framed(f"chapters/{path.stem}.html")
    frame = page.locator(f"#{figure.name} iframe")
    asked = urlsplit(inner(page).url)
    assert asked.path == "/live.html"
    # At first the page does not know its theme, and tells it later.
    assert dict(parse_qsl(asked.fragment)) | {"theme": "light"} == figure.settings | {"theme": "light"}
    assert inner(page).evaluate("document.documentElement.dataset.theme") == "light"
    assert inner(page).locator(".notice:visible").count() == 0, "a setting that the document does not know"
    assert frame.get_attribute("title") and not page.locator(f"#{figure.name} > img").is_visible()


def test_the_frame_follows_the_theme_of_the_book(framed):
    page = framed(OWN, color_scheme="dark")
    assert inner(page).wait_for_selector("html[data-theme=dark]")
    page.locator("button.theme-switch-button:visible").first.click()
    theme = page.evaluate("document.documentElement.dataset.theme")
    assert inner(page).wait_for_selector(f"html[data-theme={theme}]")


def test_the_frame_is_as_high_as_its_document_and_hears_of_nobody_else(framed):
    page = framed(OWN)
    height = "() => document.querySelector('.leaky-live iframe').offsetHeight"
    page.wait_for_function(f"({height})() > 300")
    before = page.evaluate(height)
    assert abs(before - inner(page).evaluate("document.body.offsetHeight")) <= 1
    page.evaluate("postMessage({leaky: 'height', height: 1234}, '*')")  # from the page itself
    inner(page).evaluate("""() => {
      const tell = message => parent.postMessage(message, "*");
      for (const height of [1e9, -1, NaN, "900", null, {}]) tell({leaky: "height", height});
      for (const fragment of ["<script>", undefined, {}]) tell({leaky: "settings", fragment});
      for (const message of ["height", null, 900]) tell(message);
    }""")
    page.wait_for_timeout(100)
    assert page.evaluate(height) == before and page.url.endswith(OWN)
    inner(page).evaluate("parent.postMessage({leaky: 'height', height: 1234.4}, '*')")
    page.wait_for_function(f"({height})() === 1235")


# The sum of all layout shifts so far; none is reported where none was.
SHIFT = """() => new Promise(done => {
  const add = list => done(list.getEntries().reduce((sum, shift) => sum + shift.value, 0));
  new PerformanceObserver(add).observe({type: "layout-shift", buffered: true});
  setTimeout(done, 200, 0);
})"""


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", sorted({f"chapters/{path.stem}.html" for path, _ in FIGURES}))
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_does_not_jump(framed, name, width):
    page = framed(name, viewport={"width": width, "height": 850})
    page.wait_for_timeout(300)
    assert page.evaluate(SHIFT) < 0.05


# Settings in the address


def test_the_address_sets_the_attack_and_the_attack_the_address(framed):
    page = framed(f"{OWN}#live:weights=uniform&seed=3")
    assert "#weights=uniform&seed=3" in inner(page).url
    inner(page).evaluate("parent.postMessage({leaky: 'settings', fragment: 'sample=coffee&seed=4'}, '*')")
    page.wait_for_function("location.hash === '#live:sample=coffee&seed=4'")
    page.locator("article a[href='#live:weights=uniform']").click()
    # The picture stays, and the frame answers with all that is set.
    wait_inside(page, "location.hash.startsWith('#sample=coffee&weights=uniform')")
    page.wait_for_function("/^#live:sample=coffee&weights=uniform&channels=12&.*seed=0/.test(location.hash)")


def test_a_link_keeps_the_picture_of_the_reader(framed, tmp_path):
    page = framed(OWN)
    Image.linear_gradient("L").convert("RGB").save(tmp_path / "mine.png")
    shown = "document.querySelector('canvas.picture').toDataURL()"
    sample = inner(page).evaluate(shown)
    inner(page).locator("input[type=file]").set_input_files(tmp_path / "mine.png")
    wait_inside(page, f"{shown} !== {sample!r}")
    mine = inner(page).evaluate(shown)
    page.locator("article a[href='#live:channels=8']").click()
    page.wait_for_function("location.hash.includes('channels=8&batch')")
    inner(page).wait_for_selector("[data-state=running]", state="attached")
    assert inner(page).evaluate(shown) == mine


def test_an_address_of_something_else_is_no_setting(framed):
    page = framed(f"{OWN}#live:%22%3E%3Cscript%3E")
    assert not re.search("script|%3C", urlsplit(inner(page).url).fragment)


# On paper, and without a script


def test_the_strip_stands_on_paper(framed):
    page = framed(OWN)
    page.emulate_media(media="print")
    assert page.locator("figure.live > img").is_visible() and not page.locator("iframe").is_visible()


def test_the_strip_stands_where_no_script_runs(framed):
    page = framed(OWN, java_script_enabled=False)
    picture = page.locator("figure.live > img")
    assert picture.is_visible() and picture.evaluate("img => img.naturalWidth") > 400
    assert not page.locator(".leaky-live").is_visible()
