"""A copy of every notebook of the book, for Colab, JupyterLab and VS Code: `_build/colab/NAME.ipynb`.

The chapters are written in MyST, which those front ends show raw. A copy is made from the page itself, after
Sphinx has resolved it, so nothing is numbered or looked up twice: text from the doctree, code and stored
outputs from the notebook. Each page leaves its cells behind when it is written, and at the end of a build all
copies get their first cells. They also lie in the site's folder `colab`, where the download button leads.
"""

import functools
import hashlib
import json
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from docutils import nodes

from leaky.cite import CC_BY, address
from leaky.copies_markdown import Copy, linked
from leaky.copies_setup import setup_cell
from leaky.repository import repository

FOLDER = "colab"
BIBLIOGRAPHY = "chapters/bibliography"
# Figures and equations stand near the words that name them, and a jump to a caption would leave its figure
# above the window: within a page, references to them are text.
NO_PLACE = (nodes.figure, nodes.math_block, nodes.target)

CODE = b"".join((Path(__file__).parent / name).read_bytes() for name in ("copies.py", "copies_markdown.py"))


def setup(app):
    app.connect("doctree-resolved", derive, priority=900)  # after all that is resolved
    app.connect("html-page-context", offer, priority=510)  # after the theme has made its buttons
    app.connect("build-finished", write)


def notebooks(env) -> dict[str, str]:
    """Of each page that is a notebook, the name of its copy."""
    found = {page: Path(env.doc2path(page)) for page in env.found_docs}
    return {page: path.stem for page, path in sorted(found.items()) if path.suffix == ".ipynb"}


# Each page, when it is written


def derive(app, doctree, docname):
    """The page's own cells, kept beside its doctree: a page that has not changed is not read again."""
    name = notebooks(app.env).get(docname)
    if app.builder.name != "html" or not name:
        return
    source = json.loads(Path(app.env.doc2path(docname)).read_text(encoding="utf8"))
    written = Copy(source["cells"], Book(app, docname, doctree)).read(doctree)
    notebook = {
        "cells": written.cells,
        "metadata": source["metadata"] | {"colab": {"name": f"{name}.ipynb", "toc_visible": True}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = kept(app, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf8")


def kept(app, name) -> Path:
    """Where a page's cells are kept: another folder for other code or another place of publication."""
    stamp = hashlib.sha256(CODE + repr(repository()).encode()).hexdigest()[:10]
    return Path(app.doctreedir) / "copies" / stamp / f"{name}.json"


class Book:
    """What a copy needs to know of the book around its page: numbers, addresses, pictures."""

    def __init__(self, app, page, doctree):
        self.env, self.builder, self.page = app.env, app.builder, page
        self.names, self.here = notebooks(app.env), repository()
        self.folder = posixpath.dirname(app.builder.get_target_uri(page))
        self.pages = {app.builder.get_target_uri(name): name for name in app.env.found_docs}
        elements = list(doctree.findall(nodes.Element))
        wanted = {place for node in elements if (place := within(node))}
        self.places = wanted & {
            name for node in elements if not isinstance(node, NO_PLACE) for name in node["ids"]
        }

    def number(self, node, kind):
        if kind == "section":
            first = isinstance(node.parent, nodes.document)
            numbers = self.env.toc_secnumbers.get(self.page, {})
            found = numbers.get("" if first else f"#{node['ids'][0]}")
        else:
            numbers = self.env.toc_fignumbers.get(self.page, {}).get(kind, {})
            found = next((numbers[name] for name in node["ids"] if name in numbers), ())
        return ".".join(map(str, found or ()))

    def address(self, node):
        """A paper at its publisher, another page on the site; the copy where there is none, or for a card."""
        if place := within(node):
            return f"#{place}" if place in self.places else None
        path, _, place = node["refuri"].partition("#")
        if re.match(r"[a-z]+:", path):
            return node["refuri"]
        page = self.pages[posixpath.normpath(posixpath.join(self.folder, path))]
        if page == BIBLIOGRAPHY and place in papers(self.env):
            return papers(self.env)[place]
        copy = f"{self.names[page]}.ipynb" if page in self.names else None
        if copy and self.page == self.env.config.root_doc and not place:
            return (self.here and self.here.colab(self.names[page])) or copy
        return address(self.builder, page, place) or copy

    def picture(self, node):
        return Path(self.env.srcdir) / node["uri"]

    def attack(self, node):
        return address(self.builder, self.page, node["ids"][0])


def within(node) -> str | None:
    """The place on its own page to which a reference leads."""
    address = node.get("refuri", "")
    return address[1:] if address.startswith("#") else node.get("refid")


@functools.cache
def papers(env) -> dict[str, str]:
    """Where each entry of the bibliography can be read, by its place on that page."""
    found = {}
    for citation in env.get_domain("cite").citations:
        fields = citation.entry.fields
        if fields.get("archiveprefix", "").lower() == "arxiv":
            found[citation.citation_id] = f"https://arxiv.org/abs/{fields['eprint']}"
        elif paper := (f"https://doi.org/{fields['doi']}" if "doi" in fields else fields.get("url")):
            found[citation.citation_id] = quote(paper, safe=":/?&=%#")
    return found


# The end of a build


def write(app, exception):
    """All copies with their first cells, those of unchanged pages too: the wheel may be another one."""
    if exception is not None or app.builder.name != "html":
        return
    site, folder = Path(app.outdir), Path(app.outdir).parent / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    setup = first_code(app, site)
    for page, name in notebooks(app.env).items():
        if not kept(app, name).exists():
            app.env.get_and_resolve_doctree(page, app.builder)
        notebook = json.loads(kept(app, name).read_text(encoding="utf8"))
        code = any(cell["cell_type"] == "code" for cell in notebook["cells"])
        notebook["cells"][:0] = [about(app, page), setup][: 1 + code]
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{name}.ipynb").write_text(text, encoding="utf8", newline="\n")
    shutil.rmtree(site / FOLDER, ignore_errors=True)
    shutil.copytree(folder, site / FOLDER)
    current = kept(app, "").parent
    for outdated in set(current.parent.iterdir()) - {current}:
        shutil.rmtree(outdated)


def about(app, page):
    title = linked(app.config.html_title, address(app.builder, page))
    return {
        "id": "about",
        "cell_type": "markdown",
        "metadata": {},
        "source": f"*A copy of a page of the book {title}, to run and to change. Text and figures "
        f"[CC BY 4.0]({CC_BY}), code MIT. Attack only what is yours.*",
    }


def first_code(app, site):
    """The cell that installs the wheel of this very build, which lies at the root of the site."""
    build = [sys.executable, Path(app.srcdir) / "scripts" / "wheel.py", site]
    wheel, sha256 = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return {
        "id": "setup",
        "cell_type": "code",
        "metadata": {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["setup"]},
        "execution_count": None,
        "outputs": [],
        "source": setup_cell(wheel, wheel.split("-")[1], sha256, repository() and repository().site),
    }


def offer(app, pagename, templatename, context, doctree):
    """The download button gives the copy. A page without one has no raw source to give instead."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            name = notebooks(app.env).get(pagename)
            others = [button for button in group["buttons"] if "source" not in button["label"]]
            group["buttons"] = [*([download(context, name)] if name else []), *others]


def download(context, name):
    return {
        "type": "link",
        "url": context["pathto"](f"{FOLDER}/{name}.ipynb", 1),
        "text": "Notebook (.ipynb)",
        "tooltip": "Download this chapter as a notebook",
        "icon": "fas fa-code",
        "label": "download-notebook-button",
    }
