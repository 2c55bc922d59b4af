"""Numbers that are typed in prose, and what binds each of them to a result.

A measured number is bound if it stands in a sentence that ``<word>.py`` derives from results (``sentences``)
or declares to be no measurement (``GIVEN``), if the section around it prints the same digits, or if its
sentence cites a source. ``<word>`` is the name of the page without its number, so ``dlg.py`` for ``03_dlg``.

    GIVEN = ["at 30 dB and more"]

    def sentences(chapter):
        yield "L-BFGS ends at {:.0f} dB", chapter.report("L-BFGS")
        yield "{} of {} pictures", spelled(4), spelled(8)
"""

import html
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from leaklib.report import Line

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()


def spelled(number: int) -> str:
    """A small number as prose writes it: four."""
    return SMALL[number]


# What a page holds


@dataclass
class Section:
    """What stands from one ``##`` to the next: paragraphs, and what its code printed."""

    paragraphs: list["Paragraph"] = field(default_factory=list)
    printed: str = ""


class Paragraph(NamedTuple):
    """``text`` as written, on one line; ``prose`` without code, math and targets, but of the same length."""

    text: str
    prose: str

    def sentences(self) -> Iterator[tuple[int, int]]:
        """Where each sentence starts and ends."""
        start = 0
        for found in re.finditer(r"[.!?…]+[\"”’)*_\]]*\s+(?=[A-ZÄÖÜ0-9*_\"“({\[▮])", self.prose):
            yield start, found.end()
            start = found.end()
        yield start, len(self.prose)


