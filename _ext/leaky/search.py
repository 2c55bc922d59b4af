"""What the search knows: every section, box, figure and term with its text, without code and without answers.

It is read from the pages as they are shown, so numbers and references are the page's. Each page leaves its
part in the folder of the doctrees, since a later build writes only what has changed. In the end all parts
become `searchindex.js`, with the library that ranks them (`_vendor/search`): a script, so that a book
opened from a file can load it, too. `search.js` loads it when somebody searches.

Measured side by side: Sphinx's own index names pages only and fetches whole pages for its excerpts; Pagefind
needs a server.
"""

import json
import re
from pathlib import Path

from bs4 import BeautifulSoup

from leaky.cite import number_and_title
from leaky.found import listed

INDEX = "searchindex.js"
LIBRARY = Path(__file__).parents[2] / "_vendor" / "search" / "library.js"
# No place is found by it, or it is folded away: solutions, answers, code and what it printed.
LEFT_OUT = (
    "script, style, img, iframe, details, noscript, .headerlink, .cell_input, .cell_output, div.highlight, "
    "div.math, .takeaways > .admonition-title, .leaky-live, p.meta, .toctree-wrapper, .leaky-run, svg"
)
BOXES = "exercise", "theorem", "definition", "proposition", "lemma", "corollary", "algorithm"


def setup(app):
    app.connect("html-collect-pages", lambda app: [("search", {"title": "Search"}, "search.html")])
    app.connect("build-finished", write_index)


def parts(app) -> Path:
    return Path(app.doctreedir, "leaky", "search")


def keep_part(app, pagename, body: BeautifulSoup):
    """Called with a page that is complete, and takes it apart: reading it again would be slow."""
    if app.builder.name != "html":
        return
    number, title = number_and_title(app.env, pagename, "")
    part = {
        "page": f"{number} · {title}" if number else title,
        "address": app.builder.get_target_uri(pagename),
        "places": places(body),
    }
    file = parts(app) / f"{Path(pagename).name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(part, ensure_ascii=False), encoding="utf8")


def places(page: BeautifulSoup) -> list[list[str]]:
    """Anchor, kind, title, other name and text of each place of a page, in their order."""
    order = {element["id"]: at for at, element in enumerate(page.select("[id]"))}
    found = []

    def take(element, kind, title, text):
        """Outside what is still there it is not found again."""
        names = [element["id"], *(span["id"] for span in element.find_all("span", id=True, recursive=False))]
        # (ch-secagg)= says SecAgg.
        short = (name.removeprefix("ch-") for name in names if name.startswith("ch-"))
        found.append([names[0], kind, one_line(title), " ".join(short), one_line(text.get_text(" "))])
        text.decompose()

    # A caption stands among the outputs of a cell, which are left out.
    for figure in page.select("figure[id]"):
        if caption := figure.find("figcaption", recursive=False):
            number = caption.select_one(".caption-number")
            take(figure, "figure", number.extract().get_text() if number else "", caption)
    for element in page.select(LEFT_OUT):
        element.decompose()
    # A formula's letters, with a sign for what is raised or above a line.
    for power in page.select("msup > :last-child"):
        power.insert(0, "^")
    for below in page.select("mfrac > :last-child"):
        below.insert(0, "/")
    for formula in page.select(".math"):
        formula.string = formula.get_text().strip()
    # From the inside outwards.
    for term in page.select("dl.glossary > dt[id]"):
        take(term, "term", term.get_text(), term.find_next_sibling("dd"))
        term.decompose()
    for entry in page.select("[role=listitem][id], [role=doc-biblioentry][id]"):
        take(entry, "reference", "", entry)
    for box in page.select(",".join(f"div.{kind}[id]" for kind in BOXES)):
        kind = next(kind for kind in BOXES if kind in box["class"])
        take(box, kind, box.find(class_="admonition-title").extract().get_text(), box)
    for section in reversed(page.select("section[id]")):
        heading = section.find(re.compile("^h[1-6]$")).extract()
        take(section, "page" if heading.name == "h1" else "section", heading.get_text(), section)
    return sorted(found, key=lambda place: order[place[0]])


def one_line(text):
    """Without the spaces that tags leave inside brackets and before a full stop."""
    return re.sub(r" (?=[.,;:!?)\]])|(?<=[(\[]) ", "", " ".join(text.split()))


def write_index(app, exception):
    if exception is not None or app.builder.name != "html":
        return
    stored = (parts(app) / f"{Path(name).name}.json" for name in listed(app))
    pages = [json.loads(file.read_text(encoding="utf8")) for file in stored]
    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    library = LIBRARY.read_text(encoding="utf8")
    Path(app.outdir, INDEX).write_text(f"{library}leakySearch({text});\n", encoding="utf8")
