"""The instructor's edition, built small: the front page, one chapter with its solutions, and the guide."""

import ast
import contextlib
import io
import json
import re

import book_files
import leaks
import pytest
from bs4 import BeautifulSoup
from pages import ROOT

CHAPTER = "16_production"
GUARD = 'run_solution = False  # @param {type:"boolean"}'


@pytest.fixture(scope="module")
def page(folder):
    html = (folder / "html" / "chapters" / f"{CHAPTER}.html").read_text(encoding="utf8")
    return BeautifulSoup(html, "html.parser")


@pytest.fixture(scope="module")
def copy(folder):
    return json.loads((folder / "colab" / f"{CHAPTER}.ipynb").read_text(encoding="utf8"))["cells"]


@pytest.fixture(scope="module")
def written():
    """The solutions as the chapter holds them."""
    cells = json.loads((ROOT / "chapters" / f"{CHAPTER}.ipynb").read_text(encoding="utf8"))["cells"]
    found = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return [text for text in found if "{solution}" in text]


def test_each_exercise_is_followed_by_its_solution(page, written):
    exercises = page.select("div.exercise")
    assert len(exercises) == len(written) > 2
    for exercise in exercises:
        solution = exercise.find_next_sibling()
        assert solution.name == "details" and "solution" in solution["class"] and "open" not in solution.attrs
        title = exercise.select_one(".admonition-title").get_text(" ").replace("#", "")
        assert solution.summary.get_text().split()[1] == title.split()[1]


def test_the_search_for_leaks_finds_all_of_them_here(folder, written):
    """As it would in the students' edition, were the part that takes them out missing."""
    names = {re.search(r"\{solution\} (\S+)", text)[1] for text in written}
    found = leaks.leaks(folder / "html")
    assert found[f"chapters/{CHAPTER}.html"] == found[f"colab/{CHAPTER}.ipynb"] == names


def test_no_search_engine_is_shown_it_and_it_says_what_it_is(folder):
    html = folder / "html"
    assert (html / "robots.txt").read_text().splitlines()[:2] == ["User-agent: *", "Disallow: /"]
    assert not (html / "sitemap.xml").exists()
    for path in html.rglob("*.html"):
        if path.name != "live.html" and not {"slides", "_static"} & set(path.parts):
            head, _, body = path.read_text(encoding="utf8").partition("</head>")
            assert '<meta name="robots" content="noindex">' in head and 'rel="canonical"' not in head
            assert "instructor's edition" in BeautifulSoup(body, "html.parser").get_text(), path


def test_paper_shows_solutions_unfolded(folder, written):
    chapter = book_files.chapter(folder / "html", f"chapters/{CHAPTER}.html", None, {CHAPTER}, None)
    shown = chapter.article.select("div.solution.admonition > p.admonition-title")
    assert len(shown) == len(written) and not chapter.article.select("details.solution")


def test_solutions_open_by_keyboard(folder, browser):
    page = browser.new_page()
    page.goto((folder / "html" / "chapters" / f"{CHAPTER}.html").as_uri())
    page.locator("details.solution > summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.solution").first.get_attribute("open") is not None
    page.close()


# The copy of a chapter: all its cells run at once, and no solution with them.


def solutions(copy):
    return [cell for cell in copy if "solution" in cell["metadata"].get("tags", [])]


def test_solutions_are_folded_and_do_not_run_by_themselves(copy, written):
    codes = ["\n\n".join(re.findall(r"^```python\n(.*?)^```", part, re.S | re.M)) for part in written]
    markdown = "\n\n".join(cell["source"] for cell in copy if cell["cell_type"] == "markdown")
    assert len(re.findall(r"^<details><summary><b>Solution \d+\.\d+ · ", markdown, re.M)) == len(written)
    assert len(solutions(copy)) == len([code for code in codes if code]) > 0
    for cell, code in zip(solutions(copy), filter(None, codes), strict=True):
        names = {}
        exec(cell["source"], names)  # what it names is missing here: it would raise
        assert names.keys() - {"__builtins__"} == {"run_solution"}
        switch, guarded = ast.parse(cell["source"]).body
        assert ast.unparse(switch) == "run_solution = False" and GUARD in cell["source"]
        assert ast.unparse(guarded.test) == "run_solution" and not guarded.orelse
        assert ast.dump(ast.Module(guarded.body, [])) == ast.dump(ast.parse(code))


def test_a_solution_runs_when_its_reader_says_so(copy):
    """One that needs no cell above it."""
    (cell,) = solutions(copy)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(cell["source"].replace("run_solution = False", "run_solution = True"), {})
    title = re.search(r"Solution \d+\.\d+", cell["source"])[0]
    fold = next(other["source"] for other in copy if f"<b>{title}" in other["source"])
    assert said.getvalue().strip() in fold and "epsilon" in said.getvalue()