FILLER = "▮"
# Code and what the site does not show, in this order: a fence may hold anything.
FENCES = re.compile(r"^([ >]*)(`{3,}|~{3,})(?!\{).*?^[ >]*\2`*[ ]*$", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(
    r"""<!--.*?-->
    | ^\{\.meta\}[ ]*\n(?:[^\n]*\S[^\n]*\n?)*         # minutes of a chapter or an exercise
    | ^[ ]*:::+\{admonition\}[ ]*[^\n:]+:[ ]*["“][^\n]*  # what others say
    | ^[ ]*(?::::+|```+)(?:\{[\w-]+\})?                 # a directive, but not its title
    | ^[ ]*:[\w-]+:[^\n]*                              # its options
    | ^\([\w-]+\)=[ ]*$                               # the name of what follows
    | \$\$.*?\$\$(?:[ ]*\([\w-]+\))?
    | \\begin\{(\w+\*?)\}.*?\\end\{\1\}
    | (?<![\\$])\$(?!\s*[-−]?[\d.,]+\s*\$)[^$]+?\$     # math, but a plain number stays
    | \{[\w:.-]+\}`[^`]*`                               # a role
    | (`+)(?!`).+?(?<!`)\2(?!`)                         # code in a line
    | (?<=\])\([^()\s]*(?:\([^()]*\)[^()\s]*)*\)         # the target of a link
    | <?https?://[^\s>)]+>?
    | </?[a-zA-Z][^<>]*>
    | \{[.#][^}\n]*\}""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
# A line that begins something of its own: an item, a row of a table, a heading, a box.
BEGINS = re.compile(r"\s*(?:[-*+] |\d+[.)] |\||#+ |:::|```|> |▮+ *$)")


def hidden(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", FILLER, found[0])


def paragraphs(text: str) -> Iterator[Paragraph]:
    text = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")
    prose = HIDDEN.sub(hidden, FENCES.sub(hidden, text))
    start, at = [], 0
    for line in prose.splitlines(keepends=True):
        if not line.strip() or BEGINS.match(line):
            start.append(at)
        at += len(line)
    for first, last in zip([0, *start], [*start, len(text)], strict=True):
        if prose[first:last].strip(f"{FILLER} \n"):
            kept = [i for i in range(first, last) if not text[i].isspace() or not text[i - 1 : i].isspace()]
            shown = ["".join(" " if s[i].isspace() else s[i] for i in kept) for s in (text, prose)]
            yield Paragraph(*shown)


NO_TEXT = re.compile(r"<(style|script|svg)\b.*?</\1>", re.DOTALL)


def texts(output: dict) -> str:
    """What a reader can read of one output, pictures and axes aside."""
    data = output.get("data", {})
    if output["output_type"] == "stream":
        return "".join(output["text"])
    if "text/html" in data:
        return html.unescape(re.sub(r"<[^>]+>", " ", NO_TEXT.sub(" ", "".join(data["text/html"]))))
    if any("image/" in kind for kind in data):
        return ""
    return "".join(data.get("text/markdown", data.get("text/plain", "")))


TEXT_BLOCK = re.compile(r"^```text\n(.*?)^```", re.DOTALL | re.MULTILINE)


def word(path: Path) -> str:
    """The name of a page without its number: dlg."""
    return re.sub(r"^\d+_", "", path.stem).lower()


class Page:
    """One page of the book: its prose by section, and what its notebook shows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.word = word(path)
        self.sections = [Section()]
        text = path.read_text(encoding="utf8")
        is_notebook = path.suffix == ".ipynb"
        self.cells = json.loads(text)["cells"] if is_notebook else [{"cell_type": "markdown", "source": text}]
        self.outputs = "\n".join(texts(output) for cell in self.cells for output in cell.get("outputs", []))
        for cell in self.cells:
            source = "".join(cell["source"])
            figure = cell.get("metadata", {}).get("mystnb", {}).get("figure", {})
            if cell["cell_type"] == "code":
                printed = "\n".join(map(texts, cell.get("outputs", [])))
                self.sections[-1].paragraphs += paragraphs(figure.get("caption", ""))
            else:
                # What a solution prints is compared when the chapter runs.
                printed = "\n".join(TEXT_BLOCK.findall(source)) if "{solution}" in source else ""
                for paragraph in paragraphs(source):
                    if paragraph.prose.startswith("## "):
                        self.sections.append(Section())
                    self.sections[-1].paragraphs.append(paragraph)
            self.sections[-1].printed += "\n" + printed

    def report(self, name: str, of: str = "") -> float | tuple[float, float]:
        """The number that this page, or the page ``of``, reports as ``name``, or both ends of several."""
        outputs = page(of).outputs if of else self.outputs
        lines = [line for text in outputs.splitlines() if (line := Line.read(text.strip()))]
        found = [line.numbers for line in lines if line.words.partition(": …")[0] == name]
        if len(found) != 1:
            names = sorted({line.words.partition(": …")[0] for line in lines})
            raise LookupError(f"{of or self.word} reports {name!r} {len(found)} times, of {names}")
        low, high = found[0]
        return low if low == high else (low, high)

    def stored(self, name: str):
        """``leaklib/results/<name>.json``; a list of rows where it is a ``.jsonl``."""
        folder = ROOT / "leaklib" / "results"
        if (path := folder / f"{name}.json").exists():
            return json.loads(path.read_text(encoding="utf8"))
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]


def paths() -> list[Path]:
    """The pages of the table of contents, and the README."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    names = [toc["root"], *(chapter["file"] for chapter in chapters)]
    return [next(ROOT.glob(f"{name}.*")) for name in names] + [ROOT / "README.md"]


@cache
def page(word: str) -> Page:
    return next(found for found in map(Page, paths()) if found.word == word)


# What counts as measured

N = r"(?<![\w.,^_/§#▮-])[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:\s?[×·]\s?10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|e[-+]?\d+)?(?!\d|[.,]\d)"
WORD = rf"\b(?:{'|'.join(SMALL[1:])})\b"
# Each number of "104 to 119", of "9, 6 and 4".
SEVERAL = rf"{N}(?:(?:, {N})*(?: ?[–/-] ?|,? (?:to|and|or|against|instead of|by) ){N})?"
UNITS = (
    "dB|decibels?|%|percent|ms|µs|s|milliseconds?|microseconds?|seconds?|minutes?|hours?|[kKMGT]i?B|bytes?|"
    "kilobytes?|megabytes?|gigabytes?|evaluations?|millionths?|thousandths?"
)
MEASURED = [
    re.compile(rf"{SEVERAL}[*$]*[ -]?(?:{UNITS})(?!\w)"),
    re.compile(rf"{SEVERAL}[*$]* ?×(?! ?[\d(${FILLER}])"),  # 3×, but neither 5×5 nor 3 × 10⁸
    re.compile(rf"{SEVERAL}[*$]*[ -]?(?:times|fold)(?!\w)"),
    re.compile(r"(?<![\w.,])\d[\d,]*\.\d+[*$]* bits?\b"),
    re.compile(rf"(?:{N}|{WORD}) (?:orders? of magnitude|decibels?|percent)", re.I),
    re.compile(rf"\bfactors? (?:of )?(?:about |some |around )?{SEVERAL}"),
    re.compile(
        r"\b(?:accuracy|correlation|SSIM|LPIPS|ROUGE|PSNR|median|mean|average|similarity|rank)"
        rf"(?: is| of| was|:)?(?: at most| at least| about| above| below)? {SEVERAL}"
    ),
]
# "One of ten" rarely counts anything.
PAIR = re.compile(
    rf"(?:{N}|(?!one\b){WORD})\** (?:out )?of (?:the |all |its |these |those |our )?(?:{N}(?! ?×)|{WORD})",
    re.I,
)
METRIC = re.compile(r"\b(?:accurac(?:y|ies)|correlat\w+|SSIM|medians?|averages?|similarit(?:y|ies))\b", re.I)
DECIMAL = re.compile(r"(?<![\w.,])\d+\.\d+(?![\w.]\d|\w)")


class Number(NamedTuple):
    """A measured number: where it stands in its paragraph, and what an output must show to bind it."""

    start: int
    end: int
    needle: str


def measured(prose: str) -> Iterator[Number]:
    for pattern in MEASURED:
        for found in pattern.finditer(prose):
            numbers = list(re.finditer(rf"{N}|{WORD}", found[0], re.I))
            unit = plain(found[0][numbers[-1].end() :])
            for number in numbers:
                digits = plain(number[0])
                # One digit stands in every output: it needs its unit, too.
                needle = digits if len(digits) > 1 else digits + unit
                yield Number(*(found.start() + at for at in number.span()), needle)
    for found in PAIR.finditer(prose):
        yield Number(*found.span(), " of ".join(map(plain, re.findall(rf"{N}|{WORD}", found[0], re.I))))
    if METRIC.search(prose):
        for found in DECIMAL.finditer(prose):
            yield Number(*found.span(), found[0])


def plain(text: str) -> str:
    """Numbers as digits, without separators, signs and emphasis."""
    text = re.sub(WORD, lambda found: str(SMALL.index(found[0].lower())), text, flags=re.I)
    return re.sub(r"(?<=\d),(?=\d{3})|[−-](?=\d)|\*", "", text)


def is_printed(needle: str, printed: str) -> bool:
    pattern = re.escape(needle).replace(r"\ ", r"\s*")
    return bool(re.search(rf"(?<![\d.,]){pattern}(?!\d|[.,]\d)", plain(printed)))


# What binds them


def phrase(text: str) -> re.Pattern[str]:
    """Finds a sentence as a whole: a number at its edge is not part of a longer one."""
    text = " ".join(text.split())
    before = r"(?<![\d.,])" if text[:1].isdigit() else ""
    after = r"(?!\d|[.,]\d)" if text[-1:].isdigit() else ""
    return re.compile(before + re.escape(text) + after, re.IGNORECASE)


def flat(values) -> Iterator:
    for value in values:
        yield from (flat(value) if isinstance(value, (tuple, list)) else [value])


def bindings(page: Page) -> tuple[list[str], list[str]]:
    """The sentences that the page's module derives, numbers filled in, and the phrases that it declares."""
    path = HERE / f"{page.word}.py"
    if not path.exists():
        return [], []
    spec = importlib.util.spec_from_file_location(f"prose.{page.word}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    derive = getattr(module, "sentences", lambda page: ())
    derived = [template.format(*flat(values)) for template, *values in derive(page)]
    return derived, list(getattr(module, "GIVEN", ()))


CITED = re.compile(r"\{cite(?::\w+)?\}`|\]\(https?://|<https?://")


def problems(page: Page, derived: list[str], given: list[str]) -> list[str]:
    """Every measured number that nothing binds, with its sentence, and every binding that binds nothing."""
    found, used = [], Counter()
    for section in page.sections:
        for paragraph in section.paragraphs:
            spans = []
            for text in derived + given:
                matches = [match.span() for match in phrase(text).finditer(paragraph.text)]
                used[text] += len(matches)
                spans += matches
            for first, last in paragraph.sentences():
                if CITED.search(paragraph.text[first:last]):
                    continue
                for number in sorted(set(measured(paragraph.prose[first:last]))):
                    start, end = first + number.start, first + number.end
                    if any(low <= start and end <= high for low, high in spans):
                        continue
                    if not is_printed(number.needle, section.printed):
                        sentence = paragraph.text[first:last].strip()
                        found.append(f"{paragraph.text[start:end]}: {sentence}")
    found += [f"derived, but not in the text: {text}" for text in derived if not used[text]]
    found += [f"GIVEN, but not in the text: {text}" for text in given if not used[text]]
    return list(dict.fromkeys(found))
