"""Which numbers moved when the notebooks ran again: what they show now, beside what the last commit holds.

    make notebooks && .venv/bin/python scripts/moved.py [NOTEBOOK ...]

prints a table in Markdown, and nothing where all is as stored or within the tolerance that stands beside a
number. It compares what the tests compare: cells tagged `nbval-check-output` and what solutions print. The
NOTEBOOKS named could not run to their end, and the first line says so.
"""

import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import nbformat

sys.path.append(str(Path(__file__).resolve().parents[1]))
from chapters.conftest import DIFFERS, PRINTED, SOLUTION, settled_line

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"


def lines(notebook):
    """The lines that a notebook holds itself to, by cell or solution."""
    found = {}
    for cell in notebook.cells:
        if "nbval-check-output" in cell.metadata.get("tags", []):
            texts = (out.get("text") or out.get("data", {}).get("text/plain", "") for out in cell.outputs)
            found[f"cell {cell.id}"] = "".join(texts).splitlines()
        elif (
            cell.cell_type == "markdown"
            and (name := SOLUTION.search(cell.source))
            and DIFFERS not in cell.source
        ):
            found[f"solution {name[1]}"] = "\n".join(PRINTED.findall(cell.source)).splitlines()
    return found


def moved(stored, shown):
    """Place, line as stored and line as shown, where these differ by more than the line's tolerance."""
    before, after = lines(stored), lines(shown)
    for place in before | after:
        for old, new in zip_longest(before.get(place, []), after.get(place, []), fillvalue=""):
            if settled_line(new, old) != old:
                yield place, old, new


def committed(path):
    """A notebook as the last commit holds it."""
    name = path.relative_to(ROOT).as_posix()
    shown = subprocess.run(["git", "-C", ROOT, "show", f"HEAD:{name}"], capture_output=True, check=True)
    return nbformat.reads(shown.stdout.decode("utf8"), as_version=4)


def table(rows):
    """Rows in Markdown; a bar would end a column."""
    clean = ([part.replace("|", "\\|") for part in row] for row in rows)
    return "\n".join(
        [
            "| notebook | place | stored | now |",
            "|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in clean),
        ]
    )


def main(stopped):
    rows = [
        (path.stem, *row)
        for path in sorted(CHAPTERS.glob("*.ipynb"))
        for row in moved(committed(path), nbformat.read(path, as_version=4))
    ]
    if stopped:
        print(f"Did not run to the end, the log says why: {', '.join(Path(name).stem for name in stopped)}\n")
    if rows:
        print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
