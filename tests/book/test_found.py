"""What search engines, previews of links, reference managers and the search of the site itself are told."""

import gzip
import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from leaky import cite, found, head, social
from leaky.repository import Repository, repository
from pages import LISTED, TOC
from pybtex.database import parse_string

ROOT = Path(__file__).parents[2]
PAGES = ["index.html", *(f"{file}.html" for file in LISTED)]
NUMBERED = [page for page in PAGES if re.match(r"chapters/\d", page)]
HERE = repository()
PUBLISHED = Repository("github.com", "prof/course", "main", "https://prof.github.io/course")


def read(path):
    """The head of a page, and nothing else of it, since pages are large."""
    text = path.read_text(encoding="utf8")
    return BeautifulSoup(text[: text.index("<body")], "html.parser")


def meta(page, name):
    (found,) = page.select(f'meta[name="{name}"], meta[property="{name}"]')
    return found["content"]


@pytest.fixture(scope="module")
def heads(site):
    return {name: read(site / name) for name in (*PAGES, "chapters/index.html", "search.html", "404.html")}


# The head of each page


def test_every_page_has_one_description_of_its_own():
    texts = head.descriptions()
    assert set(texts) == {Path(file).name for file in (TOC["root"], *LISTED)}
    assert len(set(texts.values())) == len(texts)
    unfit = {name: len(text) for name, text in texts.items() if not 80 <= len(text) <= 160 or text[-1] != "."}
    assert unfit == {}


def test_pages_carry_their_description_and_what_previews_need(heads):
    for name in PAGES:
        page = heads[name]
        text = head.descriptions()[Path(name).stem]
        assert meta(page, "description") == meta(page, "og:description") == text
        assert meta(page, "og:title") in page.title.get_text()
        assert page.html["lang"] == "en"


def test_each_title_is_one_of_its_own_and_says_the_name_of_the_book_once(heads):
    titles = [page.title.get_text() for name, page in heads.items() if name != "chapters/index.html"]
    assert len(set(titles)) == len(titles)
    assert {title for title in titles if title.count("Leaky Gradients") != 1} == set()


def test_what_is_said_once_is_said_once(heads):
    for page in heads.values():
        assert len(page.select("meta[name=viewport]")) == 1
        assert len(page.select("meta[name=theme-color]")) == 2  # light and dark


def test_search_and_lost_page_are_not_to_be_listed(heads):
    unlisted = {name for name, page in heads.items() if page.select("meta[name=robots][content=noindex]")}
    assert unlisted == {"search.html", "404.html"}


def test_absolute_addresses_are_those_of_the_building_repository(heads):
    for name in (*PAGES, "chapters/index.html"):
        links = [link["href"] for link in heads[name].select("link[rel=canonical]")]
        pictures = [tag["content"] for tag in heads[name].select('meta[property="og:image"]')]
        if HERE and HERE.site:
            place = "" if name.endswith("index.html") else name
            assert links == [f"{HERE.site}/{place}"]
            (picture,) = pictures
            assert picture.startswith(f"{HERE.site}/social/")
        else:
            assert links == pictures == []


@pytest.fixture
def app(monkeypatch):
    """As much of Sphinx as the head of a page asks for, on a site whose address is known."""
    for module in (cite, social, found):
        monkeypatch.setattr(module, "repository", lambda: PUBLISHED)
    uri = lambda name: "index.html" if name == TOC["root"] else f"{name}.html"  # noqa: E731
    config = SimpleNamespace(root_doc=TOC["root"], html_title="Leaky Gradients", language="en")
    env = SimpleNamespace(toc_secnumbers={"chapters/03_dlg": {"": (3,)}}, titles={})
    return SimpleNamespace(builder=SimpleNamespace(get_target_uri=uri), config=config, env=env)


def test_a_published_page_names_its_address_and_its_picture(app):
    tags = dict(head.previews(app, "chapters/03_dlg", "DLG", front=False))
    assert tags["og:url"] == "https://prof.github.io/course/chapters/03_dlg.html"
    assert tags["og:image"] == "https://prof.github.io/course/social/03.png"
    assert tags["twitter:card"] == "summary_large_image"
    front = dict(head.previews(app, TOC["root"], "Leaky Gradients", front=True))
    assert front["og:url"] == "https://prof.github.io/course/"
    assert front["og:image"] == "https://prof.github.io/course/social/book.png"


