"""Pages as they are written: lists that nobody meant, references by role, a chapter's order, its sources."""

import re

import prose
import pytest
import strips
from markdown_it import MarkdownIt
from pybtex.database import parse_file

PAGES = [prose.Page(path) for path in prose.paths() if path.name != "README.md"]
CHAPTERS = [page for page in PAGES if re.match(r"\d", page.path.name)]
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
by_number = pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.path.stem)


def sources(page):
    return ["".join(cell["source"]) for cell in page.cells if cell["cell_type"] == "markdown"]


# Lists and quotes that nobody meant: a line of a paragraph that begins with "1. ", "+ ", "- " or "> ".

# Directives and formulas, which this parser takes for text.
OTHER = re.compile(
    r"^[ ]*(?::::+|`{3,}\{)[^\n]*\n(?:[ ]*:[\w-]+:[^\n]*\n)*|\$\$.*?\$\$|^\([\w-]+\)=[ ]*$|^\{\.[\w-]+\}[ ]*$"
    r"|^[ ]*(?::::+|`{3,})[ ]*$",
    re.DOTALL | re.MULTILINE,
)


YEARS = range(100, 10_000)


def accidents(text):
    """Lines of a paragraph that begin a list or a quote: without an empty line before, or with a year."""
    text = prose.FENCES.sub(lambda found: re.sub(r"[^\n]", "", found[0]), text)
    text = OTHER.sub(lambda found: re.sub(r"[^\n]", "", found[0]), text)
    lines = text.splitlines()
    for token in MarkdownIt().parse(text):
        if token.type in ("bullet_list_open", "ordered_list_open", "blockquote_open"):
            first = token.map[0]
            inner = token.level > 0 and token.markup == "-"  # a list within a list
            if (first and lines[first - 1].strip() and not inner) or token.attrGet("start") in YEARS:
                yield lines[first].strip()


@by_name
def test_no_list_begins_by_accident(page):
    found = [line for text in sources(page) for line in accidents(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text, found",
    [
        ("One.\n\n1. two\n2. three\n\n- four\n  - five\n- six", []),
        ("A rank of\n1. It is", ["1. It is"]),
        ("A rank of\n2. It is", []),
        ("When?\n\n2021. It is", ["2021. It is"]),
        ("a sum $a$\n+ $b$ is", ["+ $b$ is"]),
        ("- a sum\n  + b", ["+ b"]),
        ("so $a\n> b$ holds", ["> b$ holds"]),
        ("It shows:\n- one", ["- one"]),
        ("$$\na\n+ b\n$$", []),
        (":::{note} Title\n:class: x\n- one\n:::\n\n```python\na\n+ b\n```", []),
        ("{.meta}\n+ one", []),
    ],
)
def test_accidents_are_seen(text, found):
    assert list(accidents(text)) == found


# References

ROLE = re.compile(r"\{(?:numref|ref|doc)\}`|\]\(")
NUMBER = re.compile(r"\bchapters?\s+\d|\bfigures?\s+\d|\bexercises?\s+\d", re.IGNORECASE)
ELSEWHERE = re.compile(
    r"\b(?:later|next|earlier|previous|following|last|another)\s+chapters?\b|\bthe\s+chapters?\s+(?:on|about)\b",
    re.IGNORECASE,
)


META = re.compile(r"^\{\.meta\}\n(.*)$", re.MULTILINE)


def loose(page):
    """Sentences that speak of another chapter or of a numbered thing without a link to it."""
    for text in sources(page):
        for line in META.findall(text):
            if NUMBER.search(re.sub(r"\{\w+\}`[^`]*`", "", line)):
                yield f"a number is typed: {line}"
    for section in page.sections:
        for paragraph in section.paragraphs:
            for first, last in paragraph.sentences():
                shown, text = paragraph.prose[first:last], paragraph.text[first:last].strip()
                if NUMBER.search(shown):
                    yield f"a number is typed: {text}"
                if ELSEWHERE.search(shown) and not ROLE.search(text):
                    yield f"no link: {text}"


@by_name
def test_other_chapters_are_linked(page):
    found = list(loose(page))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text, found",
    [
        ("See {numref}`chapter %s <ch-dlg>`. The next one is {numref}`ch-dp`, a later chapter.", 0),
        ("In chapter 7 we see it.", 1),
        ("Chapters 8 to 11, and Figure 2.", 1),
        ("So it is {numref}`ch-dp`. A later chapter computes it.", 1),
        ("{.meta}\n45 minutes · after chapter 2", 1),
        ("{.meta}\n45 minutes · after {numref}`chapter %s <ch-dlg>`", 0),
        ("This is [the next chapter](07_text.ipynb). This chapter, too.", 0),
        ("It is the subject of the chapter on sums.", 1),
    ],
)
def test_loose_references_are_seen(tmp_path, text, found):
    (tmp_path / "page.md").write_text(text)
    assert len(list(loose(prose.Page(tmp_path / "page.md")))) == found


