"""Each numbered chapter as a page: the leak first, the scaffolding folded, figures numbered, boxes complete.

`scripts/pages.py` counts and prints; here are the bounds.
"""

import re

import pages
import pytest

CHAPTERS = [page["file"] for part in pages.TOC["parts"] if part.get("numbered") for page in part["chapters"]]


def problems(found):
    """What is out of bounds in what `pages.look` found, in words."""
    if found["codeShare"] > 0.18:
        yield f"code takes {100 * found['codeShare']:.1f} % of the page, more than 18"
    if found["longestCell"] > 15:
        yield f"a visible cell has {found['longestCell']} lines, more than 15"
    for line in found["imports"]:
        yield f"a visible import: {line.strip()}"
    if found["firstFigure"] is None or found["firstFigure"] > 900:
        yield f"the first figure begins at {found['firstFigure']} px, below 900"
    for what in ("unnumbered", "uncaptioned", "undescribed"):
        for name in found[what]:
            yield f"{what} figure {name}"
    for title in found["unnumberedExercises"]:
        yield f"an exercise without a number of this chapter: {title}"
    if found["truths"]:
        yield f"True or False is shown {len(found['truths'])} times"
    for title in found["withoutThreat"]:
        yield f"a box without the line {{.threat}}: {title}"
    if not found["threatModels"]:
        yield "no box with the threat model"
    questions = sum(question["inCheck"] for question in found["questions"])
    if not 3 <= questions <= 6:
        yield f"{questions} questions in the quick check, not 3 to 6"
    for question in found["questions"]:
        if question["right"] != 1 or question["wrong"] < 2:
            yield f"{question['right']} right and {question['wrong']} wrong answers: {question['asks']}"
    for answer in found["unexplained"]:
        yield f"an answer without a reason: {answer}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_is_in_form(browser, site, name):
    page = pages.opened(browser, (site / f"{name}.html").as_uri())
    found = list(problems(pages.look(page)))
    found += [f"not opened by Tab and Enter: {answer}" for answer in pages.unanswered(page)]
    page.context.close()
    if found:
        pytest.fail(f"{len(found)} in {name}:\n" + "\n".join(found), pytrace=False)


def test_the_book_has_six_toys(site):
    """Explorers of drawings: small numbers that a reader moves and checks by hand."""
    explorer = re.compile(r'<div class="leaky-explorer".*?</script>', re.DOTALL)
    pages = [(site / f"{name}.html").read_text(encoding="utf8") for name in CHAPTERS]
    toys = [toy for page in pages for toy in explorer.findall(page) if 'class="lx-drawing"' in toy]
    assert len(toys) >= 6


# The count itself, on a small page and on broken ones.

QUESTION = """<p>What?</p>
<details class="quiz no"><summary>Only the <a href="#a">label</a></summary>
  <p>No, <a href="#b">far</a> more comes back.</p></details>
<details class="quiz yes"><summary>A picture</summary><p>Yes, and this is why.</p></details>
<details class="quiz no"><summary>Nothing</summary><p>No, the picture comes back.</p></details>"""
LINES = "x = 1\n" * 15
CAPTION = """<figcaption>
  <span class="caption-number">Figure 1.1</span><span class="caption-text">It leaks.</span>
</figcaption>"""
SOUND = f"""<article class="bd-article" style="height: 4000px"><h1>A chapter</h1>
<div class="cell">
  <details><summary>Show the code</summary>
    <div class="cell_input"><div class="highlight-python"><pre>import torch</pre></div></div></details>
  <div class="cell_output"><figure id="fig-one">
    <div class="leaky-explorer" style="height: 90px">
      <figure><img src="x" alt="" width="80" height="80"></figure></div>
    {CAPTION}</figure></div></div>
<div class="threat-model admonition"><p class="admonition-title">Threat model</p></div>
<div class="cell">
  <div class="cell_input" style="height: 700px"><pre>{LINES}</pre></div>
  <div class="cell_output"><p>PSNR: 40 dB, above 30</p></div></div>
<div class="cell">
  <div class="cell_output"><figure id="fig-two">
    <img src="x" alt="A cat." width="80" height="80">
    {CAPTION}</figure></div></div>
<div class="verdict half admonition"><p class="admonition-title">Often said</p><p class="threat">Who</p></div>
<section id="quick-check">{QUESTION * 3}</section>{QUESTION}
<div class="exercise admonition">
  <p class="admonition-title"><span class="caption-number">Exercise 1.1</span></p></div>
</article>"""
BROKEN = {
    "much code": ("height: 700px", "height: 730px", "code takes 18."),
    "a long cell": ("x = 1", "x = 1\nx = 2", "16 lines"),
    "an import": ("x = 1", "  from os import sep", "a visible import: from os import sep"),
    "unfolded": ("<details>", "<details open>", "a visible import: import torch"),
    "a late figure": ("<h1>", "<h1 style='height: 900px'>", "the first figure begins at"),
    "no figure": (SOUND[SOUND.index("<figure id") : SOUND.index("<section")], "", "begins at None"),
    "no number": ("caption-number", "number", "unnumbered figure fig-one"),
    "no caption": ("It leaks.", "", "uncaptioned figure fig-one"),
    "no name": ('<figure id="fig-two">', "<figure>", "uncaptioned figure without a name, at"),
    "a drawing without": (
        '<img src="x" alt="A cat."',
        '<svg class="leaky-figure" role="img"',
        "undescribed figure",
    ),
    "no alternative": ("A cat.", "", "undescribed figure fig-two"),
    "another chapter's number": ("Exercise 1.1", "Exercise 1", "an exercise without a number"),
    "a truth": ("above 30", "above 30: True", "True or False is shown 1 times"),
    "no threat": ('class="threat"', "", "a box without the line {.threat}: Often said"),
    "no threat model": ("threat-model", "note", "no box with the threat model"),
    "no quick check": ('id="quick-check"', "", "0 questions"),
    "few questions": (QUESTION, "", "2 questions"),
    "two right": ("quiz no", "quiz yes", "2 right and 1 wrong answers: What?"),
    "none right": ("quiz yes", "quiz no", "0 right and 3 wrong answers: What?"),
    "no reason": ("Yes, and this is why.", "Yes.", "an answer without a reason: A picture"),
    "not opened": (
        "<details class",
        "<details onclick='return false' class",
        "by Tab and Enter: Only the label",
    ),
    "not reached": ("<summary>A pic", "<summary tabindex='-1'>A pic", "by Tab and Enter: A picture"),
}


@pytest.fixture(scope="module")
def said(browser):
    page = browser.new_page(viewport=pages.WIDE)

    def said(content):
        page.set_content(content, wait_until="domcontentloaded")
        return [*problems(pages.look(page)), *(f"by Tab and Enter: {a}" for a in pages.unanswered(page))]

    yield said
    page.close()


def test_a_page_in_form_passes(said):
    assert said(SOUND) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_page_out_of_form_is_caught(said, name):
    old, new, expected = BROKEN[name]
    assert old in SOUND
    assert expected in "\n".join(said(SOUND.replace(old, new, 1)))