def test_a_picture_is_of_the_size_that_previews_ask_for_and_shows_the_card():
    for number in ("", "16"):
        picture = social.draw(
            "03", number, "What decides: training, priors and local steps " * 2, "Leaky Gradients"
        )
        assert picture.size == social.SIZE == (1200, 630)
        assert len(picture.crop((280, 0, 1200, 460)).getcolors(10**6)) > 1000
        assert len(picture.crop((0, 0, 280, 460)).getcolors(10**6)) > 2
        right = picture.crop((1160, 461, 1200, 630))  # a long title becomes smaller and is not cut
        assert right.getextrema() == ((255, 255),) * 3


# How to cite


def test_citation_file_agrees_with_book_and_package():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    book = cite.book()
    assert book["title"].startswith(f"{config['title']}: ")
    assert [author["name"] for author in book["authors"]] == [author["name"] for author in project["authors"]]
    assert book["version"] == project["version"]
    assert book["license"] == project["license"]
    assert book["date-released"].startswith(config["copyright"])


def test_entries_are_bibtex_and_say_what_the_file_says(app):
    where = cite.address(app.builder, "chapters/03_dlg")
    entries = parse_string(
        cite.bibtex(None) + "\n" + cite.bibtex(where, "3", "DLG: one gradient", "chapters/03_dlg"), "bibtex"
    ).entries
    book, chapter = entries["leaky-gradients"], entries["leaky-gradients-dlg"]
    assert book.fields["title"].strip("{}") == chapter.fields["booktitle"].strip("{}") == cite.book()["title"]
    assert book.fields["year"] == chapter.fields["year"] == cite.book()["date-released"][:4]
    assert "url" not in book.fields
    assert chapter.fields["url"] == where
    assert chapter.fields["chapter"] == "3"
    assert str(book.persons["author"][0]).strip("{}") == cite.book()["authors"][0]["name"]


def test_front_page_and_chapters_carry_what_reference_managers_read(heads):
    for name in ("index.html", *NUMBERED):
        page = heads[name]
        assert meta(page, "citation_author") == cite.book()["authors"][0]["name"]
        assert re.fullmatch(r"\d{4}/\d\d/\d\d", meta(page, "citation_publication_date"))
        whole = "citation_title" if name == "index.html" else "citation_inbook_title"
        assert meta(page, whole) == cite.book()["title"]
    assert not heads["chapters/data.html"].select('meta[name^="citation_"]')


def test_front_page_shows_its_entry_and_a_chapter_folds_its_own(site):
    front = BeautifulSoup((site / "index.html").read_text(encoding="utf8"), "html.parser")
    shown = front.select_one("#cite .highlight pre").get_text()
    assert shown.strip() == cite.bibtex(f"{HERE.site}/" if HERE and HERE.site else None)
    text = (site / "chapters" / "03_dlg.html").read_text(encoding="utf8")
    footer = BeautifulSoup(text[text.index('<footer class="bd-footer-content"') :], "html.parser")
    entry = parse_string(footer.select_one("details.cite .highlight pre").get_text(), "bibtex")
    assert "DLG" in entry.entries["leaky-gradients-dlg"].fields["title"]
    assert "creativecommons.org/licenses/by/4.0" in footer.select_one("a[rel=license]")["href"]


# Front page, sitemap, lost page


def test_the_root_is_the_front_page_and_its_second_name_is_the_same_page(site):
    text = (site / "index.html").read_text(encoding="utf8")
    assert "http-equiv" not in text.lower()
    assert "<h1>Leaky Gradients" in text
    assert (site / "chapters" / "index.html").read_text(encoding="utf8") == found.moved(text, "../")


