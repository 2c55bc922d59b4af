"""Solutions of the exercises are in the instructor's edition only.

The notebooks in ``chapters`` hold them: they are the source, and tests run them behind their chapters. For
the students' edition they are taken out as the notebooks are read, before anything else sees them: so
neither pages nor search index, copies, PDF and ePub can hold their text. A solution is a cell of its own, of
which nothing stays but its empty place, since others are found by their number.
"""

import json
import re

from docutils import nodes
from sphinx.errors import ExtensionError

STUDENTS, INSTRUCTOR = "students", "instructor"
BEGINS = re.compile(r"\{solution(?:-\w+)?\}")
ALONE = re.compile(r"(:{3,})\{solution\} \S+\n.*?\n\1\s*", re.DOTALL)


def setup(app):
    app.add_config_value("leaky_edition", STUDENTS, "env")
    app.connect("source-read", take_out)
    app.connect("doctree-read", none_is_left)


def for_instructor(config) -> bool:
    if config.leaky_edition not in (STUDENTS, INSTRUCTOR):
        raise ExtensionError(
            f"leaky_edition is {STUDENTS} or {INSTRUCTOR}; it is {config.leaky_edition!r}: mend the setting"
        )
    return config.leaky_edition == INSTRUCTOR


def take_out(app, docname, source):
    if not for_instructor(app.config) and app.env.doc2path(docname).endswith(".ipynb"):
        source[0] = json.dumps(without_solutions(json.loads(source[0]), docname), ensure_ascii=False)


def without_solutions(notebook: dict, name: str) -> dict:
    """The notebook, each cell that holds a solution emptied; a cell that holds more than one is an error."""
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] != "code" and BEGINS.search(text):
            if not ALONE.fullmatch(text) or len(BEGINS.findall(text)) > 1:
                raise ExtensionError(
                    f"{name}, cell {cell.get('id')}: a solution is a cell of its own: students get none "
                    "of that cell; here it shares one: split the cell"
                )
            cell |= {"source": [], "metadata": {}}
            cell.pop("attachments", None)
    return notebook


def none_is_left(app, doctree):
    """Whatever wrote it: also in Markdown pages, where nothing is taken out."""
    if for_instructor(app.config):
        return
    for node in doctree.findall(nodes.Element):
        if "solution" in node.tagname or "solution" in node.get("classes", ()):
            raise ExtensionError(
                f"{app.env.docname}: a solution would stand in the students' edition; it belongs into a cell "
                "of its own of a notebook"
            )
