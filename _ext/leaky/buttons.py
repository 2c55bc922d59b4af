"""Buttons to the repository that builds: Colab, issues, editing. Without a repository there are none."""

import html
import re
from pathlib import Path

from sphinx.util import logging

from leaky.cite import address as published
from leaky.repository import ROOT, repository

# The front page shows this chapter's film, so its button opens this chapter.
FILM = "chapters/03_dlg"
RUN_IT = re.compile(r'<section id="run-it">.*?</h2>\s*', re.DOTALL)
# "Open in" gives way on a narrow screen, but not to who listens; leaky.css draws the arrow.
OPEN_IN_COLAB = '<span class="leaky-open-in">Open in</span> Colab'
logger = logging.getLogger(__name__)


def setup(app):
    # Where the repository is another than at the last build, all pages are written again.
    app.add_config_value("leaky_repository", "", "html")
    app.connect("config-inited", name_repository)
    # The theme's own buttons are there by then.
    app.connect("html-page-context", add_buttons, priority=502)


def name_repository(app, config):
    config.leaky_repository = str(repository())


def add_buttons(app, pagename, templatename, context, doctree):
    here = repository()
    if here is None or "header_buttons" not in context:
        return
    source = doctree and Path(app.env.doc2path(pagename)).resolve()
    colab = here.colab(source.stem) if is_chapter(app, pagename, source) else None
    if pagename == app.config.root_doc:
        context["body"] = with_run_button(app, context["body"], here)
    context["header_buttons"][:0] = [
        *([link(colab, OPEN_IN_COLAB, label="colab-button")] if colab else []),
        {
            "type": "group",
            "tooltip": "Repository, issues and source",
            "icon": "leaky-icon-repository",  # drawn by leaky.css
            "label": "repository-buttons",
            "buttons": [
                link(address, text)
                for address, text in (
                    (here.url, "Repository"),
                    (here.codespace, "Open in Codespaces"),
                    (report(app, here, pagename, context, source), "Report an issue"),
                    (source and here.edit(source.relative_to(ROOT).as_posix()), "Edit this page"),
                )
                if address
            ],
        },
    ]


def is_chapter(app, pagename, source):
    """A notebook whose copy is published; the front page is one, but has nothing to run."""
    return source and source.suffix == ".ipynb" and pagename != app.config.root_doc


def link(address, text, label=None):
    return {"type": "link", "url": html.escape(address), "text": text, "label": label}


def report(app, here, pagename, context, source):
    """A new issue that names the page."""
    title = html.unescape(re.sub(r"<[^>]*>", "", context.get("title") or pagename))
    page = published(app.builder, pagename) or (source and source.relative_to(ROOT).as_posix()) or pagename
    text = f"Page: {page}\n\nWhat it says, and what it should say:\n\n"
    return here.report(f"On the page: {title}", text)


def with_run_button(app, body, here):
    """The front page's section "Run it" begins with the button."""
    address = here.colab(Path(FILM).name)
    if not address:
        return body
    if not RUN_IT.search(body):
        logger.warning('the front page has no section "run-it" whose button could open Colab')
    number = ".".join(map(str, app.env.toc_secnumbers[FILM][""]))
    button = f"""<p class="leaky-run">
<a class="leaky-button" href="{html.escape(address)}">Open chapter {number} in Colab</a>
<span>The film above, to run yourself; nothing to install. Every chapter has its button at the top.</span></p>
"""
    return RUN_IT.sub(lambda heading: heading[0] + button, body, count=1)