def test_moving_a_page_changes_what_is_relative_and_nothing_else():
    page = (
        '<html data-content_root="./"><a href="chapters/a.html#b"><a href="#b"><a href="https://c.org">'
        '<a href="/d"><img src="data:image/png;base64,A"><img src="_i/e.png"><i data-src="live.html">'
    )
    assert found.moved(page, "../") == (
        '<html data-content_root="../"><a href="../chapters/a.html#b"><a href="#b"><a href="https://c.org">'
        '<a href="/d"><img src="data:image/png;base64,A"><img src="../_i/e.png"><i data-src="../live.html">'
    )


def test_what_speaks_of_the_published_site_stands_on_it_alone(site):
    page = (site / "index.html").read_text(encoding="utf8")
    assert ("leaky-gradients.pdf" in page) == bool(HERE and HERE.site)
    assert 'href="leaky-gradients.pdf"' not in page  # which a local build need not have


def test_links_lead_to_the_front_page_by_one_address(site):
    for name in NUMBERED:
        text = (site / name).read_text(encoding="utf8")
        assert 'href="../index.html"' in text
        assert 'href="index.html' not in text


def test_sitemap_and_robots(site):
    robots = (site / "robots.txt").read_text(encoding="utf8")
    assert robots.startswith("User-agent: *\nDisallow:\n")
    if not (HERE and HERE.site):
        assert "Sitemap" not in robots
        assert not (site / "sitemap.xml").exists()
        return
    assert f"\nSitemap: {HERE.site}/sitemap.xml\n" in robots
    places = [place.text for place in ElementTree.parse(site / "sitemap.xml").iter() if place.text.strip()]
    assert places == [f"{HERE.site}/", *(f"{HERE.site}/{name}" for name in PAGES[1:])]


def test_the_lost_page_works_at_every_depth(site):
    text = (site / "404.html").read_text(encoding="utf8")
    page = BeautifulSoup(text, "html.parser")
    links = [link["href"] for link in page.select("article li a")]
    base = f"{HERE.site}/".partition("//")[2].partition("/")[2] if HERE and HERE.site else None
    prefix = "" if base is None else f"/{base}"
    assert links == [f"{prefix}{name}" for name in PAGES]
    relative = found.RELATIVE.findall(text)
    assert bool(relative) == (base is None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("chapters/04_dlg.html", ["3 · DLG"]),  # under an older number
        ("11_byzantine_and_sparse", ["13 · Sparse graphs", "14 · Byzantine"]),  # one that was cut in two
        ("a/b/c.html", []),
    ],
)
def test_the_lost_page_says_where_a_chapter_has_gone(browser, site, old, new):
    text = (site / "404.html").read_text(encoding="utf8")
    base = urlsplit(HERE.site).path if HERE and HERE.site else "/course"
    text = text if HERE and HERE.site else found.moved(text, f"{base}/")
    context, trouble = browser.new_context(), []
    page = context.new_page()

    def answer(route):
        place = site / urlsplit(route.request.url).path.removeprefix(f"{base}/")
        if place.is_file():
            route.fulfill(path=place)
        elif route.request.is_navigation_request():
            route.fulfill(status=404, body=text, content_type="text/html")
        else:
            trouble.append(route.request.url)
            route.abort()

    page.route("**/*", answer)
    page.goto(f"http://127.0.0.1/{base.lstrip('/')}/{old}")
    shown = page.locator("#moved a").all_inner_texts()
    assert [title.startswith(start) for title, start in zip(shown, new, strict=True)] == [True] * len(new)
    assert page.locator("#moved").is_visible() == bool(new)
    assert trouble == []
    if new:
        link = page.locator("#moved a").first
        place = link.get_attribute("href")
        link.click()
        page.wait_for_url(f"**{place}", wait_until="commit")
        assert new[0].partition(" · ")[2] in page.title()
    context.close()


# The search of the site

