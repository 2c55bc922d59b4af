"""The code of a notebook that someone else wrote: its cells in order, and nothing else of it is believed."""

import json
from pathlib import Path

from leaklib.challenge.files import read_capped

MOST = 20 << 20  # bytes of a notebook, outputs and pictures included
MOST_CODE = 1 << 20  # characters of code
MOST_CELLS = 1000


def read_cells(data: bytes) -> list[str]:
    """The sources of the code cells. ValueError, a sentence that can follow the file's name."""
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("is no notebook (not readable as JSON): hand in the .ipynb file itself") from error
    if not isinstance(notebook, dict):
        raise ValueError("is no notebook: it holds no cells")
    sheets = notebook.get("worksheets")  # nbformat 3 and older
    parts = [notebook, *sheets] if isinstance(sheets, list) else [notebook]
    cells = [cell for part in parts if isinstance(part, dict) for cell in _list(part.get("cells"))]
    code = [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    if not any(source.strip() for source in code):
        raise ValueError("has no code cell")
    if len(code) > MOST_CELLS or sum(map(len, code)) > MOST_CODE:
        raise ValueError(
            f"has {len(code):,} code cells with {sum(map(len, code)):,} characters; "
            f"at most {MOST_CELLS:,} and {MOST_CODE:,} are run"
        )
    return code


def read_file(path: Path) -> bytes:
    """The bytes of a submission, which must be a plain file of at most 20 MB. ValueError as above."""
    return read_capped(path, MOST)


def _list(value: object) -> list:
    return value if isinstance(value, list) else []


def _source(cell: dict) -> str:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))
