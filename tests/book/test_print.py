"""The book as files: what `scripts/book_files.py` assembles for print, and the PDFs where they were made."""

import re
from pathlib import Path

import book_files
import pages
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

ADDRESS = "https://somebody.github.io/gradients"


@pytest.fixture(scope="module")
def editions(site):
    return book_files.documents(site, address=None)


@pytest.fixture(scope="module")
def parsed(editions):
    return {name: BeautifulSoup(html, "html.parser") for name, html in editions.items()}


@pytest.fixture(scope="module")
def students(parsed):
    return parsed[book_files.STUDENTS]


@pytest.fixture(scope="module")
def teachers(parsed):
    return parsed[book_files.TEACHERS]


def words(element):
    return " ".join(element.get_text(" ").split())


def solutions(site):
    """The sentences of all solutions, and the lines of their code that stand nowhere else in the book."""
    found = []
    for file, _ in book_files.listed():
        article = book_files.soup(site / file).select_one("article.bd-article")
        boxes = [box.extract() for box in article.select("details.solution")]
        elsewhere = words(article)
        for box in boxes:
            parts = [words(part) for part in box.select("section > p, section > ul, section > ol, pre")]
            found += [part for part in parts if len(part) > 25 and part not in elsewhere]
    return found


def test_every_page_stands_in_it_once_in_the_order_of_the_book(parsed):
    names = [Path(file).stem for file, _ in book_files.listed()]
    for document in parsed.values():
        assert [article["id"] for article in document.select("article")] == [*names, "answers"]
        told = [link["href"] for link in document.select(".contents a")]
        assert told == [f"#{name}" for name in [*names, "answers"]]


def test_every_link_leads_to_a_place_in_it_or_to_an_address(parsed):
    for edition, document in parsed.items():
        ids = [element["id"] for element in document.select("[id]")]
        assert len(ids) == len(set(ids))
        for link in document.select("a[href]"):
            href = link["href"]
            if href.startswith("#"):
                assert href[1:] in ids, f"{edition}: {link}"
            else:
                assert re.match(r"https?://|mailto:", href), f"{edition}: {link}"
        for picture in document.select("img"):
            source = picture["src"]
            assert source.startswith("data:") or Path(source.removeprefix("file://")).is_file(), picture[
                "src"
            ]


def test_what_only_the_website_can_do_is_linked_where_it_is_published(site, students):
    names = {Path(file).stem for file, _ in book_files.listed()}

    def links(file, address):
        article = book_files.chapter(site, file, None, names, address).article
        return [link["href"] for link in article.select("a[href]")]

    own = [link for link in links("chapters/try_it.html", ADDRESS) if "live:" in link]
    assert own and all(link.startswith(f"{ADDRESS}/chapters/try_it.html#live:") for link in own)
    dlg = links("chapters/03_dlg.html", ADDRESS)
    assert {f"{ADDRESS}/chapters/03_dlg.html#{figure}" for figure in ("fig-dlg-live", "fig-dlg-film")} <= {
        *dlg
    }
    assert not students.select('a[href*="live:"]')


def test_students_get_no_solution_and_teachers_all(site, students, teachers):
    given = solutions(site)
    assert len(given) > 100
    handed_out, kept = words(students), words(teachers)
    assert [part for part in given if part in handed_out] == []
    assert [part for part in given if part not in kept] == []
    assert not students.select(".solution")
    exercises = teachers.select("div.exercise")
    assert len(teachers.select("div.solution > .admonition-title")) == len(exercises) > 60


def test_reasons_of_the_quick_checks_stand_behind_the_chapters(students):
    asked = students.select("article:not(#answers) details.quiz")
    reasons = students.select("#answers .reason")
    assert len(asked) == len(reasons) > 200
    assert all(child.name == "summary" for answer in asked for child in answer.find_all(recursive=False))
    assert all(len(words(reason).split()) > 5 for reason in reasons)


def test_nothing_is_left_of_what_only_a_screen_can_use(parsed):
    for document in parsed.values():
        assert not document.select("button, iframe, input, article script, details.hide, .headerlink")


def test_an_explorer_shows_three_of_its_positions(students):
    explorers = students.select(".leaky-explorer")
    assert len(explorers) > 30
    for explorer in explorers:
        shown = explorer.select("figure.lx-first, figure.lx-printed")
        assert 1 <= len(shown) <= 3, explorer.select_one(".lx-title")
        assert len(explorer.select("figure:has(> figcaption)")) == len(shown)


@pytest.mark.skipif(pages.CHROMIUM is None, reason="there is no Chromium on this machine")
def test_paper_holds_it(editions, tmp_path):
    """Nothing is wider than the paper, and the frames of explorers take a tenth of it at most."""
    path = tmp_path / "book.html"
    path.write_text(editions[book_files.STUDENTS], encoding="utf8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=pages.CHROMIUM, args=pages.ARGUMENTS)
        page = browser.new_page(viewport=book_files.PAPER)
        page.emulate_media(media="print")
        page.goto(path.as_uri())
        page.evaluate(pages.READY)
        found = page.evaluate(book_files.ON_PAPER)
        browser.close()
    assert found["wide"] == []
    assert found["explorers"] <= 0.1


# The PDFs, where they have been made


@pytest.fixture(scope="module", params=[book_files.STUDENTS, book_files.TEACHERS])
def printed(request, site):
    path = site / request.param
    if not path.exists():
        pytest.skip(f"there is no {request.param} in {site}: run `make files`")
    if path.stat().st_mtime < (site / "index.html").stat().st_mtime:
        pytest.skip(f"{request.param} is older than the website: run `make files`")
    return path


def test_a_pdf_says_what_it_is(printed):
    reader = PdfReader(printed)
    assert reader.metadata.title.startswith("Leaky Gradients")
    assert reader.metadata.author == ", ".join(book_files.AUTHORS)
    assert reader.root_object["/Lang"] == "en"
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert reader.xmp_metadata.dc_rights["x-default"].startswith("MIT")
    assert printed.stat().st_size < 15e6


def test_a_pdf_tells_the_pages_of_its_chapters(printed):
    reader = PdfReader(printed)
    text = reader.pages[2].extract_text()
    for file, _ in book_files.listed()[1:]:
        name = Path(file).stem
        number = reader.get_destination_page_number(reader.named_destinations[name]) + 1
        assert re.search(rf"\D{number}\b", text), f"{name} begins on page {number}"
