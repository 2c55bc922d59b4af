"""A copy of every notebook of the book, for Colab, JupyterLab and VS Code: `_build/colab/NAME.ipynb`.

The chapters are written in MyST, which those front ends show raw. A copy is derived from the page itself, after
Sphinx has resolved it, so nothing is numbered or looked up twice: text from the doctree, code and stored outputs
from the notebook. Each page writes its copy when it is written, and at the end of a build all copies get their
first cells. The copies also lie in the folder `colab` of the site, where the download button leads.
"""

import functools
import hashlib
import json
import posixpath
import re
import shutil
from pathlib import Path
from urllib.parse import quote

from leaky.copies_markdown import Copy
from leaky.repository import repository

FOLDER = "colab"
BIBLIOGRAPHY = "chapters/bibliography"


def setup(app):
    app.connect("doctree-resolved", derive, priority=900)  # after all that is resolved
    app.connect("html-page-context", offer, priority=510)  # after the theme has made its buttons
    app.connect("build-finished", write)


def notebooks(env) -> dict[str, str]:
    """The name of the copy of each page that is a notebook, by the page's."""
    found = {page: Path(env.doc2path(page)) for page in env.found_docs}
    return {page: path.stem for page, path in sorted(found.items()) if path.suffix == ".ipynb"}
