"""How to cite the book and each chapter, all from CITATION.cff; and the colophon below each page.

On a page, ``:::{div} how-to-cite`` is followed by the entry of the book.
"""

import functools
from html import escape
from pathlib import Path

import yaml
from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BibTeXLexer

from leaky.repository import ROOT, repository

CC_BY = "https://creativecommons.org/licenses/by/4.0/"
MIT = "https://opensource.org/license/mit"


def setup(app):
    app.connect("doctree-resolved", show_entry)
    app.connect("html-page-context", add_colophon)


@functools.cache
def book() -> dict:
    """What CITATION.cff says."""
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))


def address(builder, page: str, place: str = "") -> str | None:
    """Where a page is published, if anywhere; the front page is the site itself."""
    here = repository()
    if not here or not here.site:
        return None
    uri = builder.get_target_uri(page)
    return f"{here.site}/{'' if uri == 'index.html' else uri}{'#' * bool(place)}{place}"


def number_and_title(env, pagename: str, title: str) -> tuple[str, str]:
    """The number of a chapter, "" for other pages, and its title as text, without a star."""
    numbers = env.toc_secnumbers.get(pagename, {}).get("", ())
    if pagename in env.titles:
        title = env.titles[pagename].astext()
    return ".".join(map(str, numbers)), title.removesuffix("★").strip()


def bibtex(address: str | None, number: str = "", title: str = "", page: str = "") -> str:
    """The entry of the book, or of one chapter. Its key outlives a new number."""
    of_chapter = {"title": f"{{{title}}}", "booktitle": f"{{{book()['title']}}}", "chapter": number}
    year, month, _ = book()["date-released"].split("-")
    fields = {
        "author": " and ".join(f"{{{author['name']}}}" for author in book()["authors"]),
        **(of_chapter if number else {"title": f"{{{book()['title']}}}"}),
        "year": year,
        "month": month.lstrip("0"),
        "version": book()["version"],
        **({"url": address} if address else {}),
    }
    name = Path(page).name.partition("_")[2].replace("_", "-")
    kind, key = ("incollection", f"leaky-gradients-{name}") if number else ("misc", "leaky-gradients")
    width = max(map(len, fields))
    lines = (f"  {name:{width}} = {{{value}}}," for name, value in fields.items())
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def show_entry(app, doctree, docname):
    for box in doctree.findall(nodes.container):
        if "how-to-cite" in box["classes"]:
            entry = bibtex(address(app.builder, app.config.root_doc))
            box += nodes.literal_block(entry, entry, language="bibtex")


def add_colophon(app, pagename, templatename, context, doctree):
    """Quiet: the entry is folded. Its markup is that of any listing, so it has the button that copies."""
    front = pagename == app.config.root_doc
    number, title = number_and_title(app.env, pagename, "")
    if number:
        what, entry = "chapter", bibtex(address(app.builder, pagename), number, title, pagename)
    else:
        what, entry = "book", bibtex(address(app.builder, app.config.root_doc))
    code = highlight(entry, BibTeXLexer(), HtmlFormatter(nowrap=True))
    here = repository()
    license_of_code = (here and here.file("LICENSE")) or MIT
    listing = f'<div class="highlight"><pre>{code}</pre></div>'
    fold = (
        f'<details class="cite"><summary>Cite this {what}</summary>'
        f'<div class="highlight-bibtex notranslate">{listing}</div></details>'
    )
    owner = f"{app.config.copyright} {app.config.author}"
    license_of_text = f'<a rel="license" href="{CC_BY}">CC BY 4.0</a>'
    context["colophon"] = (
        f"{'' if front else fold}"
        f'<p class="licenses">© {escape(owner)} · text and figures {license_of_text} · '
        f'code <a href="{escape(license_of_code)}">MIT</a> · version {escape(book()["version"])}</p>'
    )
