"""The book as files: what `scripts/book_files.py` assembles for print, and the PDFs where they were made."""

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import book_files
import pages
import pytest
from book_files import ANSWERS
from bs4 import BeautifulSoup
from leaky.handouts import FILES
from leaky.repository import repository
from pypdf import PdfReader

ADDRESS = "https://somebody.github.io/gradients"


@pytest.fixture(scope="module")
def document(site):
    return book_files.whole(site, address=None, solutions=False)


@pytest.fixture(scope="module")
def students(document):
    return BeautifulSoup(document, "html.parser")


def words(element):
    return " ".join(element.get_text(" ").split())


def test_every_page_stands_in_it_once_in_the_order_of_the_book(students):
    names = [Path(file).stem for file, _ in book_files.listed()]
    assert [article["id"] for article in students.select("article")] == [*names, "answers"]
    told = [link["href"] for link in students.select(".contents a")]
    assert told == [f"#{name}" for name in [*names, "answers"]]


def test_every_link_leads_to_a_place_in_it_or_to_an_address(students):
    ids = [element["id"] for element in students.select("[id]")]
    assert len(ids) == len(set(ids))
    for link in students.select("a[href]"):
        href = link["href"]
        if href.startswith("#"):
            assert href[1:] in ids, link
        else:
            assert re.match(r"https?://|mailto:", href), link
    for picture in students.select("img, image"):
        source = picture["src" if picture.name == "img" else "href"]
        assert source.startswith("data:") or Path(source.removeprefix("file://")).is_file(), picture["src"]


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


def test_students_get_exercises_each_with_what_should_come_out(students):
    exercises = students.select("div.exercise")
    assert len(exercises) > 60 and not students.select(".solution")
    given = [words(exercise.select_one("details.sd-dropdown")) for exercise in exercises]
    assert all(text.startswith("What should come out") and len(text.split()) > 4 for text in given)


def test_the_students_site_makes_no_book_with_solutions(site):
    with pytest.raises(SystemExit, match="holds no solutions: build it anew"):
        book_files.whole(site, address=None, solutions=True)


def test_reasons_of_the_quick_checks_stand_behind_the_chapters(students):
    asked = students.select("article:not(#answers) details.quiz")
    reasons = students.select("#answers .reason")
    assert len(asked) == len(reasons) > 200
    assert all(child.name == "summary" for answer in asked for child in answer.find_all(recursive=False))
    assert all(len(words(reason).split()) > 5 for reason in reasons)


def test_nothing_is_left_of_what_only_a_screen_can_use(students):
    assert not students.select("button, iframe, input, article script, details.hide, .headerlink")


def test_an_explorer_shows_three_of_its_positions(students):
    explorers = students.select(".leaky-explorer")
    assert len(explorers) > 30
    for explorer in explorers:
        shown = explorer.select("figure.lx-first, figure.lx-printed")
        assert 1 <= len(shown) <= 3, explorer.select_one(".lx-title")
        assert len(explorer.select("figure:has(> figcaption)")) == len(shown)


def test_paper_holds_it(browser, document, tmp_path):
    """Nothing is wider than the paper, and the frames of explorers take a tenth of it at most."""
    path = tmp_path / "book.html"
    path.write_text(document, encoding="utf8")
    page = browser.new_page(viewport=book_files.PAPER)
    page.emulate_media(media="print")
    page.goto(path.as_uri())
    page.evaluate(pages.READY)
    found = page.evaluate(book_files.ON_PAPER)
    page.close()
    assert found["wide"] == []
    assert found["explorers"] <= 0.1


def test_only_a_published_site_links_to_the_files(site):
    here = repository()
    allowed = {f"{here.site}/{name}" for name in FILES} if here and here.site else set()
    for page in site.rglob("*.html"):
        found = re.findall(r'href="([^"]*/)?(leaky-gradients[-\w]*\.(?:pdf|epub))"', page.read_text("utf8"))
        assert {folder + name for folder, name in found} <= allowed, page


# The files, where they have been made


EDITIONS = {"students": (pages.SITE, False), "teachers": (book_files.INSTRUCTOR_SITE, True)}


@pytest.fixture(scope="module", params=EDITIONS.values(), ids=EDITIONS)
def printed(request):
    folder, solutions = request.param
    name, make = (book_files.TEACHERS, "files-instructor") if solutions else (book_files.STUDENTS, "files")
    if not (folder / name).exists():
        pytest.skip(f"there is no {name} in {folder}: run `make {make}`")
    if (folder / name).stat().st_mtime < (folder / "index.html").stat().st_mtime:
        pytest.skip(f"{name} is older than its website: run `make {make}`")
    return folder / name


def test_a_pdf_says_what_it_is(printed):
    reader = PdfReader(printed)
    assert reader.metadata.title.startswith("Leaky Gradients")
    assert reader.metadata.author == ", ".join(book_files.AUTHORS)
    assert reader.root_object["/Lang"] == "en"
    assert reader.root_object["/MarkInfo"]["/Marked"]
    assert reader.xmp_metadata.dc_rights["x-default"] == book_files.RIGHTS
    assert printed.stat().st_size < 15e6


def test_a_pdf_has_solutions_for_teachers_only(printed):
    reader = PdfReader(printed)
    entries = [entry for entry in flat(reader.outline) if entry.title in ("Exercises", ANSWERS)]
    starts = [reader.get_destination_page_number(entry) for entry in entries]
    text = "".join(reader.pages[start + more].extract_text() for start in starts[:-1] for more in (0, 1))
    assert len(entries) > 15 and "Exercise 3.1" in text
    assert ("Solution 3.1" in text) == ("Solution 9.1" in text) == (printed.name == book_files.TEACHERS)


def flat(outline):
    for entry in outline:
        yield from flat(entry) if isinstance(entry, list) else [entry]


def test_the_epub_is_whole(site):
    path = site / book_files.EPUB
    if not path.exists():
        pytest.skip(f"there is no {path.name} in {site}: run `make files`")
    with zipfile.ZipFile(path) as book:
        assert book.namelist()[0] == "mimetype"
        listed = ElementTree.fromstring(book.read("book/book.opf")).iter("{http://www.idpf.org/2007/opf}item")
        hrefs = {f"book/{item.get('href')}" for item in listed}
        assert hrefs == {*book.namelist()} - {"mimetype", "META-INF/container.xml", "book/book.opf"}
        pages = {name: ElementTree.fromstring(book.read(name)) for name in hrefs if name.endswith(".xhtml")}
        ids = {name: {element.get("id") for element in page.iter()} for name, page in pages.items()}
        for name, page in pages.items():
            for link in (element.get("href") for element in page.iter("{http://www.w3.org/1999/xhtml}a")):
                file, _, place = (link or "").partition("#")
                if link and not re.match(r"https?:|mailto:", link):
                    assert f"book/{file}" in pages and (not place or place in ids[f"book/{file}"]), (
                        name,
                        link,
                    )
        assert not any("Solution 3.1" in book.read(name).decode() for name in pages)


def test_a_pdf_tells_the_pages_of_its_chapters(printed):
    reader = PdfReader(printed)
    text = reader.pages[2].extract_text()
    for file, _ in book_files.listed()[1:]:
        name = Path(file).stem
        number = reader.get_destination_page_number(reader.named_destinations[f"/{name}"]) + 1
        assert re.search(rf"\D{number}\b", text), f"{name} begins on page {number}"
