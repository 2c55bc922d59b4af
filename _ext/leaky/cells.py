"""Cells of a notebook, as pages show them: how much is folded, what a figure says, which numbers hold."""

from html import escape

from docutils import nodes

from leaklib.report import Line
from leaklib.widgets.playground import STORED
from leaky.repository import repository

FIGURE = '<svg class="leaky-figure" role="img" '
MARK = '<span class="ok" aria-hidden="true">✓</span>'  # a line whose bound does not hold is never stored


def setup(app):
    app.connect("doctree-read", on_read)


def on_read(app, doctree):
    for cell in list(doctree.findall(nodes.container)):
        if cell.get("nb_element") == "cell_code":
            say_how_much_is_folded(cell)
            name_figure(cell)
            show_checks(cell)
            say_where_it_runs(cell, app.env.docname)


def say_how_much_is_folded(cell):
    """Unless the cell has a prompt of its own."""
    source = next(cell.findall(nodes.literal_block), None)
    own = "code_prompt_show" in cell["cell_metadata"].get("mystnb", {})
    if cell.get("hide_mode") in ("input", "all") and source is not None and not own:
        lines = len(source.astext().splitlines())
        what = "code and its result" if cell["hide_mode"] == "all" else "code"
        cell["prompt_show"] = f"Show the {what} · {lines} line{'s' * (lines > 1)}"


def name_figure(cell):
    """A figure drawn as SVG takes its alternative text from the cell, as one drawn as PNG does."""
    alt = cell["cell_metadata"].get("mystnb", {}).get("image", {}).get("alt")
    for raw in cell.findall(nodes.raw):
        if alt and raw.astext().lstrip().startswith(FIGURE):
            text = raw.astext().replace(FIGURE, f'{FIGURE}aria-label="{escape(alt)}" ', 1)
            raw.children = [nodes.Text(text)]
            raw.rawsource = text


def show_checks(cell):
    """What `leaklib.report` printed becomes a line with its mark, its number in bold and its bound."""
    for output in list(cell.findall(nodes.literal_block)):
        lines = output.astext().splitlines()
        if "stream" in output["classes"] and any(map(Line.read, lines)):
            html = f'<ul class="checks">{"".join(map(check, lines))}</ul>'
            output.replace_self(nodes.raw("", html, format="html", classes=["checks"]))


def say_where_it_runs(cell, docname):
    """In place of controls that need Python, which a page has not."""
    for output in list(cell.findall(nodes.literal_block)):
        if output.astext().strip() == STORED:
            name = docname.rpartition("/")[2]
            address = repository().colab(name) if repository() else None
            colab = "this chapter in Colab"
            link = f'<a class="reference external" href="{escape(address)}">{colab}</a>' if address else colab
            html = (
                "<p>These controls run the attack itself, so they need Python behind them: "
                f"open {link}, or its notebook in JupyterLab, and run its cells.</p>"
            )
            output.replace_self(nodes.raw("", html, format="html"))


def check(text):
    if not text.strip():
        return ""
    if Line.read(text) is None:
        return f'<li class="said">{escape(text)}</li>'
    name, _, rest = text.rpartition(": ")
    number, _, bound = rest.partition(", ")
    bound = bound.replace(" across machines)", ")")  # what ± means is said once, among the notation
    return (
        f'<li>{MARK}<span class="what">{escape(name)}</span> <b>{escape(number)}</b> '
        f'<span class="bound">{escape(bound)}</span></li>'
    )
