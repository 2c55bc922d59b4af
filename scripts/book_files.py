"""The book as files: a PDF and an ePub to hand out, and a PDF with the solutions for teachers.

    make book && .venv/bin/python scripts/book_files.py
    make book-instructor && .venv/bin/python scripts/book_files.py --instructor

reads the pages of the website in ``_build/html``, puts them into one document in the order of ``_toc.yml``,
so that links between pages become links inside it, and lets Chromium print it. The files lie beside the
website's front page. What teachers have is made of the pages of ``_build/instructor/html`` in the same way,
and lies there.
"""

import argparse
import json
import logging
import re
import sys
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from html import escape
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin

import yaml
from bs4 import BeautifulSoup, Tag
from epub import write_epub
from pages import ARGUMENTS, CHROMIUM, READY, ROOT, SITE
from playwright.sync_api import sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject
from pypdf.xmp import XmpInformation

sys.path.insert(0, str(ROOT / "_ext"))
from leaky.repository import repository

# It would tell that Chromium's files hold more objects than their trailers say, and reads them all the same.
logging.getLogger("pypdf").setLevel(logging.ERROR)
STUDENTS, TEACHERS = "leaky-gradients.pdf", "leaky-gradients-solutions.pdf"
EPUB = "leaky-gradients.epub"
WORK = ROOT / "_build" / "files"
INSTRUCTOR_SITE = ROOT / "_build" / "instructor" / "html"
STYLE = Path(__file__).with_suffix(".css")

# What a page holds for the screen alone: controls, code that is folded away, lists of the site's pages.
SCREEN = """.headerlink, button, .leaky-live, .leaky-run, .published, details.hide:not(:has(figure)),
    .toctree-wrapper, .sd-summary-state-marker, .lx-all > :not(.lx-printed)"""
FRONT = "h1, p.promise, div.ways, figure.film, section:is([id$='--the-chapters'], [id$='--cite'])"
SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
# The paper between its margins, in pixels of CSS.
PAPER = {"width": 605, "height": 937}
# What is wider than that, and how much of the height the explorers take.
ON_PAPER = """() => {
  const all = selector => [...document.querySelectorAll(`article ${selector}`)];
  const height = found => found.reduce((sum, element) => sum + element.getBoundingClientRect().height, 0);
  const right = document.querySelector("article").getBoundingClientRect().right + 1;
  const wide = all("*:not(svg *, mjx-container *)").filter(element =>
    element.checkVisibility({visibilityProperty: true}) && element.getBoundingClientRect().right > right);
  return {explorers: height(all(".leaky-explorer")) / height(all("")),
    wide: wide.map(element => `${element.closest("article").id}: ${element.outerHTML.slice(0, 120)}`)};
}"""
PREFACE, ANSWERS = "Before you begin", "Answers to the quick checks"
ABOUT = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
AUTHORS = [author["name"] for author in ABOUT["authors"]]
RELEASED = date.fromisoformat(str(ABOUT["date-released"]))
RIGHTS = "Text and figures: CC BY 4.0. Code: MIT license. The photographs have licenses of their own."
LETTERS = "ABCDEFGH"
# In the address of a page in the book: its file, and the place in it.
INSIDE = re.compile(r"(?:\.\./)*(?:chapters/)?(?P<page>\w+)\.html(?:#(?P<place>.*))?")


@dataclass
class Chapter:
    """One page of the website, as it stands in a file. All its ids begin with its name."""

    name: str  # 03_dlg
    title: str  # 3 · DLG: one gradient, one image
    part: str | None  # the part that it opens
    article: Tag


