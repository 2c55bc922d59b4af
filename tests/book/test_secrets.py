"""The students' site holds no text of any solution: searched for in all its files, and in what they pack."""

import io
import json
import zipfile
import zlib

import leaks
import pytest
from leaks import ROOT
from leaky.solutions import ExtensionError, none_is_left, take_out, without_solutions

NAMES = [path.stem for path in sorted((ROOT / "chapters").glob("*.ipynb"))]


def notebook(name):
    return json.loads((ROOT / "chapters" / f"{name}.ipynb").read_text(encoding="utf8"))


def test_no_file_of_the_students_site_holds_a_run_of_words_of_a_solution(site):
    assert leaks.leaks(site) == {}
    assert leaks.leaks(site.parent / "colab") == {}


def test_each_solution_has_words_by_which_it_would_be_found():
    found = {name: len(runs) for name, runs in leaks.solutions().items()}
    assert len(found) > 70 and min(found.values()) > 30, min(found, key=found.__getitem__)


# One solution left in, in each way in which it could be there.

NAME, SOLUTION = next(
    ("ex-hospital", "".join(cell["source"]))
    for cell in notebook("18_conclusion")["cells"]
    if "{solution} ex-hospital" in "".join(cell["source"])
)


def colored(text):
    return "".join(f'<span class="n">{word}</span>\n' for word in text.split(" "))


def packed(name, data):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


CELL = {"cells": [{"cell_type": "markdown", "source": SOLUTION.splitlines(keepends=True)}]}
OUTPUT = {"cells": [{"cell_type": "code", "source": [], "outputs": [{"text": SOLUTION.splitlines(True)}]}]}
LEFT_IN = {
    "page.html": f"<p>{SOLUTION}</p>",
    "colored.html": f"<pre>{colored(SOLUTION)}</pre>",
    "alt.html": f'<img alt="{SOLUTION.replace(chr(34), "&quot;")}">',
    "searchindex.js": json.dumps([SOLUTION]),
    "_sources/page.txt": SOLUTION,
    "objects.inv": b"# zlib.\n" + zlib.compress(SOLUTION.encode()),
    "colab/copy.ipynb": json.dumps(CELL),
    "colab/output.ipynb": json.dumps(OUTPUT),
    "leaklib-0.1.0-py3-none-any.whl": packed("leaklib/results/x.json", json.dumps([SOLUTION])),
    "book.epub": packed("book/18.xhtml", colored(SOLUTION)),
    "all.zip": packed("inside.epub", packed("book/18.xhtml", SOLUTION)),
    "unknown.bin": b"\0\1" + SOLUTION.encode() + b"\0",
}


@pytest.mark.parametrize("name", LEFT_IN)
def test_a_solution_that_is_left_in_is_found(tmp_path, name):
    data = LEFT_IN[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    (place, found), *others = leaks.leaks(tmp_path).items()
    assert place.startswith(name) and found == {NAME} and not others


def test_one_sentence_in_a_pdf_is_found(tmp_path, browser):
    sentence = next(line for line in SOLUTION.splitlines() if line.startswith("- **Unit.**"))
    page = browser.new_page()
    page.set_content(f"<p style='width: 5em; hyphens: auto' lang=en>{sentence}</p>")
    page.pdf(path=tmp_path / "book.pdf")
    page.close()
    assert leaks.leaks(tmp_path) == {"book.pdf": {NAME}}


# What takes them out.


class App:
    """As much of an application as the part asks for."""

    def __init__(self, edition):
        self.config = self.env = self
        self.leaky_edition, self.docname = edition, "chapters/x"

    def doc2path(self, docname):
        return f"/book/{docname}"


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_taken_out_and_nothing_else(name):
    before, source = notebook(name), [json.dumps(notebook(name))]
    take_out(App("instructor"), f"{name}.ipynb", source)
    assert json.loads(source[0]) == before
    take_out(App("students"), f"{name}.ipynb", source)
    after = json.loads(source[0])
    assert len(after["cells"]) == len(before["cells"])  # a cell is found by its number
    for old, new in zip(before["cells"], after["cells"], strict=True):
        solved = old["cell_type"] == "markdown" and "{solution}" in "".join(old["source"])
        assert new == old | ({"source": [], "metadata": {}} if solved else {})


@pytest.mark.parametrize(
    "text",
    [
        "And now:\n\n::::{solution} ex-a\nHalf.\n::::",
        "::::{solution} ex-a\nHalf.\n::::\n\nMore.",
        "::::{solution} ex-a\nHalf.\n::::\n::::{solution} ex-b\nHalf.\n::::",
        "```{solution} ex-a\nHalf.\n```",
        ":::{solution-start} ex-a\n:::\n",
    ],
)
def test_a_solution_that_shares_its_cell_stops_the_build(text):
    with pytest.raises(ExtensionError, match=r"chapters/x, cell seven: a solution is a cell of its own"):
        cell = {"cell_type": "markdown", "id": "seven", "source": text, "metadata": {}}
        without_solutions({"cells": [cell]}, "chapters/x")


def test_whatever_would_still_show_one_stops_the_build():
    from docutils import nodes

    for node in (nodes.container(classes=["solution"]), nodes.admonition(classes=["solution", "dropdown"])):
        document = nodes.section("", nodes.paragraph(), node)
        none_is_left(App("instructor"), document)
        with pytest.raises(ExtensionError, match="chapters/x: a solution would stand in"):
            none_is_left(App("students"), document)
    with pytest.raises(ExtensionError, match="leaky_edition is students or instructor; it is 'teachers'"):
        none_is_left(App("teachers"), nodes.section())
