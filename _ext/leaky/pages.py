"""Boxes and links of a page: what the themes and extensions leave undone, or do in a way that we mend."""

import functools

from bs4 import BeautifulSoup
from docutils import nodes

from leaky.search import BOXES, keep_part

REPEATED = {"proof", "proof-content", "exercise-content", "solution-content"}
OUTSIDE = (nodes.section, nodes.document)


def setup(app):
    app.connect("doctree-resolved", tidy_boxes)
    app.connect("html-page-context", finish)


def tidy_boxes(app, doctree, docname):
    """Mend two habits of sphinx-proof and sphinx-exercise, after all cross-references are resolved."""
    for node in doctree.findall(nodes.Element):
        # The inside of every box gets the same id, which nothing links to and HTML forbids.
        in_box = isinstance(node, nodes.section) and not isinstance(node.parent, OUTSIDE)
        if in_box or "proof" in node["classes"]:
            node["ids"] = [name for name in node["ids"] if name not in REPEATED]
        # "Proof." is glued to the first sentence.
        if node.tagname == "proof_node" and node.astext().startswith("Proof. "):
            text = next(node.findall(nodes.Text))
            at = text.parent.index(text)
            text.parent[at : at + 1] = [
                nodes.emphasis(text="Proof."),
                nodes.Text(text.removeprefix("Proof.")),
            ]


def finish(app, pagename, templatename, context, doctree):
    if "body" not in context:
        return
    body = BeautifulSoup(context["body"], "html.parser")
    fold_solutions(body)
    name_boxes(body)
    link_boxes(body)
    explain_links(body, glossary(app.env))
    put_code_below(body)
    name_rows(body)
    # Sphinx puts entries of a deprecated role into a list; a list holds list items.
    for entry in body.select('[role="doc-biblioentry"]'):
        entry["role"] = "listitem"
    context["body"] = str(body)
    keep_part(app, pagename, body)


def name_rows(body):
    """A heading without words is none; in a table whose corner is empty the first cells name their rows."""
    for table in body.select("table"):
        if (corner := table.find("th")) and not corner.get_text(strip=True):
            for cell in table.select("tbody > tr > td:first-child"):
                cell.name, cell["scope"] = "th", "row"
        for heading in table.find_all("th"):
            if not heading.get_text(strip=True) and not heading.find("img"):
                heading.name = "td"


def fold_solutions(body):
    """A solution opens without a script, stays closed on paper, and is found where its exercise is."""
    for box in body.select("div.solution.dropdown"):
        title = box.find("p", class_="admonition-title", recursive=False)
        box.name = "details"
        box["class"] = ["solution"]
        title.name, title["class"] = "summary", ["solution-title"]
        for link in title.select("a"):
            link.unwrap()  # a link inside a control is no control
        title.string = " ".join(title.get_text(" ").split()).replace("Solution to Exercise", "Solution")


def name_boxes(body):
    """Titles stand after a dot, as chapters' do, and not in brackets."""
    for title in body.select(".admonition > .admonition-title"):
        number = title.find("span", class_="caption-number", recursive=False)
        rest = number.next_sibling if number else None
        if isinstance(rest, str) and rest.strip().startswith("(") and title.get_text().strip().endswith(")"):
            rest.replace_with(" · " + rest.strip().removeprefix("("))
            last = title.find_all(string=True)[-1]
            last.replace_with(last.rstrip().removesuffix(")"))
    for title in body.select("summary.solution-title"):
        text = title.get_text()
        if text.endswith(")") and " (" in text:
            title.string = text[:-1].replace(" (", " · ", 1)


def link_boxes(body):
    """Exercises, theorems and their like can be linked to, as sections and figures can."""
    for box in body.select(",".join(f"div.{kind}.admonition[id]" for kind in BOXES)):
        title = box.find("p", class_="admonition-title", recursive=False)
        link = body.new_tag("a", href=f"#{box['id']}", title="Link to this box")
        link["class"], link.string = "headerlink", "#"
        title.append(link)


def put_code_below(body):
    """The folded code of a figure stands below it from the start; else it moves while the page is loaded."""
    for cell in body.select("div.cell.tag_hide-input:has(> details.hide):has(> div.cell_output)"):
        cell.append(cell.find("details", class_="hide", recursive=False).extract())


@functools.cache
def glossary(env):
    """What each term of the glossary means, by the address that a link to it ends with."""
    terms = [entry for entry in env.get_domain("std").get_objects() if entry[2] == "term"]
    found = {}
    for docname in {entry[3] for entry in terms}:
        for item in env.get_doctree(docname).findall(nodes.definition_list_item):
            for name in (name for term in item.findall(nodes.term) for name in term["ids"]):
                found[f"#{name}"] = item[-1].astext().replace("\n", " ")
    return found


def explain_links(body, terms):
    """A citation and a term say what they stand for in a box, on hovering and on focus."""
    for link in body.select("a.reference.internal[href]"):
        address = link["href"]
        where = "#" + address.partition("#")[2]
        if "bibliography.html#" in address and link.get("title"):
            link["data-tip"] = link.attrs.pop("title")
        elif where in terms:
            link["data-tip"] = terms[where]
            link["class"] = [*link["class"], "term"]
