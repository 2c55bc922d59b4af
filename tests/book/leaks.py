"""Searches a built site for text of solutions: in every file, unpacked, whatever wrote it there.

A text is known by its runs: six words in a row, marks and markup aside, which a line break, a color of code
or a page of paper leaves as they are. Of a solution those runs count that stand nowhere in the open: not in
the rest of the chapters, not in leaklib.
"""

import html
import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pypdf import PdfReader

ROOT = Path(__file__).parents[2]
Run = tuple[str, ...]
LENGTH, LEAST = 6, 3  # words of a run; of them written in letters
ENOUGH = 3  # runs of one solution in a text, so eight words in a row: one run may stand there by chance
WORD = re.compile(r"[^\W_]+")
SOLUTION = re.compile(r"\{solution\} (\S+)")
RESULT = re.compile(r"^:::\{dropdown\} What should come out\n.*?\n:::\n", re.M | re.S)
PACKED = (".whl", ".epub", ".zip")
TEXT = (".html", ".xhtml", ".xml", ".svg", ".js", ".css", ".txt", ".json", ".opf", ".py", ".md", ".map", "")
OPEN = (".py", ".pyi", ".js", ".json", ".jsonl", ".md")
DRAWN = re.compile(r"""\b(?:d|points|transform)="[^"]*"|data:[\w/+.-]+;base64,[\w+/=]+""")


def runs(text: str) -> set[Run]:
    words = WORD.findall(text.lower())
    return set(zip(*(words[start:] for start in range(LENGTH)), strict=False))


def spoken(text: str) -> set[Run]:
    """Runs that say something: rows of numbers stand in many places."""
    return {run for run in runs(text) if sum(word.isalpha() and len(word) > 1 for word in run) >= LEAST}


@cache
def solutions() -> dict[str, frozenset[Run]]:
    """Of each solution, by its exercise, the runs that stand nowhere in the open."""
    secret, open_ = {}, set()
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown" and (found := SOLUTION.search(text)):
                secret[found[1]] = spoken(text)
            else:
                # What an exercise says of its result may not be copied from its solution.
                open_ |= runs(RESULT.sub("", text))
                open_ |= runs("\n".join([*texts(cell.get("outputs", [])), json.dumps(cell["metadata"])]))
    for path in (*(ROOT / "leaklib").rglob("*"), *(ROOT / "chapters").glob("*.md")):
        if path.suffix in OPEN:
            open_ |= runs(path.read_text(encoding="utf8"))
    return {name: frozenset(found - open_) for name, found in secret.items()}


def texts(outputs: list[dict]) -> Iterator[str]:
    for output in outputs:
        yield "".join(output.get("text", ""))
        yield from ("".join(data) for data in output.get("data", {}).values() if not isinstance(data, dict))


def leaks(site: Path) -> dict[str, set[str]]:
    """Whose solutions stand in which files of a site, those inside other files too."""
    owner = {run: name for name, found in solutions().items() for run in found}
    found: dict[str, set[str]] = {}
    for path in sorted(path for path in site.rglob("*") if path.is_file()):
        for name, text in unpacked(path.relative_to(site).as_posix(), path.read_bytes()):
            hits = Counter(owner[run] for run in owner.keys() & runs(text))
            if known := {solution for solution, count in hits.items() if count >= ENOUGH}:
                found.setdefault(name, set()).update(known)
    return found


def unpacked(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    """The texts of a file with the name of each: a packed file has those of all that it holds."""
    ending = Path(name).suffix
    if ending in PACKED:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for inside in packed.namelist():
                yield from unpacked(f"{name}/{inside}", packed.read(inside))
    elif ending == ".ipynb":
        for cell in json.loads(data)["cells"]:
            yield name, "\n".join(["".join(cell["source"]), *texts(cell.get("outputs", []))])
    elif ending == ".pdf":
        yield name, "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)
    elif ending == ".inv":
        yield name, zlib.decompress(data.partition(b"zlib.\n")[2]).decode("utf8")
    elif ending in TEXT:
        text = DRAWN.sub("", html.unescape(data.decode("utf8", "replace")))
        yield name, text
        yield name, re.sub(r"<[^<>]*>", " ", text)  # words that tags part
    else:
        yield name, data.decode("latin-1")
