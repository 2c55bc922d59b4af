"""Links to the book as files, which scripts/book_files.py puts beside the published site.

Only a site whose published address is known has them, since publishing makes the files first. A local build
links to none.
"""

import re
from html import escape

from leaky.repository import repository

FILES = {
    "leaky-gradients.pdf": "The book as PDF",
    "leaky-gradients-solutions.pdf": "PDF with solutions",
}
TEACH = re.compile(r'<section id="teach-with-it">.*?</h2>\s*<p>.*?</p>\s*', re.DOTALL)


def setup(app):
    app.connect("html-page-context", offer, priority=512)  # after the buttons of theme and copies


def offer(app, pagename, templatename, context, doctree):
    """The download button also gives the whole book, and says what its entry `.pdf` does: print this page."""
    here = repository()
    for group in context.get("header_buttons", []):
        if group.get("label") != "download-buttons":
            continue
        for button in group["buttons"]:
            if button.get("javascript") == "window.print()":
                button |= {"text": "Print this page", "tooltip": "Print this page, or save it as PDF"}
        if here and here.site:
            group["buttons"] += [
                {
                    "type": "link",
                    "url": f"{here.site}/{file}",
                    "text": text,
                    "tooltip": text,
                    "icon": "fas fa-file-pdf",
                }
                for file, text in FILES.items()
            ]
    if here and here.site and pagename == app.config.root_doc:
        context["body"] = TEACH.sub(lambda found: found[0] + paragraph(here.site), context["body"], count=1)


def paragraph(site):
    book, solved = (f'<a href="{escape(site)}/{file}">' for file in FILES)
    return (
        f'<p class="leaky-files">To hand out: {book}the book as PDF</a>, with figures and exercises and '
        f"without solutions, and {solved}the same with solutions</a>.</p>\n"
    )