def listed() -> list[tuple[str, str | None]]:
    """The file of each page in the order of the book, front page first, and the part that it opens."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    found: list[tuple[str, str | None]] = [("index.html", None)]
    for part in toc["parts"]:
        for place, page in enumerate(part["chapters"]):
            found.append((f"{page['file']}.html", part.get("caption") if place == 0 else None))
    return found


def chapters(site: Path, address: str | None) -> list[Chapter]:
    """All pages, their links made fit for one document; ``address`` is that of the published site."""
    names = {Path(file).stem for file, _ in listed()}
    return [chapter(site, file, part, names, address) for file, part in listed()]


def chapter(site: Path, file: str, part: str | None, names: set[str], address: str | None) -> Chapter:
    article = soup(site / file).select_one("article.bd-article").extract()
    for element in article.select(SCREEN):
        element.decompose()
    for cell in article.select("details.hide"):  # its figure has a number, and the text speaks of it
        for element in cell.select(":scope > :is(summary, .cell_input)"):
            element.decompose()
    for folded in article.select("details:is(.hide, .lx-all)"):
        folded.unwrap()
    for solution in article.select("details.solution"):
        solution.name, solution["class"] = "div", ["solution", "admonition"]
        title = solution.summary
        title.name, title["class"] = "p", ["admonition-title"]
    page = f"{address}/{file}" if address else None
    if page:
        link_to_the_site(article, page)
    keep_one_style(article)
    name = article["id"] = Path(file).stem
    mend_links(article, site / file, names, page)
    prefix_ids(article, name)
    return Chapter(name, " ".join(article.h1.get_text().split()), part, article)


def soup(path: Path) -> BeautifulSoup:
    """A page of the website, without its scripts."""
    return BeautifulSoup(SCRIPT.sub("", path.read_text(encoding="utf8")), "html.parser")


def link_to_the_site(article: Tag, page: str) -> None:
    """What moves there and not here says where that is."""
    for more in article.select(".lx-more"):
        figure = more.find_parent("figure", id=True)
        more.append(BeautifulSoup(f': <a href="{page}#{figure["id"]}">move it there</a>', "html.parser"))
    for figure in article.select("figure.live"):
        link = f' <a href="{page}#{figure["id"]}">Run it on the website.</a>'
        figure.select_one(".caption-text").append(BeautifulSoup(link, "html.parser"))


def keep_one_style(article: Tag) -> None:
    """Each explorer brings the same style; one on a page does."""
    seen = set()
    for style in article.select("style"):
        rules = style.get_text()
        if rules in seen:
            style.decompose()
        seen.add(rules)


def mend_links(article: Tag, path: Path, names: set[str], page: str | None) -> None:
    """Links to pages lead to their place in the document, others of the site to its published address."""
    for picture in article.select("img[src], image[href]"):  # also those in drawings
        picture.attrs.pop("loading", None)  # paper does not scroll
        where = "src" if picture.name == "img" else "href"
        if not picture[where].startswith("data:"):
            picture[where] = (path.parent / picture[where]).resolve().as_uri()
    for link in article.select("a[href]"):
        href, found = link["href"], INSIDE.fullmatch(link["href"])
        known = found and found["page"] in names
        if href.startswith("#") and not href.startswith("#live:"):
            link["href"] = f"#{path.stem}--{href[1:]}" if href != "#" else f"#{path.stem}"
        elif known and "#live:" not in href:
            link["href"] = f"#{found['page']}" + (f"--{found['place']}" if found["place"] else "")
        elif not re.match(r"[a-z]+:", href):
            # Settings of the attack in the page, copies to download: only the website has these.
            if page:
                link["href"] = urljoin(page, href)
            elif known:
                link["href"] = f"#{found['page']}"
            else:
                link.unwrap()


def prefix_ids(article: Tag, name: str) -> None:
    """Two pages may give two things one name; in one document each needs its own."""
    for element in article.select("[id]"):
        element["id"] = f"{name}--{element['id']}"
    for element in article.select("svg *"):
        for key, value in element.attrs.items():
            if isinstance(value, str) and "#" in value:
                value = re.sub(r"url\((['\"]?)#", rf"url(\g<1>#{name}--", value)
                if key.endswith("href") and value.startswith("#"):
                    value = f"#{name}--{value[1:]}"
                element[key] = value
    for element in article.select("[aria-labelledby], [aria-describedby], [for]"):
        for key in ("aria-labelledby", "aria-describedby", "for"):
            if key in element.attrs:
                element[key] = " ".join(f"{name}--{one}" for one in element[key].split())


def answers(book: list[Chapter]) -> Chapter:
    """The reasons that the website shows behind each answer, moved to the end of the book."""
    parts = []
    for one in book:
        sections = [section for section in one.article.select("section[id]") if own_questions(section)]
        if sections:
            parts.append(f'<h2><a href="#{one.name}">{escape(one.title)}</a></h2>')
        for section in sections:
            if not section["id"].endswith("--quick-check"):
                heading = section.find(re.compile("h[2-6]")).get_text()
                parts.append(f'<p class="where"><a href="#{section["id"]}">{escape(heading)}</a></p>')
            for number, question in enumerate(own_questions(section), 1):
                parts.append(f'<div class="answer">{"".join(reasons(number, question))}</div>')
    html = f'<article class="bd-article" id="answers"><h1>{ANSWERS}</h1>{"".join(parts)}</article>'
    return Chapter("answers", ANSWERS, None, BeautifulSoup(html, "html.parser").article)


def own_questions(section: Tag) -> list[list[Tag]]:
    """The answers of each question that stands in a section itself: those beside each other."""
    found: list[list[Tag]] = []
    for answer in section.find_all("details", class_="quiz", recursive=False):
        before = answer.find_previous_sibling()
        if before.name == "details" and "quiz" in before["class"]:
            found[-1].append(answer)
        else:
            found.append([answer])
    return found


def reasons(number: int, question: list[Tag]) -> Iterator[str]:
    """Taken out of the question, so that they stand in the book once."""
    for letter, answer in zip(LETTERS, question, strict=False):
        parts = [part.extract() for part in list(answer.contents) if part is not answer.summary]
        kind, mark = ("yes", "✓") if "yes" in answer["class"] else ("no", "✗")
        text = "".join(map(str, parts)).strip()
        yield f'<div class="reason {kind}"><b>{number} {letter} {mark}</b> {text}</div>'


def preface(first: Chapter) -> Chapter:
    """What remains of the front page when title page, imprint and contents have taken their parts."""
    for element in first.article.select(FRONT):
        element.decompose()
    first.article.section.insert(0, BeautifulSoup(f"<h1>{PREFACE}</h1>", "html.parser"))
    return Chapter(first.name, PREFACE, None, first.article)


def title_page(first: Chapter, solutions: bool) -> str:
    name, _, claim = ABOUT["title"].partition(": ")
    return f"""<section class="title-page">
