"""Runs notebooks from a fresh kernel and stores what they show, so that the same code gives the same file.

Behind the last cell each solution runs in a copy of the state, as when the chapters are tested, and what it
prints is written under its code. With ``--solutions`` nothing else is stored.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

sys.path.append(str(Path(__file__).parents[1] / "chapters"))
from conftest import CODE, PRINTED, SOLUTION, printed, readers_picture, solution_cell

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def joined(outputs):
    """Neighboring pieces of one stream as one: how they are cut depends on the clock."""
    result = []
    for output in outputs:
        if result and output.output_type == "stream" and result[-1].get("name") == output.name:
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def execute(notebook, folder):
    NotebookClient(
        notebook,
        timeout=300,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


def as_solution(code):
    """A solution that fails is told when all is stored."""
    code.metadata.tags = ["raises-exception"]
    return code


def with_result(text, result):
    """A solution with what it prints now in the first block of text behind its code."""
    code = CODE.search(text)
    before, after = text[: code.end()], text[code.end() :]
    block = f"```text\n{result}\n```"
    if PRINTED.search(after):
        return before + PRINTED.sub(lambda _: block if result else "", after, count=1)
    return f"{before}\n{block}\n\n{after.lstrip(chr(10))}" if result else text


def run(path, only_solutions):
    notebook = nbformat.read(path, as_version=4)
    for number, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{number}")
    cells = list(notebook.cells)
    texts = [cell for cell in cells if cell.cell_type == "markdown" and SOLUTION.search(cell.source)]
    runs = [(cell, as_solution(code)) for cell in texts if (code := solution_cell(cell.source))]
    with tempfile.TemporaryDirectory() as folder:
        readers_picture(folder)
        enter = new_code_cell(f"%cd -q {folder}")
        notebook.cells = [*cells, enter, *(code for _, code in runs)]
        execute(notebook, path.parent)
    for cell, code in runs:
        cell.source = with_result(cell.source, printed(code.outputs))
    if only_solutions:
        sources = {cell.id: cell.source for cell in texts}
        cells = nbformat.read(path, as_version=4).cells
        for cell in cells:
            cell.source = sources.get(cell.id, cell.source)
    for cell in cells:
        for output in cell.get("outputs", []):
            # A view without its kernel is blank on the page, and its random id changes with every run.
            output.get("data", {}).pop(WIDGET_VIEW, None)
        if "outputs" in cell:
            cell.outputs = joined(cell.outputs)
            cell.outputs = [output for output in cell.outputs if output.get("data") != {}]
    notebook.cells = cells
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(notebook, path)
    for cell, code in runs:
        for output in code.outputs:
            if output.output_type == "error":
                sys.exit(f"{SOLUTION.search(cell.source)[1]}: {output.ename}: {output.evalue}")


for name in sys.argv[1:]:
    if name != "--solutions":
        print(f"running {name}", flush=True)
        run(Path(name), "--solutions" in sys.argv)
