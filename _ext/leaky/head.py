"""The head of a page: what search engines, previews of links and reference managers read of it.

Each page has a description of its own, in ``chapters/descriptions.yml``. What needs an absolute address is
left out where nothing says where the site is published.
"""

import functools
from html import escape
from pathlib import Path

import yaml

from leaky.cite import address, book, number_and_title
from leaky.handouts import FILES
from leaky.palette import PALETTE
from leaky.repository import ROOT
from leaky.social import SIZE, picture_of
from leaky.solutions import for_instructor

SOURCE = ROOT / "chapters" / "descriptions.yml"
UNLISTED = ("search", "404")  # no search engine shall show them, nor any page of the instructor's edition


def setup(app):
    app.connect("html-page-context", write_head)


@functools.cache
def descriptions() -> dict[str, str]:
    """The sentence of each page, by the name of its file."""
    return yaml.safe_load(SOURCE.read_text(encoding="utf8"))


def write_head(app, pagename, templatename, context, doctree):
    """`page_title` and `metatags` for the template, `pageurl` for the canonical address."""
    front = pagename == app.config.root_doc
    number, title = number_and_title(app.env, pagename, context.get("title", pagename))
    name = app.config.html_title
    context["page_title"] = (
        book()["title"] if front else f"{f'{number} · ' if number else ''}{title} — {name}"
    )
    unlisted = pagename in UNLISTED or for_instructor(app.config)
    context["pageurl"] = None if unlisted else address(app.builder, pagename)
    tags = [("robots", "noindex")] if unlisted else []
    if not unlisted:
        tags += previews(app, pagename, context["page_title"] if front else title, front)
    if (front or number) and not unlisted:
        tags += citation(app, pagename, title, front)
    context["metatags"] = "\n    ".join(["", *map(tag, tags), *frame_colours()])


def previews(app, pagename, title, front):
    """Description, Open Graph and Twitter card."""
    text = descriptions()[Path(pagename).name]
    yield "description", text
    yield "og:title", title
    yield "og:description", text
    yield "og:type", "book" if front else "article"
    yield "og:site_name", app.config.html_title
    yield "og:locale", "en_US"
    if where := address(app.builder, pagename):
        picture, alt = picture_of(app, pagename)
        yield "og:url", where
        yield "og:image", f"{address(app.builder, app.config.root_doc)}{picture}"
        yield "og:image:width", str(SIZE[0])
        yield "og:image:height", str(SIZE[1])
        yield "og:image:alt", alt
        yield "twitter:card", "summary_large_image"
    else:
        yield "twitter:card", "summary"


def citation(app, pagename, title, front):
    """What Google Scholar and reference managers read; a chapter says in which book it stands."""
    yield "citation_title", book()["title"] if front else title
    if not front:
        yield "citation_inbook_title", book()["title"]
    for author in book()["authors"]:
        yield "citation_author", author["name"]
    yield "citation_publication_date", book()["date-released"].replace("-", "/")
    yield "citation_language", app.config.language
    if where := address(app.builder, pagename):
        yield "citation_public_url", where
        yield "citation_fulltext_html_url", where
        if front:  # published together with the site
            yield "citation_pdf_url", f"{where}{next(iter(FILES))}"


def tag(pair):
    name, content = pair
    key = "property" if name.startswith("og:") else "name"
    return f'<meta {key}="{name}" content="{escape(content)}">'


@functools.cache
def frame_colours():
    """The browser's own frame takes the colour of the page, in light and in dark."""
    page = PALETTE["ink"]["page"]
    return [
        f'<meta name="theme-color" content="{colour}" media="(prefers-color-scheme: {theme})">'
        for theme, colour in page.items()
    ]