<p class="name">{escape(name)}</p>
<p class="claim">{escape(claim[:1].upper() + claim[1:])}</p>
{first.article.select_one("figure.film")}
<p class="promise">{first.article.select_one("p.promise").decode_contents()}</p>
<p class="edition">{"With solutions, for teachers" if solutions else ""}</p>
<p class="authors">{escape(", ".join(AUTHORS))}</p>
</section>"""


def imprint(first: Chapter, solutions: bool, address: str | None, digest: str) -> str:
    """What this file holds and what not; and, as the front page says it, how to cite it and its license."""
    site = f'<a href="{address}/">{address.partition("//")[2]}</a>' if address else "its website"
    told = (
        "Each exercise is followed by its solution."
        if solutions
        else "Solutions of the exercises are not in it."
    )
    cite = first.article.select_one("section[id$='--cite']")
    for said in cite.select(".how-to-cite > p"):
        said.decompose()
    return f"""<section class="imprint bd-article">
<h2>About this file</h2>
<p>It holds the whole book as it stands on {site}: text, figures, quick checks and exercises. An explorer,
which follows a slider there, is shown at three of its positions; an attack that runs in the page, as a film
strip. Code is printed where it is the idea; all of it is in the notebooks. <a href="#answers">{ANSWERS}</a>
stand at the end. {told}</p>
{cite}
<p class="version">Version {ABOUT["version"]} of {RELEASED.day} {RELEASED:%B %Y} · contents {digest}</p>
</section>"""


def contents(book: list[Chapter]) -> str:
    """Every chapter, with a place for the number of the page on which it begins."""
    rows = []
    for one in book:
        if one.part:
            rows.append(f'<li class="part">{escape(one.part)}</li>')
        rows.append(f'<li><a href="#{one.name}"><span>{escape(one.title)}</span>{place(one.name)}</a></li>')
    return (
        '<section class="contents" id="index--the-chapters"><h2>Contents</h2>'
        f"<ol>{''.join(rows)}</ol></section>"
    )


def place(name: str) -> str:
    return f'<b data-page="{name}"></b>'


def whole(site: Path, address: str | None, solutions: bool) -> str:
    """The book as one page of HTML, complete but for the page numbers in its contents."""
    book = chapters(site, address)
    if solutions != any(one.article.select_one(".solution") for one in book):
        raise SystemExit(f"{site} holds {'no' if solutions else 'the'} solutions: build it anew")
    first = Chapter("", "", None, copy(book[0].article))
    book = [preface(book[0]), *book[1:], answers(book)]
    for one in book:
        one.article["style"] = f"page: {page_name(one)}"
        if one.part:
            label = f'<p class="part">{escape(one.part)}</p>'
            one.article.insert(0, BeautifulSoup(label, "html.parser"))
    return document(site, first, book, solutions, address)


def document(site: Path, first: Chapter, book: list[Chapter], solutions: bool, address: str | None) -> str:
    body = "".join(str(one.article) for one in book)
    digest = sha256(body.encode()).hexdigest()[:10]
    heads = "".join(
        f"@page {page_name(one)} {{ @top-left {{ content: {json.dumps(one.title, ensure_ascii=False)}; }} }}"
        for one in book
    )
    head = soup(site / "index.html").head
    for sheet in head.select("link[rel=stylesheet]"):
        sheet["href"] = (site / sheet["href"].partition("?")[0]).resolve().as_uri()
    sheets = "".join(map(str, head.select("link[rel=stylesheet], style")))
    return f"""<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{escape(ABOUT["title"])}</title>
{sheets}<style>{STYLE.read_text(encoding="utf8")}{heads}</style>
</head><body class="book"><div class="bd-content">{title_page(first, solutions)}
{imprint(first, solutions, address, digest)}{contents(book)}{body}</div></body></html>"""


def page_name(one: Chapter) -> str:
    return f"page-{one.name}"


def print_pdf(name: str, html: str, site: Path) -> Path:
    """The PDF in the folder of its website, and beside the students' one the ePub."""
    path = WORK / f"{name.removesuffix('.pdf')}.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        tab = browser.new_page()
        tab.set_default_timeout(300_000)

        def printed(text: str, **options: bool) -> PdfReader:
            path.write_text(text, encoding="utf8")
            tab.goto(path.as_uri())
            tab.evaluate(READY)
            return PdfReader(BytesIO(tab.pdf(prefer_css_page_size=True, print_background=True, **options)))

        book = printed(html, outline=True, tagged=True)
        if name == STUDENTS:
            about = {**ABOUT, "authors": ", ".join(AUTHORS), "date": str(RELEASED), "rights": RIGHTS}
            colors = (site / "_static" / "palette.css").read_text(encoding="utf8").partition("@media")[0]
            write_epub(tab, site / EPUB, about, colors)
        numbers = printed(only_numbers(html, book))
        browser.close()
    return finished(book, numbers, site / name)