# What a student types, and the section that must come first.
QUERIES = {
    "label inference": "03_dlg#label-searched-or-label-inferred",
    "PSNR": "notation#term-PSNR",
    "SecAgg": "11_secure_aggregation#secure-aggregation",
    "Gboard": "16_production#the-best-documented-case-a-keyboard",
    "membership inference": "notation#term-membership-inference",
    "glossary": "notation#glossary",
    "DLG": "03_dlg#dlg-one-gradient-one-image",
    "Deep Leakage": "03_dlg#dlg-one-gradient-one-image",
    "iDLG": "03_dlg#label-searched-or-label-inferred",
    "differential privacy": "10_differential_privacy#differential-privacy-against-reconstruction",
    "epsilon": "10_differential_privacy#what-does-not-say",
    "secure aggregation": "11_secure_aggregation#secure-aggregation",
    "batch size": "08_batch_size#batch-size-is-not-a-privacy-mechanism",
    "gradient compression": "09_compression#compression-is-not-privacy",
    "threat model": "notation#term-threat-model",
    "trusted execution": "notation#term-enclave",
    "Byzantine": "14_byzantine#byzantine-clients",
    "LeNet": "04_identifiability#the-border-of-dlg-s-lenet",
    "BatchNorm": "06_what_decides#batchnorm-what-the-statistics-give-away",
    "exercise 4.2": "04_identifiability#ex-smallest-lenet",
    "theorem 4.1": "04_identifiability#thm-local",
    "psn": "notation#term-PSNR",  # while it is being typed
    "gausian noise": "protocol_map#noise-that-is-shared",  # with a slip
}
ASK = """async queries => {
  const field = document.querySelector("#search input"), found = [];
  for (const query of queries) {
    field.value = query;
    field.dispatchEvent(new Event("input"));
    await new Promise(done => setTimeout(done));
    found.push(document.querySelector("#search-results li a")?.getAttribute("href"));
  }
  return found;
}"""


@pytest.mark.parametrize("opened", ["from a server", "from a file"])
def test_the_search_leads_to_the_right_section_first(browser, site, address, opened):
    page = browser.new_page()
    start = address if opened == "from a server" else site.as_uri()
    page.goto(f"{start}/search.html?q=gradient")
    page.wait_for_selector("#search-results li a")
    found = page.evaluate(ASK, list(QUERIES))
    page.close()
    found = [link.removeprefix("./chapters/").replace(".html", "") for link in found]
    assert dict(zip(QUERIES, found, strict=True)) == QUERIES


def test_the_search_is_loaded_by_who_searches_and_moved_by_keys(browser, address):
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/chapters/03_dlg.html")
    assert not any("search" in url for url in asked)
    page.keyboard.press("Control+k")
    page.keyboard.type("smallest lenet")
    results = page.locator(".search-button__search-container")
    results.locator("li a").first.wait_for()
    assert re.fullmatch(r"(The best \d+ of )?\d+ places?", results.get_by_role("status").inner_text())
    assert results.locator("li mark").first.inner_text().lower() in ("smallest", "lenet")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**/chapters/04_identifiability.html#ex-smallest-lenet")
    context.close()


PIECE = re.compile(r"[\w ,’'-]{40,}")
EXERCISE = re.compile(r":::+\{exercise\}.*?\n(.*?)\n:::", re.DOTALL)
FOLDED = re.compile(r":::+\{solution\}.*?\n:::|<details class=.quiz.*?</details>", re.DOTALL)


def pieces(texts):
    """Stretches of words that are long enough to be told apart."""
    found = (piece.strip() for text in texts for piece in PIECE.findall(" ".join(text.split())))
    return {piece for piece in found if len(piece) >= 40}


def test_the_search_knows_exercises_and_neither_solutions_nor_answers_nor_code(site):
    index = (site / "searchindex.js").read_text(encoding="utf8")
    asked, hidden, shown = [], [], []
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                asked += EXERCISE.findall(text)
                hidden += FOLDED.findall(text)
                shown.append(" ".join(FOLDED.sub("", text).split()))
            else:
                hidden.append(text)
                shown.append(cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption", ""))
    # What stands somewhere in the open, too, gives nothing away.
    text = "\n".join(shown)
    secret = {piece for piece in pieces(hidden) if piece not in text}
    assert len(secret) > 300
    assert {piece for piece in secret if piece in index} == set()
    known = {piece for piece in pieces(asked) if piece in index}
    assert len(known) > len(asked) / 2 > 30


def test_the_search_weighs_little(site):
    index = (site / "searchindex.js").read_bytes()
    assert len(gzip.compress(index)) < 200_000