def figures(page):
    """Metadata of the figures of a page, and the same of its live ones."""
    meta = (cell.get("metadata", {}).get("mystnb", {}).get("figure") for cell in page.cells)
    live = (figure for text in sources(page) for figure in strips.figures(text))
    return [*filter(None, meta), *({"name": figure.name, "caption": figure.caption} for figure in live)]


REFERRED = {
    label
    for page in PAGES
    for text in sources(page)
    for label in re.findall(r"\{numref\}`(?:[^`<]*<)?(fig-[\w-]+)>?`", text)
}


@by_name
def test_every_figure_has_a_name_and_a_caption_and_the_text_refers_to_it(page):
    names = {figure.get("name", "without a name") for figure in figures(page)}
    assert all(re.fullmatch(r"fig(-[a-z0-9]+)+", name) for name in names), sorted(names)
    names -= REFERRED | {"fig-film", "fig-try"}  # which are what their pages are about
    assert not names, f"no sentence refers to {sorted(names)}"
    for figure in figures(page):
        caption = figure.get("caption", "")
        assert 5 <= len(caption.split()) <= 60, f"{figure['name']}: {len(caption.split())} words"
        assert caption.rstrip("*_)").endswith((".", "!", "?")), f"{figure['name']} is no sentence: {caption}"
        assert isinstance(figure.get("classes", ""), str), f"{figure['name']}: classes is one string"


# A chapter's parts, in their order

PARTS = {
    "the question": r"^\{\.question\}$",
    "the objectives": r"^:class: objectives$",
    "the threat model": r"^:class: threat-model$",
    "the key takeaways": r"^## Key takeaways$",
    "their box": r"^:class: takeaways$",
    "the quick check": r"^## Quick check$",
    "the exercises": r"^## Exercises$",
}


def out_of_order(texts):
    """Parts of a chapter that are missing, come twice or too early, in words."""
    if not re.fullmatch(r"\(ch-[\w-]+\)=\n# [^\n]+", texts[0].strip()):
        yield "the first cell is not the label and the title"
    text, last = "\n".join(texts), -1
    for name, pattern in PARTS.items():
        places = [found.start() for found in re.finditer(pattern, text, re.MULTILINE)]
        if not places or (len(places) > 1 and name != "the threat model"):
            yield f"{name}: {len(places)} times"
        elif places[0] < last:
            yield f"{name} too early"
        else:
            last = places[0]
    headings = re.findall(r"^## (.*)$", prose.FENCES.sub("", text), re.MULTILINE)
    if headings[-3:] != ["Key takeaways", "Quick check", "Exercises"]:
        yield f"it ends with {headings[-3:]}"


@by_number
def test_chapter_has_its_parts_in_order(page):
    found = list(out_of_order(sources(page)))
    assert not found, "\n".join(found)


def test_missing_parts_are_seen():
    lines = [pattern.strip("^$").replace("\\", "") for pattern in PARTS.values()]
    sound = ["(ch-one)=\n# One", *lines]
    assert list(out_of_order(sound)) == []
    assert list(out_of_order(["# One", *lines])) == ["the first cell is not the label and the title"]
    assert all(any(out_of_order(sound[:i] + sound[i + 1 :])) for i in range(1, len(sound)))
    assert all(any(out_of_order(sound[:i] + sound[i : i + 2][::-1] + sound[i + 2 :])) for i in range(1, 7))
    assert list(out_of_order([*sound, "## More"]))


# Sources

BOOKS = parse_file(str(prose.ROOT / "chapters" / "references.bib")).entries
KEY = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")


@pytest.mark.parametrize("key", BOOKS)
def test_every_source_can_be_found(key):
    fields = BOOKS[key].fields
    assert any(fields.get(name) for name in ("doi", "eprint", "url")), f"{key}: no doi, eprint or url"


@by_name
def test_every_citation_has_its_source(page):
    captions = [figure.get("caption", "") for figure in figures(page)]
    cited = {
        key.strip()
        for text in [*sources(page), *captions]
        for keys in KEY.findall(text)
        for key in keys.split(",")
    }
    assert cited <= set(BOOKS)