def only_numbers(html: str, book: PdfReader) -> str:
    """The pages before the first chapter with nothing on them but the numbers in the table of contents.

    On which page a chapter begins is known when the book is printed. What these pages hold is then laid over.
    """
    html = html.partition("<article")[0]
    for name, found in book.named_destinations.items():
        html = html.replace(
            place(name.removeprefix("/")), f"<b>{book.get_destination_page_number(found) + 1}</b>"
        )
    style = "html, body { background: none; } body * { visibility: hidden; } li b { visibility: visible; }"
    return html.replace("</head>", f"<style>{style}</style></head>")


def finished(book: PdfReader, numbers: PdfReader, path: Path) -> Path:
    """The file, and what it says of itself; its time is the release's, so that equal contents stay equal."""
    writer = PdfWriter(clone_from=book)
    for page, stamp in zip(writer.pages, numbers.pages, strict=False):
        page.merge_page(stamp)
    title = ABOUT["title"] + (", with solutions" if path.name == TEACHERS else "")
    time = f"D:{RELEASED:%Y%m%d}000000+00'00'"
    writer.add_metadata(
        {
            "/Title": title,
            "/Author": ", ".join(AUTHORS),
            "/Subject": "Gradient leakage in federated learning",
            "/License": RIGHTS,
            "/CreationDate": time,
            "/ModDate": time,
        }
    )
    xmp = XmpInformation.create()
    xmp.dc_title, xmp.dc_rights = {"x-default": title}, {"x-default": RIGHTS}
    xmp.dc_creator, xmp.dc_language = AUTHORS, ["en"]
    writer.xmp_metadata = xmp
    stream = writer.root_object["/Metadata"].get_object()
    stream |= {NameObject("/Type"): NameObject("/Metadata"), NameObject("/Subtype"): NameObject("/XML")}
    writer.pdf_header = "%PDF-1.7"
    writer.create_viewer_preferences().display_doctitle = True
    writer.write(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instructor", action="store_true", help="the PDF with solutions, and nothing else")
    solutions = parser.parse_args().instructor
    site, name = (INSTRUCTOR_SITE, TEACHERS) if solutions else (SITE, STUDENTS)
    if not (site / "index.html").exists():
        raise SystemExit(f"no website in {site}: run `make book{'-instructor' * solutions}`")
    if CHROMIUM is None:
        raise SystemExit("no chromium or google-chrome on this machine, which prints the book: install one")
    WORK.mkdir(parents=True, exist_ok=True)
    here = repository()
    path = print_pdf(name, whole(site, here.site if here else None, solutions), site)
    size, pages = path.stat().st_size / 1e6, len(PdfReader(path).pages)
    print(f"{path.relative_to(ROOT)}: {pages} pages, {size:.1f} MB")
    if not solutions:
        print(f"{(site / EPUB).relative_to(ROOT)}: {(site / EPUB).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
