"""The slides of each week, out of the pages of the instructor's edition: `html/slides/week-N.html`.

`instructor/weeks.yml` says which chapters and figures. Titles, questions, objectives, figures with captions
and texts for who cannot see them, definitions, theorems, takeaways, quick checks and exercises are the pages'
own. reveal.js (`_vendor/reveal`) moves the slides, without a network and by keyboard. `scripts/instructor.py`
calls this at the end of its build.
"""

import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import urljoin

import yaml
from book_files import own_questions, prefix_ids, soup
from bs4 import Tag

ROOT = Path(__file__).resolve().parents[1]
WEEKS = ROOT / "instructor" / "weeks.yml"
FILES = (
    *(ROOT / "_vendor" / "reveal" / name for name in ("reveal.js", "reveal.css", "LICENSE")),
    *(ROOT / "instructor" / name for name in ("slides.js", "slides.css")),
)
# What a slide has no use for: anchors, folded code, all positions of an explorer but the first.
LEFT_OUT = """.headerlink, button, script, .leaky-live, .published, .lx-all, .lx-live, .lx-more,
    details.solution, details.hide > :is(summary, .cell_input)"""
WIDE = 1.75  # from this width by height on, a caption stands below its figure


def write(site: Path) -> list[Path]:
    """All decks, in a folder of the site, whose pages of the chapters are there as far as they are built."""
    folder = site / "slides"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in FILES:
        shutil.copy(file, folder)
    rows = yaml.safe_load(WEEKS.read_text(encoding="utf8"))["plans"]["six"]["rows"]
    decks = []
    for number, row in enumerate(rows, 1):
        names = [name for name in row["read"] if (site / "chapters" / f"{name}.html").exists()]
        if names:
            decks.append(folder / f"week-{number}.html")
            decks[-1].write_text(deck(site, number, row, names), encoding="utf8", newline="\n")
    return decks


def deck(site: Path, number: int, row: dict, names: list[str]) -> str:
    chapters = [Chapter(site, name) for name in names]
    listed = "".join(f'<li><a href="#/{one.name}">{escape(one.title)}</a></li>' for one in chapters)
    first = f'<p class="over">Week {number}</p><h1>{escape(row["title"])}</h1><ol>{listed}</ol>'
    slides = [slide(first, "title")]
    for one in chapters:
        slides += one.slides(row["show"].get(one.name, []), row.get("in_class", []))
    glyphs = "".join(str(one.glyphs) for one in chapters if one.glyphs)
    styles = "".join(dict.fromkeys(style for one in chapters for style in one.styles))
    head = "".join(
        f'<link rel="stylesheet" href="{sheet}">'
        for sheet in ("reveal.css", "../_static/palette.css", "../_static/formulas.css", "slides.css")
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>Week {number}: {escape(row["title"])}</title>
{head}<style>{styles}</style></head>
<body>{glyphs}<div class="reveal"><div class="slides">
{"".join(slides)}
</div></div><script src="reveal.js"></script><script src="slides.js"></script></body></html>
"""


def slide(html: str, kind: str, name: str = "") -> str:
    named = f' id="{name}"' if name else ""
    return f'<section{named}><div class="slide {kind}">{html}</div></section>\n'


class Chapter:
    """A page of the book, taken apart into slides. Its ids begin with its name, since a deck has several."""

    def __init__(self, site: Path, name: str) -> None:
        self.name, self.page = name, f"../chapters/{name}.html"
        self.article = soup(site / "chapters" / f"{name}.html").select_one("article.bd-article")
        self.title = " ".join(self.article.h1.get_text().replace("#", "").split())
        for element in self.article.select(LEFT_OUT):
            element.decompose()
        self.styles = [style.extract().get_text() for style in self.article.select("style")]
        for picture in self.article.select("img"):
            picture.attrs.pop("loading", None)
        for link in self.article.select("a[href]"):
            link["href"] = urljoin(self.page, link["href"])
        prefix_ids(self.article, name)
        glyphs = self.article.select_one("svg.glyphs")
        self.glyphs = glyphs.extract() if glyphs else None

    def find(self, name: str) -> Tag:
        found = self.article.find(id=f"{self.name}--{name}")
        if found is None:
            raise SystemExit(f"{WEEKS.name}: the page {self.name} has no {name}")
        return found

    def slides(self, show: list[str], in_class: list[str]) -> Iterator[str]:
        """Title and question, objectives, what is to be shown, takeaways, quick checks, exercises."""
        question = self.article.select_one("p.question")
        asked = f'<p class="question">{question.decode_contents()}</p>' if question else ""
        yield slide(f"<h1>{escape(self.title)}</h1>{asked}", "title", self.name)
        if goals := self.article.select_one(".objectives"):
            yield slide(f"<h2>After this chapter you can</h2>{goals.select_one('ul')}", "text")
        for name in show:
            element = self.find(name)
            yield self.figure(element) if element.name == "figure" else self.box(element)
        if takeaways := self.article.select_one(".takeaways"):
            threat = takeaways.select_one("p.threat") or ""
            yield slide(f"<h2>Key takeaways</h2>{takeaways.select_one('ol, ul')}{threat}", "text")
        for section in self.article.select("section[id$='--quick-check']"):
            for answers in own_questions(section):
                asked = answers[0].find_previous_sibling("p")
                yield slide(f"<h2>Quick check</h2>{asked}{''.join(map(str, answers))}", "text")
        for label in in_class:
            if box := self.article.find(id=f"{self.name}--{label}"):
                yield self.box(box)

    def figure(self, figure: Tag) -> str:
        """The figure as large as the slide allows, with its caption, under the heading where it stands."""
        caption = figure.find("figcaption", recursive=False)
        # What opens a chapter stands under its title.
        heading = figure.find_previous(re.compile("h[1-3]")).get_text().strip()
        text = caption.extract().decode_contents()
        drawing = figure.select_one("svg.leaky-figure")
        explorer = figure.select_one(".leaky-explorer")
        kind, more = ("frame", "") if drawing is None else ("drawing", "")
        if explorer:
            more = f'<p class="more"><a href="{self.page}#{own(figure)}">Move it in the book</a></p>'
        kind += " below" if drawing is not None and wide(drawing) else " beside"
        picture = "".join(map(str, figure.contents))
        return slide(
            f'<h2>{escape(heading)}</h2><div class="shown {kind}"><div class="picture">{picture}</div>'
            f'<div class="caption">{text}{more}</div></div>',
            "figure",
        )

    def box(self, box: Tag) -> str:
        """A definition, a theorem, an exercise: its title above, the rest as it stands."""
        title = box.select_one("p.admonition-title").get_text().strip()
        rest = "".join(map(str, box.select_one("section").contents))
        return slide(f"<h2>{escape(' '.join(title.split()))}</h2>{rest}", f"text {' '.join(box['class'])}")


def own(element: Tag) -> str:
    return element["id"].partition("--")[2]


def wide(drawing: Tag) -> bool:
    _, _, width, height = map(float, drawing["viewbox"].split())
    return width / height > WIDE
