"""The slides and the outline that they follow: nothing is lost, too large, or fetched from elsewhere."""

import io
import json
import re

import pytest
import slides
import yaml
from bs4 import BeautifulSoup
from leaky import guide
from pages import ROOT
from pypdf import PdfReader

CHAPTER = "16_production"
PLANS = yaml.safe_load(slides.WEEKS.read_text(encoding="utf8"))["plans"]
ROWS = [
    pytest.param(row, id=f"{name}-{row['title']}") for name, plan in PLANS.items() for row in plan["rows"]
]
DECK = next(number for number, row in enumerate(PLANS["six"]["rows"], 1) if CHAPTER in row["read"])
TOO_LARGE = """() => {
  const found = [];
  for (let number = 0; number < Reveal.getTotalSlides(); number++) {
    Reveal.slide(number);
    const slide = document.querySelector("section.present .slide");
    for (const answer of [null, ...slide.querySelectorAll("details")]) {
      if (answer) answer.open = true;
      for (const box of [slide, ...slide.querySelectorAll(".picture")]) {
        if (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1)
          found.push(`${number}: ${box.textContent.trim().slice(0, 60)}`);
      }
      if (parseFloat(getComputedStyle(slide).fontSize) < 16) found.push(`${number}: letters are too small`);
      if (answer) answer.open = false;
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def deck(folder):
    return folder / "html" / "slides" / f"week-{DECK}.html"


@pytest.fixture
def shown(deck, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.asked.append(str(error)))
    page.goto(deck.as_uri())
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    yield page
    page.close()


@pytest.mark.parametrize("row", ROWS)
def test_the_outline_names_what_there_is(row):
    exercises = {label for one in guide.chapters().values() for label in one.exercises}
    assert set(row["read"]) <= guide.chapters().keys()
    assert set(row.get("in_class", [])) | set(row.get("at_home", [])) <= exercises
    for name, wanted in row.get("show", {}).items():
        assert name in row["read"]
        text = (ROOT / "chapters" / f"{name}.ipynb").read_text(encoding="utf8")
        figures = set(re.findall(r'"name": "([\w-]+)"', text)) | set(re.findall(r":label: ([\w-]+)", text))
        assert set(wanted) <= figures, set(wanted) - figures


def test_each_week_has_something_of_all_its_chapters():
    for row in PLANS["six"]["rows"]:
        assert list(row["show"]) == row["read"] and all(row["show"].values())


def test_slides_say_what_the_page_says(folder, deck):
    def soup(path):
        return BeautifulSoup(path.read_text(encoding="utf8"), "html.parser")

    def words(element):
        return re.sub(r"\W+", " ", element.get_text(" ")).strip()

    page, found = soup(folder / "html" / "chapters" / f"{CHAPTER}.html"), soup(deck)
    said = words(found.select_one(".slides"))
    for part in page.select("p.question, .objectives li, .takeaways li, details.quiz, h1 > :not(a)"):
        assert words(part) in said, part
    for name in PLANS["six"]["rows"][DECK - 1]["show"][CHAPTER]:
        figure = page.find(id=name)
        assert words(figure.find("figcaption").select_one(".caption-text")) in said
        for drawing in figure.select("svg.leaky-figure"):
            assert drawing["aria-label"] in {other.get("aria-label") for other in found.select("svg")}
    assert not found.select("details.solution, iframe")
    ids = [element["id"] for element in found.select("[id]")]
    assert len(ids) == len(set(ids))


def test_every_slide_holds_what_it_shows(shown):
    assert shown.evaluate("Reveal.getTotalSlides()") > 5
    assert shown.evaluate(TOO_LARGE) == []
    assert all(url.startswith(("file:", "data:")) for url in shown.asked), shown.asked


def test_slides_move_by_keyboard_and_answers_open_by_it(shown):
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowRight")
    assert shown.evaluate("Reveal.getIndices().h") == 2
    last = shown.evaluate(
        "[...document.querySelectorAll('.slides > section')].findLastIndex(s => s.querySelector('.quiz'))"
    )
    shown.evaluate(f"Reveal.slide({last})")
    shown.locator("section.present details.quiz > summary").first.focus()
    shown.keyboard.press("Enter")
    assert shown.locator("section.present details[open]").count() == 1
    assert shown.evaluate("Reveal.getIndices().h") == last


def test_a_deck_prints_one_slide_on_a_page(shown, deck):
    count = shown.evaluate("Reveal.getTotalSlides()")
    shown.goto(f"{deck.as_uri()}?view=print")
    shown.wait_for_function("document.querySelectorAll('.pdf-page').length > 0")
    pdf = PdfReader(io.BytesIO(shown.pdf(prefer_css_page_size=True, print_background=True)))
    assert len(pdf.pages) == count
    assert "Key takeaways" in "".join(page.extract_text() for page in pdf.pages)


def test_a_name_that_is_not_there_is_told(folder):
    with pytest.raises(SystemExit, match=r"weeks\.yml: the page 16_production has no fig-of-nothing"):
        slides.Chapter(folder / "html", CHAPTER).find("fig-of-nothing")


def test_minutes_are_those_of_the_chapters(folder):
    html = (folder / "html" / "instructor" / "plans.html").read_text(encoding="utf8")
    rows = BeautifulSoup(html, "html.parser").select_one("table").select("tr")
    read = [one.minutes for one in guide.chapters().values()]
    chosen = [guide.chapters()[name].minutes for row in PLANS["six"]["rows"] for name in row["read"]]
    assert guide.hours(sum(chosen)) in rows[-1].get_text() and sum(chosen) <= sum(read)
    for row, html in zip(PLANS["six"]["rows"], rows[1:-1], strict=True):
        class_ = sum(guide_minutes(label) for label in row["in_class"])
        assert guide.hours(class_) in html.select("td")[2].get_text()


def guide_minutes(label):
    """Read from the notebook's text, not by the directive's parser."""
    for path in (ROOT / "chapters").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf8"))["cells"]:
            text = "".join(cell["source"])
            if f":label: {label}\n" in text:
                return int(re.search(r"· (\d+) minutes", text.partition(label)[2])[1])
    raise LookupError(label)
