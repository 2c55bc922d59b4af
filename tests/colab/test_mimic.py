"""What scripts/colab.py does around the copies: what it makes of one, what drift is, and no network."""

import os
import subprocess
import sys
from pathlib import Path

import colab
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SITE = "http://127.0.0.1:1/leaky-gradients"


def code(source: str, name: str, *outputs, tags=()):
    return new_code_cell(source, id=name, outputs=list(outputs), metadata={"tags": list(tags)})


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Writes a chapter and its copy, from their cells."""
    monkeypatch.setattr(colab, "CHAPTERS", tmp_path / "chapters")

    def write(chapter, copy) -> Path:
        for folder, cells in (("chapters", chapter), ("copies", copy)):
            (tmp_path / folder).mkdir()
            nbformat.write(new_notebook(cells=cells), tmp_path / folder / "x.ipynb")
        return tmp_path / "copies" / "x.ipynb"

    return write


PICTURE = new_output("display_data", data={"image/png": "x", "text/html": "<svg>"})
SETUP = code('SITE = ""  # where\nset_up_leaklib()', "setup", tags=["setup"])
ANSWER = "::::{solution} ex-one\n:class: dropdown\n\n```python\nprint(1 / nothing)\n```\n::::"
PENCIL = "::::{solution} ex-two\n:class: dropdown\n\nHalf of it.\n::::"


def test_a_copy_is_run_as_its_reader_would_and_then_its_solutions_and_its_attack(copies) -> None:
    cells = [code("draw()", "a"), code("live(\n    build)", "b")]
    chapter = [code("draw()", "a", PICTURE), *(new_markdown_cell(text) for text in (ANSWER, PENCIL))]
    notebook, setup = colab.prepared(copies(chapter, [SETUP, *cells]), SITE)
    assert setup.source == f'SITE = "{SITE}"  # where\nset_up_leaklib()'
    assert notebook.cells[1].outputs == [PICTURE], "as the chapter stores it"
    assert all(cell.execution_count for cell in notebook.cells)
    attack, solution = notebook.cells[3:]
    assert "start.click()" in attack.source and solution.source.startswith("%%capture\nexec(")
    with pytest.raises(ZeroDivisionError):
        exec(solution.source.removeprefix("%%capture\n"), {"nothing": 0})


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ([code("set_up_leaklib()", "setup", tags=["setup"])], "expected one line SITE ="),
        ([SETUP], "has no cell a of the chapter: make book"),
    ],
)
def test_a_copy_that_is_not_as_it_should_be_is_refused(copies, cells, sentence) -> None:
    also = [] if "no cell" in sentence else [code("draw()", "a")]
    with pytest.raises(SystemExit, match=f"x.ipynb.*{sentence}"):
        colab.prepared(copies([code("draw()", "a")], [*cells, *also]), SITE)


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("PSNR: 59 dB, above 50 (±8 across machines)\nrank: 7, exactly 7\n", []),
        (
            "PSNR: 51 dB, above 50 (±8 across machines)\nrank: 7, exactly 7\n",
            [("PSNR: 66 dB, above 50 (±8 across machines)", "PSNR: 51 dB, above 50 (±8 across machines)")],
        ),
        ("PSNR: 66 dB, above 50 (±8 across machines)\n", [("rank: 7, exactly 7", "")]),
    ],
)
def test_drift_is_what_has_left_its_tolerance(shown, found) -> None:
    stored = "PSNR: 66 dB, above 50 (±8 across machines)\nrank: 7, exactly 7\n"
    outputs = [[new_output("stream", text=text)] for text in (stored, shown)]
    assert colab.drift(*outputs, colab.settled_line) == found


CONNECT = """
import socket, urllib.request
with socket.create_server(("127.0.0.1", 0)) as here:
    socket.create_connection(here.getsockname()).close()
for connect in (
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"", ("192.0.2.1", 53)),
    lambda: urllib.request.urlopen("http://example.invalid"),
):
    try:
        connect()
    except OSError as error:
        print(error)
"""


def test_a_kernel_of_the_copies_reaches_this_machine_only() -> None:
    variables = {**os.environ, "PYTHONPATH": str(colab.OFFLINE)}
    done = subprocess.run([sys.executable, "-c", CONNECT], env=variables, capture_output=True, text=True)
    assert (done.stdout.count("no network here: 192.0.2.1"), done.stdout.count("example.invalid")) == (2, 1)
    assert done.stderr == ""
