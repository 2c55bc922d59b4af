"""A page's resolved doctree as cells of a notebook that Colab, JupyterLab and VS Code show alike.

Numbers, references, citations and terms are resolved in the doctree: they are as on the site, and no
directive is left over. How the Markdown is written follows from where those three differ:

- Colab and JupyterLab cut formulas out before they read Markdown; VS Code cuts a table's line at each `|`. So
  a formula is one line, into which a quotation puts no `>`, with `<`, `>` and `|` written as commands.
- Markdown and formulas within `<details>` are read by all three if blank lines stand around them.
- Colab shows no attachments: a picture is part of the text, at the end of its cell.
- All three take away classes and styles: a box is a quotation with its title in bold.
"""

import base64
import mimetypes
import re
import textwrap
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Protocol

from docutils import nodes
from sphinx.addnodes import number_reference
from sphinx.util import logging

from leaky.search import BOXES

LOG = logging.getLogger(__name__)
MARKS = {"holds": "✓", "half": "◑", "fails": "✗", "yes": "✓", "no": "✗"}
FIGURE = '<svg class="leaky-figure"'
QUIZ = re.compile(r'<details class="quiz (yes|no)"><summary>(.*)</summary>\s*')
SILENT = (nodes.target, nodes.Invisible, nodes.colspec)
# "Run all" must not run a solution. Colab knows no tags that skip a cell, Windows no `%%script false`; a
# guard is plain Python everywhere, and in Colab a box to tick.
GUARD = """\
# @title {title}: tick run_solution, or set it to True, and run
run_solution = False  # @param {{type:"boolean"}}
if run_solution:
{code}"""
HOW_TO_RUN = "The code is in the next cell. It runs once `run_solution` is set to `True` there, or ticked."


class Links(Protocol):
    """What is to be known of the book around the page."""

    places: set[str]  # on this page, to which a reference on it leads

    def number(self, node: nodes.Element, kind: str) -> str: ...  # "4.2", or "" for none

    def address(self, node: nodes.Element) -> str | None: ...  # of a reference; None: a copy has no way there

    def picture(self, node: nodes.image) -> Path: ...

    def attack(self, node: nodes.figure) -> str | None: ...  # the published page, at this attack


