"""A chapter runs once: its cells as nbval compares them, then its solutions.

nbval looks at no picture, without a mark at nothing, and compares text as text.
Here each cell must show the kinds of output that are stored, and a reported
number may move within the tolerance that stands beside it. In the same kernel,
each hidden solution runs in a copy of the state that the last cell leaves.
"""

import base64
import copy
import io
import re
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from nbformat.v4 import new_code_cell
from nbval.plugin import IPyNbCell, IPyNbFile
from PIL import Image
from xdist.scheduler import LoadScopeScheduling

from leaklib.report import Line

# A live widget is stored without its view, which is blank without a kernel.
NOT_STORED = {"application/vnd.jupyter.widget-view+json"}
# How a figure begins that is stored as HTML, beside its PNG.
FIGURE = '<svg class="leaky-figure"'
MARKS = re.compile(r"<(path|image|circle|text)\b")
SOLUTION = re.compile(r"\{solution\} (\S+)")
CODE = re.compile(r"^```python\n(.*?)^```\n?", re.DOTALL | re.MULTILINE)
# What the code of a solution printed, behind it; with a comment, not compared.
DIFFERS = "<!-- differs between machines -->"
PRINTED = re.compile(r"^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def solution_cell(text):
    """The code of a solution as a cell, run in a copy of the state; or None."""
    label, source = SOLUTION.search(text)[1], "\n".join(CODE.findall(text))
    run = f"exec(compile({source!r}, {label!r}, 'exec'), dict(globals()))"
    return new_code_cell(run, execution_count=1) if source else None


def printed(outputs):
    """What the cell of a solution printed."""
    streams = (out for out in outputs if out.get("name") == "stdout")
    lines = "".join(out["text"] for out in streams).splitlines()
    return "\n".join(map(str.rstrip, lines)).strip("\n")


def readers_picture(folder):
    """The picture that the reader of the exercises brings along."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(Path(folder) / "me.jpg")


def kinds(outputs):
    """How many outputs there are of each kind: image/png, stdout, stderr..."""
    found = Counter()
    for output in outputs:
        if output["output_type"] == "stream":
            found[output["name"]] = 1  # one stream may come in many pieces
        else:
            found.update(output.get("data", {}).keys() - NOT_STORED)
            found["figure"] += is_figure(output)
    return +found


def is_figure(output):
    """Whether an output is a figure as HTML, which no comparison reads."""
    html = output.get("data", {}).get("text/html", "")
    return "".join(html).startswith(FIGURE)


def is_blank(output):
    """Whether a picture has one colour only, or a figure shows nothing."""
    data = output.get("data", {})
    if is_figure(output) and not MARKS.search("".join(data["text/html"])):
        return True
    return "image/png" in data and is_plain(data["image/png"])


def is_plain(png):
    """Whether a picture has one colour only."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    return all(low == high for low, high in picture.getextrema())


def settled(shown, stored):
    """Text shown again, but numbers that moved within tolerance as stored."""
    # nbval's sanitizing replaces by a pattern: behind it any number would pass.
    again, before = shown.split("\n"), stored.split("\n")
    if len(again) != len(before):
        return shown
    return "\n".join(map(settled_line, again, before))


def settled_line(shown, stored):
    again, before = Line.read(shown), Line.read(stored)
    moved = again and before and before.agrees(again) and not before.outside()
    return stored if moved else shown


class Cell(IPyNbCell):
    """A cell that shows what is stored, pictures included."""

    def compare_outputs(self, test, ref, skip_compare=None):
        stored = {out.name: out.text for out in ref if "text" in out}
        test, ref = copy.deepcopy(test), copy.deepcopy(ref)
        for out in test:
            if out.get("name") in stored:
                out.text = settled(out.text, stored[out.name])
        for out in [*test, *ref]:
            if is_figure(out):
                out.data["text/html"] = FIGURE
        return super().compare_outputs(test, ref, skip_compare)

    def runtest(self):
        super().runtest()
        stored, shown = kinds(self.cell.outputs), kinds(self.test_outputs)
        assert shown == stored, (
            f"stored are {dict(stored)}, run again the cell shows {dict(shown)}"
        )
        assert not any(map(is_blank, self.test_outputs)), (
            "run again, the cell draws a blank picture"
        )


class Solution(IPyNbCell):
    """A hidden solution, which prints what stands under it, and no warning."""

    def runtest(self):
        super().runtest()
        warned = kinds(self.test_outputs)["stderr"]
        assert not warned, f"{self.name} warns: {self.test_outputs}"
        block = PRINTED.search(self.text)
        stored = block[1].strip("\n") if block else ""
        shown = settled(printed(self.test_outputs), stored)
        assert bool(shown) == bool(stored), (
            f"{self.name} prints {shown!r}, stored is {stored!r}: run it again"
        )
        if DIFFERS not in self.text:
            assert shown == stored

    def reportinfo(self):
        return self.path, 0, f"{self.path.name}::{self.name}"


class Chapter(IPyNbFile):
    """The cells of a notebook, then its solutions, in one kernel."""

    def collect(self):
        for cell in super().collect():
            yield Cell.from_parent(
                self,
                name=cell.name,
                cell_num=cell.cell_num,
                cell=cell.cell,
                options=cell.options,
            )
        for number, cell in enumerate(self.nb.cells):
            if cell.cell_type == "markdown" and SOLUTION.search(cell.source):
                run = solution_cell(cell.source)
                if run:
                    yield self.solution(number, cell.source, run)

    def solution(self, number, text, run):
        solution = Solution.from_parent(
            self,
            name=f"Solution {SOLUTION.search(text)[1]}",
            cell_num=number,
            cell=run,
            options=defaultdict(bool),
        )
        solution.text = text
        return solution

    def setup(self):
        super().setup()
        # A folder that is no checkout, with the reader's own picture in it.
        self.folder = tempfile.TemporaryDirectory()
        readers_picture(self.folder.name)
        enter = self.kernel.execute_cell_input(f"%cd -q {self.folder.name}")
        self.kernel.await_reply(enter, timeout=60)

    def teardown(self):
        super().teardown()
        self.folder.cleanup()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    found = yield
    return [
        Chapter.from_parent(parent, path=file_path)
        if isinstance(node, IPyNbFile)
        else node
        for node in found
    ]


# Files whose tests share what takes long to make: the book in one page, its
# pages parsed, a cluster.
SHARING = ("test_print.py", "test_copies.py", "test_cluster.py")
BUILT = "tests/book/instructor"  # its files share one build of pages


class Units(LoadScopeScheduling):
    """What processes take from the queue: a chapter, or any other test alone.

    A file whose tests share something is taken whole, too.

    xdist's own loadgroup does nothing with pytest 9.2, which forms names anew.
    """

    def _split_scope(self, nodeid):
        path = nodeid.partition("::")[0]
        if path.startswith(BUILT):
            return BUILT
        return path if path.endswith((".ipynb", *SHARING)) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Units(config, log)
