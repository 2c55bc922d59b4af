"""The copies of the chapters for Colab, JupyterLab and VS Code, as `make book` has written them.

What stands in `_build/colab` is compared with the notebooks it comes from and with the pages of the site, and
its Markdown is read by another reader of Markdown than the one that made the pages.
"""

import base64
import copy as copying
import functools
import io
import json
import re
from collections import Counter
from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from leaky import cite, copies, copies_markdown
from leaky.repository import Repository
from leaky.solutions import without_solutions
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pages import ROOT
from PIL import Image

SOURCES = sorted((ROOT / "chapters").glob("*.ipynb"))
NAMES = [path.stem for path in SOURCES]
FIGURE = '<svg class="leaky-figure"'
READER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, double_inline=True)
FENCED = re.compile(r"^(> ?)*(`{3,}).*?^(> ?)*\2$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)[^`]+\1")
PICTURE = re.compile(r"^\[[\w-]+\]: data:.*$", re.MULTILINE)


@functools.cache
def read(path):
    return json.loads(path.read_text(encoding="utf8"))


@functools.cache
def parsed(path):
    """A page, without what the insides of explorers and drawings are made of."""
    html = re.sub(r"<(script|style|svg)\b.*?</\1>", "", path.read_text(encoding="utf8"), flags=re.DOTALL)
    return BeautifulSoup(re.sub(r"data:image/[^\"' ]*", "data:", html), "html.parser")


def text(cell):
    return "".join(cell["source"])