@dataclass
class Copy:
    """The cells of one page, as they are written."""

    source: list[dict]  # the cells of the notebook that the page is made from
    links: Links
    cells: list[dict] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)  # of the Markdown cell that is being written
    pictures: dict[str, str] = field(default_factory=dict)  # in that cell
    name: str = "start"  # of that cell
    level: int = 0  # of the section
    mark: str = ""  # of the answer that is open

    # Cells

    def read(self, parent: nodes.Element) -> "Copy":
        """All that a document or a section holds, in its order."""
        for node in parent.children:
            if isinstance(node, nodes.section):
                self.close(node["ids"][0])
                self.level += 1
                self.read(node)
                self.level -= 1
            elif node.get("nb_element") == "cell_code":
                self.code(node)
            elif node.tagname == "solution_node":
                self.solution(node)
            else:
                self.blocks += self.block(node)
        if isinstance(parent, nodes.document):
            self.close("")
        return self

    def close(self, following: str) -> None:
        """End the Markdown cell. A section begins a new one: front ends fold from heading to heading."""
        text = [*self.blocks, *(f"[{name}]: {data}" for name, data in self.pictures.items())]
        if text:
            self.add("markdown", self.name, "\n\n".join(text))
        self.blocks, self.pictures, self.name = [], {}, following

    def add(self, kind: str, name: str, source: str, **metadata) -> dict:
        """A cell whose id says what it is, again the same in the next build."""
        name, taken = re.sub(r"[^A-Za-z0-9_-]", "-", name)[:60], {cell["id"] for cell in self.cells}
        if name in taken:
            name = next(other for other in (f"{name}-{i}" for i in range(2, 1000)) if other not in taken)
        cell = {"id": name, "cell_type": kind, "metadata": metadata, "source": source}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        self.cells.append(cell)
        return cell

    def code(self, node: nodes.container) -> None:
        """A code cell as its source has it, folded where the page folds it; then caption and alt text."""
        stored = self.source[node["cell_index"]]
        source, tags = "".join(stored["source"]), stored["metadata"].get("tags", [])
        self.close(f"{stored['id']}-text")
        figure = next(node.findall(nodes.figure), None)
        number = "" if figure is None else f"Figure {self.links.number(figure, 'figure')}"
        metadata = {"tags": tags} if tags else {}
        if "hide-input" in tags or "hide-cell" in tags:
            lines = len(source.splitlines())
            title = " · ".join(filter(None, [number, f"{lines} line{'s' * (lines > 1)} of code"]))
            source = f"# @title {title}\n{source}"
            metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
            if "hide-cell" in tags:
                metadata["jupyter"]["outputs_hidden"] = True
        alt = stored["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        cell = self.add("code", stored["id"], source, **metadata)
        cell["outputs"] = [kept for output in stored["outputs"] if (kept := shown(output, alt))]
        if figure is not None:
            caption = next(figure.findall(nodes.caption))
            self.blocks.append(f"**{number}.** {self.inline(caption)}")
        if alt:
            self.blocks.append(details(f"{number or 'The picture'} in words", [prose(alt)]))

    def solution(self, node: nodes.Element) -> None:
        """Folded text, then its code as one cell that runs only when its reader says so."""
        title = named(spaced(node[0].astext()).replace("Solution to Exercise", "Solution"))
        code, blocks = [], []
        for child in node[1].children:
            if isinstance(child, nodes.literal_block) and child["language"] == "python":
                code.append(child.astext())
                if len(code) == 1:
                    blocks.append(HOW_TO_RUN)
            elif isinstance(child, nodes.literal_block) and code:
                blocks += ["It prints:", *self.block(child)]
            else:
                blocks += self.block(child)
        self.blocks.append(details(title, blocks))
        if code:
            name = title.partition(" · ")[0]
            source = GUARD.format(title=name, code=textwrap.indent("\n\n".join(code), "    ").rstrip())
            self.close(f"{node['ids'][0].rpartition('/')[2]}-text")
            self.add(
                "code",
                name,
                source,
                cellView="form",
                jupyter={"source_hidden": True},
                tags=["solution"],
            )

    # Blocks

    def block(self, node: nodes.Node) -> list[str]:
        """The blocks of Markdown that a node becomes, none for what only the site needs."""
        method = getattr(self, f"block_{node.tagname.lower()}", None)
        if method:
            return method(node)
        if not isinstance(node, SILENT):
            LOG.warning("the copies know no Markdown for a %s: %s", node.tagname, node.astext()[:60])
        return []

    def inside(self, node: nodes.Element, start: int = 0) -> list[str]:
        return [block for child in node.children[start:] for block in self.block(child)]

    def block_title(self, node):
        number = self.links.number(node.parent, "section")
        parts = ["#" * self.level, number and f"{number} ·", self.inline(node), self.anchor(node.parent)]
        return [" ".join(filter(None, parts))]

    def anchor(self, node):
        """A place to jump to, where something on this page leads there."""
        return "".join(f'<a id="{name}"></a>' for name in node["ids"] if name in self.links.places)

    def block_paragraph(self, node):
        text, mark = self.inline(node), self.mark
        self.mark = ""
        if "question" in node["classes"] or "promise" in node["classes"]:
            text = f"**{text}**"
        if "threat" in node["classes"] and "Threat model" not in text:
            text = f"**Threat model:** {text}"
        if "meta" in node["classes"]:
            text = f"*{text}*"
        return [f"{mark} {text}".strip()]

    def block_admonition(self, node):
        if "proof" in node["classes"]:
            return quotation(self.inside(node))
        title, mark = (
            self.inline(node[0]),
            next((MARKS[name] for name in node["classes"] if name in MARKS), ""),
        )
        said_above = self.blocks[-1:] == [f"{'#' * self.level} {title}"]
        title = [] if said_above else [f"**{f'{mark} {title}'.strip()}**"]
        return quotation([*title, *self.inside(node, 1)])

    def numbered_box(self, node):
        kind = next(name for name in BOXES if name in node["classes"])
        title = named(
            f"{kind.capitalize()} {self.links.number(node, kind)} {self.inline(node[0]).strip()}".strip()
        )
        return quotation([f"{self.anchor(node)}**{title}**", *self.inside(node[1])])

    block_exercise_enumerable_node = block_theorem_node = block_proposition_node = numbered_box
    block_definition_node = block_lemma_node = block_corollary_node = block_algorithm_node = numbered_box

    def block_dropdown_main(self, node):
        return [details(spaced(node[0][0].astext()), self.inside(node, 1))]

    def block_raw(self, node):
        text = node.astext().strip()
        if answer := QUIZ.fullmatch(text):
            self.mark = MARKS[answer[1]]
            return [f"<details><summary>{answer[2]}</summary>"]  # folded, so the reader thinks first
        if text == "</details>":
            return [text]
        if not text.startswith(("<!--", '<div class="leaky-live"')):
            LOG.warning("the copies know no Markdown for this HTML: %s", text[:60])
        return []

    def block_figure(self, node):
        number, (image,) = self.links.number(node, "figure"), node.findall(nodes.image)
        caption = f"**Figure {number}.** " * bool(number) + self.inline(node[-1])
        address = self.links.attack(node)
        run = [f"[Run this attack in your browser]({address}), with controls."] if address else []
        return [*self.block_image(image), caption, *run]

    def block_image(self, node):
        path = self.links.picture(node)
        data, kind = base64.b64encode(path.read_bytes()).decode(), mimetypes.guess_type(path.name)[0]
        self.pictures[path.stem] = f"data:{kind};base64,{data}"
        return [f"![{prose(node.get('alt', ''))}][{path.stem}]"]

    def block_math_block(self, node):
        number = self.links.number(node, "displaymath")
        tag = rf" \tag{{{number}}}" if number else ""
        return [f"$${formula(node)}{tag}$$"]

    def block_literal_block(self, node):
        return [f"```{node.get('language', '')}\n{node.astext().strip(chr(10))}\n```"]

    def block_bullet_list(self, node):
        return entries(("- ", self.inside(item)) for item in node.children)

    def block_enumerated_list(self, node):
        first = node.get("start", 1)
        return entries((f"{i}. ", self.inside(item)) for i, item in enumerate(node.children, first))

    def block_definition_list(self, node):
        items = ((item[0], item[-1]) for item in node.children)
        return entries(("- ", [f"**{self.inline(term)}:** {self.inline(what[0])}"]) for term, what in items)

    def block_table(self, node):
        rows = [[self.cell(entry) for entry in row.children] for row in node.findall(nodes.row)]
        rows.insert(1, ["---"] * len(rows[0]))
        return ["\n".join(f"| {' | '.join(row)} |" for row in rows)]

    def block_container(self, node):
        if "sd-row" not in node["classes"]:
            return self.inside(node)
        return entries(("- ", [self.card(card)]) for card in node.children)

    def card(self, node):
        """A card of the front page is a line: the link, then what it says."""
        title = next(found for found in node.findall(nodes.container) if "sd-card-title" in found["classes"])
        link = next(node.findall(nodes.reference), None)
        text = [block for found in node.findall(nodes.paragraph) for block in self.block(found)]
        return " · ".join([f"**{linked(self.inline(title[0]), link and self.links.address(link))}**", *text])

    def block_rubric(self, node):
        return [f"**{self.inline(node)}**"]

    def block_proof_node(self, node):
        return self.inside(node)

    def block_compound(self, node):  # the table of contents
        return []

    def block_block_quote(self, node):
        return quotation(self.inside(node))

    # Within a line

    def cell(self, entry):
        text = " ".join(self.inline(part) for part in entry.children)
        return re.sub(r"(?<!\\)\|", r"\|", text)

    def inline(self, node: nodes.Element) -> str:
        return "".join(map(self.part, node.children))

    def part(self, node):
        if isinstance(node, nodes.Text):
            return prose(str(node))
        if isinstance(node, nodes.math):
            return f"${formula(node)}$"
        if isinstance(node, nodes.literal):
            return code_span(node.astext())
        text = self.inline(node)
        if isinstance(node, (nodes.reference, number_reference)):
            return linked(text, self.links.address(node))
        if isinstance(node, nodes.strong):
            return f"**{text}**"
        if isinstance(node, nodes.emphasis):
            return f"*{text}*"
        return text


# What Markdown needs


def spaced(text: str) -> str:
    return " ".join(text.split())


def prose(text: str) -> str:
    """Text in which no character is taken for Markdown, a formula or HTML."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
    text = re.sub(r"[\\`*~|]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", text)
    text = re.sub(r"\[(?=[^]]*\][(\[:])", "&#91;", text)
    # Two bare dollars of one paragraph would be a formula, even if escaped.
    return text.replace("$", "<span>&#36;</span>")


def formula(node: nodes.Element) -> str:
    """TeX in one line, without characters that a table, a quotation or HTML has a meaning for."""
    text = spaced(node.astext())
    for character, command in ((r"\|", r"\Vert "), ("|", r"\vert "), ("<", r"\lt "), (">", r"\gt ")):
        text = text.replace(character, command)
    return spaced(text)


def code_span(text: str) -> str:
    marks = "``" if "`" in text else "`"
    return f"{marks}{text}{marks}"


def linked(text: str, address: str | None) -> str:
    return f"[{text}]({address})" if address else text


def named(title: str) -> str:
    """Names stand after a dot, as chapters' do, and not in brackets."""
    return re.sub(r" \((.*)\)$", r" · \1", title)


def quotation(blocks: list[str]) -> list[str]:
    return ["\n".join(f"> {line}".rstrip() for line in "\n\n".join(blocks).split("\n"))]


def details(title: str, blocks: list[str]) -> str:
    return "\n\n".join([f"<details><summary><b>{escape(title)}</b></summary>", *blocks, "</details>"])


def entries(items) -> list[str]:
    """A list, out of the mark and the blocks of each entry."""
    texts, apart = [], "\n"
    for mark, blocks in items:
        texts.append(mark + textwrap.indent("\n\n".join(blocks), " " * len(mark))[len(mark) :])
        apart = "\n\n" if len(blocks) > 1 else apart
    return [apart.join(texts)]


def shown(output: dict, alt: str) -> dict | None:
    """A stored output as every front end shows it before anything has run; None for one that none shows."""
    if "data" not in output:
        return output
    data = {kind: value for kind, value in output["data"].items() if "widget-view" not in kind}
    html = "".join(data.get("text/html", ""))
    if html.startswith(FIGURE) and "image/png" in data:
        del data["text/html"]  # JupyterLab takes SVG away until it trusts a notebook: an empty place
    if not data.keys() - {"text/plain"} and data.keys() != output["data"].keys():
        return None  # a view of a widget that needs its kernel
    kept = output | {"data": data, "metadata": dict(output["metadata"])}
    if "image/png" in data and alt:
        kept["metadata"]["image/png"] = {"alt": alt}
    if "execution_count" in output:
        kept["execution_count"] = None
    return kept