def cells(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def markdown(notebook):
    return "\n\n".join(PICTURE.sub("", text(cell)) for cell in cells(notebook, "markdown"))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def copy(site, name):
    return read(site.parent / "colab" / f"{name}.ipynb")


@pytest.fixture
def source(name):
    """The notebook of the page as students have it."""
    return without_solutions(copying.deepcopy(read(ROOT / "chapters" / f"{name}.ipynb")), name)


@pytest.fixture
def page(site, name):
    return parsed(site / "chapters" / f"{name}.html")


def test_every_notebook_has_a_copy_here_and_on_the_site(site):
    here, there = site.parent / "colab", site / "colab"
    assert {path.stem for path in here.iterdir()} == set(NAMES)
    assert all(path.read_bytes() == (there / path.name).read_bytes() for path in here.iterdir())


def test_a_copy_is_a_notebook_that_has_not_run(copy, name):
    notebook = nbformat.from_dict(copy)
    nbformat.validate(notebook)
    assert (copy["nbformat"], copy["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in copy["cells"]]
    assert len(set(ids)) == len(ids)
    assert copy["metadata"]["kernelspec"]["name"] == "python3"
    assert copy["metadata"]["colab"] == {"name": f"{name}.ipynb", "toc_visible": True}
    counts = [cell["execution_count"] for cell in cells(copy, "code")]
    counts += [o.get("execution_count") for cell in cells(copy, "code") for o in cell["outputs"]]
    assert set(counts) <= {None}


def test_the_first_cells_say_what_it_is_and_install_the_wheel_of_this_build(site, copy):
    about, setup = text(copy["cells"][0]), copy["cells"][1]
    assert "CC BY" in about and "MIT" in about and "Attack only what is yours" in about
    if not cells(copy, "code"):
        return
    (wheel,) = site.glob("leaklib-*.whl")
    assert setup["cell_type"] == "code" and f'"{wheel.name}"' in text(setup)
    assert [cell for cell in cells(copy, "code") if "setup" in cell["metadata"].get("tags", [])] == [setup]


# Text

RAW = re.compile(
    r"""^[ >]*:{3,}                   # a directive, and its end
    | ^[ >]*`{3,}\{                   # a directive in a fence
    | ^[ >]*:[a-z-]+:[ ]              # an option
    | \{[a-z][a-z:]*\}`               # a role
    | ^[ >]*\([\w-]+\)=               # a label
    | \$\$[ ]*\([\w-]+\)              # of an equation
    | \{[.\#][\w-]+[^}]*\}            # attributes
    | ^[ >]*%(?!%)                    # a comment
    | ^\+\+\+                         # a cell's end
    | \{\{.*?\}\}                     # a substitution
    """,
    re.MULTILINE | re.VERBOSE,
)


def raw_myst(text):
    """What of MyST's own syntax stands in a text, outside of code and formulas."""
    bare = re.sub(
        r"(?<!\$)\$(?!\$)[^$\n]+\$", "", CODE.sub("", FENCED.sub("", re.sub(r"`{3,}\{", ":::{", text)))
    )
    return [found[0] for found in RAW.finditer(bare)] + re.findall(r"\{[a-z][a-z:]*\}(?=`)", text)


def test_no_markup_is_left_that_a_front_end_would_show(copy, source):
    shown = [
        o["data"].get("text/markdown", "") for c in cells(copy, "code") for o in c["outputs"] if "data" in o
    ]
    assert raw_myst("\n\n".join([markdown(copy), *map("".join, shown)])) == []
    assert raw_myst(markdown(source))  # the same search finds it where it is


@pytest.mark.parametrize(
    "text",
    [
        "::::{note}",
        "> :::",
        "```{live} x",
        "see {numref}`fig-x`",
        "{prf:ref}`thm-x`",
        "(ch-dlg)=",
        "$$x$$ (eq-x)",
        "{.meta}",
        "[a](b){.c}",
        "% not shown",
        ":class: level-1",
        "{{ name }}",
    ],
)
def test_each_kind_of_raw_markup_is_found(text):
    assert raw_myst(f"Text.\n{text}\nText.")


def bare(text):
    """Letters and digits, which quotation marks, spaces and line breaks leave the same."""
    return re.sub(r"[^\w]", "", text)


def rendered(notebook):
    html = READER.render(markdown(notebook))
    return BeautifulSoup(html, "html.parser")


def without_formulas(soup):
    for formula in soup.select(".math, mjx-container, .headerlink, eq, eqn, .eqno"):
        formula.decompose()
    return soup


def test_all_that_the_page_says_is_said(copy, page):
    said = bare(without_formulas(rendered(copy)).get_text())
    article = without_formulas(copying.copy(page.select_one("article.bd-article")))
    for output in article.select(
        ".cell_output > :not(figure), .cell_input, .cell summary, figure > :not(figcaption)"
    ):
        output.decompose()
    paragraphs = article.select("h1, h2, h3, p, figcaption, li, td, th, dt, dd, summary")
    texts = [
        found.get_text(" ") for found in paragraphs if not found.select("p, li") and found.get_text().strip()
    ]
    assert len(texts) > 10
    assert [part for part in texts if bare(part) not in said] == []


def test_numbers_are_those_of_the_page(copy, page):
    text = markdown(copy)
    numbers = [found.get_text().strip() for found in page.select("article .caption-number")]
    equations = [found.get_text().strip("( )#\n") for found in page.select("article .eqno")]
    assert [n for n in numbers if not re.search(rf"\*\*{re.escape(n)}(\*\*| ·|\.\*\*)", text)] == []
    assert Counter(re.findall(r"\\tag\{([\d.]+)\}", text)) == Counter(equations)
    chapter = page.select_one("h1 .section-number")
    assert chapter is None or f"# {chapter.get_text().strip(' ·')} · " in text


def formulas(text):
    text = CODE.sub("", FENCED.sub("", text))
    return re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", text, re.DOTALL)


def plain(tex):
    tex = re.sub(r"\\tag\{[\d.]+\}", "", tex)
    for command, character in (("lt", "<"), ("gt", ">"), ("vert", "|"), ("Vert", r"\|")):
        tex = re.sub(rf"\\{command}\b", lambda _, character=character: character, tex)
    return "".join(tex.split())


def test_formulas_are_those_of_the_source(copy, source):
    figures = [cell["metadata"].get("mystnb", {}).get("figure", {}) for cell in cells(source, "code")]
    captions = "\n\n".join(figure.get("caption", "") for figure in figures)
    here, there = (
        Counter(plain(display or line) for display, line in formulas(text))
        for text in (markdown(copy), f"{markdown(source)}\n\n{captions}")
    )
    assert here == there


def test_formulas_survive_tables_quotations_html_and_folds(copy):
    for cell in cells(copy, "markdown"):
        text = PICTURE.sub("", cell["source"])
        bare = CODE.sub("code", FENCED.sub("", text))
        assert not re.findall(r"<summary>.*\$.*</summary>", bare)  # VS Code reads no formula in HTML
        assert "$" not in "".join(
            found[0] for found in FENCED.finditer(text)
        )  # taken for a formula in JupyterLab
        for display, line in formulas(bare):
            assert not re.search(r"[<>|\n%]|\A\s*\Z", display + line), display + line
        # A formula beside a letter or digit is none in VS Code, nor one with a space inside its dollars.
        inline = re.sub(r"\$\$.+?\$\$", "", bare)
        for before, formula, after in re.findall(r"(.?)\$([^$]+)\$(.?)", inline, re.DOTALL):
            assert not re.match(r"\w", before) and not re.match(r"\w", after), (before, formula, after)
            assert formula == formula.strip(), formula
        read = [token for token in READER.parse(text) if token.type == "math_block"]
        read += [c for t in READER.parse(text) for c in t.children or [] if c.type.startswith("math")]
        assert len(read) == len(formulas(bare)), cell["id"]


def test_markdown_is_read_as_it_is_meant(copy):
    """No mark of Markdown is left to be seen, and what is folded opens and closes with blank lines around."""
    for cell in cells(copy, "markdown"):
        tokens = READER.parse(PICTURE.sub("", cell["source"]))
        texts = [c.content for t in tokens for c in t.children or [] if c.type == "text"]
        assert not [found for found in texts if re.search(r"\*\*|\]\(|`|\$|\\|&#", found)], cell["id"]
        blocks = [token.content.strip() for token in tokens if token.type == "html_block"]
        assert all(re.fullmatch(r"<details><summary>.*</summary>|</details>", block) for block in blocks), (
            blocks
        )
        assert Counter(block[:4] for block in blocks) in (
            {},
            {"<det": len(blocks) // 2, "</de": len(blocks) // 2},
        )


def test_links_lead_somewhere(copy, name):
    places = set(re.findall(r'<a id="([^"]+)"></a>', markdown(copy)))
    tokens = [child for token in READER.parse(markdown(copy)) for child in token.children or []]
    links = [token.attrs["href"] for token in tokens if token.type == "link_open"]
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in places, link
        elif not re.match(r"https?://[\w.-]+\.\w+/|https?://[\w.-]+\.\w+$", link):
            assert link.removesuffix(".ipynb") in NAMES, link


def test_a_copy_alone_shows_its_pictures(copy):
    for cell in cells(copy, "markdown"):
        tokens = [child for token in READER.parse(cell["source"]) for child in token.children or []]
        pictures = [token for token in tokens if token.type == "image"]
        assert len(pictures) == cell["source"].count("![") and "attachment:" not in cell["source"]
        for picture in pictures:
            kind, data = picture.attrs["src"].split(";base64,")
            assert kind == "data:image/png" and len(picture.content) > 20
            Image.open(io.BytesIO(base64.b64decode(data))).verify()
        assert not re.search(r"<img|_static/|_images/", PICTURE.sub("", cell["source"]))
    for html in (
        "".join(o["data"].get("text/html", ""))
        for c in cells(copy, "code")
        for o in c["outputs"]
        if "data" in o
    ):
        assert not re.findall(r'<img[^>]* src="(?!data:)[^"]*"', html)


def test_every_picture_of_the_page_is_there(copy, page):
    strips = len(page.select("figure.live"))
    assert markdown(copy).count("![") == strips
    described = [img["alt"] for img in page.select(".cell_output img[alt]:not([class^='leaky-'] *)")]
    assert [alt for alt in described if bare(alt) not in bare(markdown(copy))] == []


# Code


def test_code_is_the_source_s_in_its_order(copy, source):
    def own(cell):
        return "setup" not in cell["metadata"].get("tags", [])

    here = [(c["id"], re.sub(r"\A# @title .*\n", "", text(c))) for c in cells(copy, "code") if own(c)]
    assert here == [(c["id"], text(c)) for c in cells(source, "code")]


def test_what_the_page_folds_is_folded(copy, source):
    folded = {
        c["id"]
        for c in cells(source, "code")
        if {"hide-input", "hide-cell"} & set(c["metadata"].get("tags", []))
    }
    for cell in cells(copy, "code"):
        hidden = cell["metadata"].get("jupyter", {}).get("source_hidden", False)
        form = cell["metadata"].get("cellView") == "form" and text(cell).startswith("# @title ")
        expected = cell["id"] in folded or "setup" in cell["metadata"].get("tags", [])
        assert hidden == form == expected


def test_outputs_are_kept_as_far_as_they_can_be_shown(copy, source):
    here = {cell["id"]: cell["outputs"] for cell in cells(copy, "code")}
    for cell in cells(source, "code"):
        kept = here[cell["id"]]
        assert len(kept) == len(cell["outputs"])
        for stored, shown in zip(cell["outputs"], kept, strict=True):
            if "data" not in stored:
                assert shown == stored
                continue
            expected = {kind: data for kind, data in stored["data"].items() if "widget" not in kind}
            if "".join(expected.get("text/html", "")).startswith(FIGURE):
                assert "image/png" in expected
                del expected["text/html"]
            assert shown["data"] == expected


# The site


def test_a_page_gives_its_copy_to_download(page, name, site):
    (button,) = page.select("a.btn-download-notebook-button")
    assert button["href"] == f"../colab/{name}.ipynb"
    assert (site / "chapters" / button["href"]).resolve().is_file()
    assert not page.select("a[href*='_sources']")


def test_a_page_without_a_copy_offers_none(site):
    for path in (ROOT / "chapters").glob("*.md"):
        page = BeautifulSoup(
            (site / "chapters" / f"{path.stem}.html").read_text(encoding="utf8"), "html.parser"
        )
        files = ".dropdown-download-buttons a:is([href$='.ipynb'], [href$='.md'])"
        assert not page.select(f"a[href*='_sources'], {files}")


@pytest.fixture
def published(monkeypatch):
    here = Repository("github.com", "someone/book", "main", "https://someone.github.io/book")
    for module in (cite, copies):
        monkeypatch.setattr(module, "repository", lambda: here)
    monkeypatch.setattr(copies, "papers", lambda env: {"id1": "https://arxiv.org/abs/1906.08935"})


def book(page="chapters/03_dlg"):
    sources = {"chapters/index": ".ipynb", "chapters/03_dlg": ".ipynb", "chapters/04_x": ".ipynb"}
    sources |= {"chapters/notation": ".md", "chapters/bibliography": ".md"}
    env = SimpleNamespace(
        found_docs=set(sources),
        doc2path=lambda page: f"/book/{page}{sources[page]}",
        config=SimpleNamespace(root_doc="chapters/index"),
    )
    builder = SimpleNamespace(get_target_uri=lambda page: f"{page}.html")
    return copies.Book(SimpleNamespace(env=env, builder=builder), page, nodes.section(ids=["here"]))


def link(**address):
    return nodes.reference("", "", **address)


def test_references_lead_to_the_published_page(published):
    for refuri, expected in {
        "04_x.html#fig-y": "https://someone.github.io/book/chapters/04_x.html#fig-y",
        "notation.html#term-SVD": "https://someone.github.io/book/chapters/notation.html#term-SVD",
        "bibliography.html#id1": "https://arxiv.org/abs/1906.08935",
        "bibliography.html#id2": "https://someone.github.io/book/chapters/bibliography.html#id2",
        "https://python.org": "https://python.org",
    }.items():
        assert book().address(link(refuri=refuri)) == expected
    card = book("chapters/index").address(link(refuri="04_x.html"))
    assert card == "https://colab.research.google.com/github/someone/book/blob/gh-pages/colab/04_x.ipynb"


def test_without_a_site_references_lead_to_the_copy_beside_or_are_text(published, monkeypatch):
    for module in (cite, copies):
        monkeypatch.setattr(module, "repository", lambda: None)
    assert book().address(link(refuri="04_x.html#fig-y")) == "04_x.ipynb"
    assert book().address(link(refuri="notation.html#term-SVD")) is None
    assert book("chapters/index").address(link(refuri="04_x.html")) == "04_x.ipynb"


# Text that the book does not have today


@pytest.mark.parametrize(
    "text",
    [
        "It costs $5, or $6 a month.",
        "2 * 3 * 4 and a_b, _c_ and __d__",
        "a < b > c and <b>not bold</b> &amp; &lt;",
        "[not](a link), [nor][this] and a\\b",
        "`not code` and ~~not struck~~ | no cell",
    ],
)
def test_prose_is_read_as_it_is_written(text):
    html = READER.render(copies_markdown.prose(text))
    assert BeautifulSoup(html, "html.parser").get_text().strip() == text
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "span"}


def test_a_formula_holds_nothing_that_others_take_for_theirs():
    formula = copies_markdown.formula(nodes.math("", "\\|a\\| <\n|b| > c"))
    assert formula == r"\Vert a\Vert \lt \vert b\vert \gt c"
