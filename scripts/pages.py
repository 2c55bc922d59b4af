"""What a reader meets on each page of the built book: code, figures, boxes, questions, counted in a browser.

    make book && .venv/bin/python scripts/pages.py

prints a row for each numbered chapter. `tests/book/test_pages.py` holds these numbers to their bounds.
"""

import re
import shutil
import sys
from pathlib import Path

import yaml
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
LISTED = [page["file"] for part in TOC["parts"] for page in part["chapters"]]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# It finds no host but this one.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

READY = """async () => {
  await document.fonts.ready;
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
# What stands on the page as it is opened: nothing unfolded, no slider moved.
LOOK = r"""() => {
  const article = document.querySelector("article.bd-article");
  const all = (selector, root = article) => [...root.querySelectorAll(selector)];
  const height = element => element.getBoundingClientRect().height;
  const seen = element => element.checkVisibility({visibilityProperty: true}) && height(element) > 1;
  const short = element => element.textContent.trim().replace(/\s+/g, " ").slice(0, 70);
  const title = box => short(box.querySelector(".admonition-title") ?? box);
  const code = all(".cell_input, .highlight-python").filter(seen)
    .filter(block => !block.parentElement.closest(".cell_input"));
  const lines = block => block.querySelector("pre").textContent.trimEnd().split("\n");

  // Pictures, drawings, explorers and live figures, not what these consist of.
  const shown = "img, svg, div[class^='leaky-']";
  const inOutputs = all(".cell_output").flatMap(output => all(shown, output));
  const figures = [...new Set([...inOutputs, ...all("p > img, figure > img, .leaky-live")])]
    .filter(figure => !figure.parentElement.closest("div[class^='leaky-'], svg, button, summary"))
    .filter(figure => !figure.closest("mjx-container"))
    .filter(figure => seen(figure) && figure.getBoundingClientRect().width > 60);
  const name = figure => figure.closest("figure[id]")?.id
    ?? `without a name, at ${Math.round(figure.getBoundingClientRect().top + scrollY)} px`;
  const without = found => figures.filter(figure => !found(figure, figure.closest("figure[id]"))).map(name);
  const inCaption = (box, part) => box?.querySelector(`:scope > figcaption ${part}`)?.textContent.trim();
  const described = figure => figure.matches("div[class^='leaky-']")
    || (figure.getAttribute("alt") ?? figure.getAttribute("aria-label")
      ?? figure.closest("[aria-label]")?.getAttribute("aria-label") ?? "").trim() !== "";

  const answers = all("details.quiz");
  const isAnswer = element => element?.matches("details.quiz") ?? false;
  const questions = answers.filter(answer => !isAnswer(answer.previousElementSibling)).map(first => {
    const group = [first];
    while (isAnswer(group.at(-1).nextElementSibling)) group.push(group.at(-1).nextElementSibling);
    return {asks: short(first.previousElementSibling ?? first), inCheck: !!first.closest("#quick-check"),
      right: group.filter(answer => answer.matches(".yes")).length,
      wrong: group.filter(answer => answer.matches(".no")).length};
  });
  const words = element => element.textContent.trim().split(/\s+/).length;
  const boxes = all(".admonition.verdict, .admonition.takeaways");

  return {
    codeShare: code.map(height).reduce((sum, one) => sum + one, 0) / height(article),
    longestCell: Math.max(0, ...code.map(block => lines(block).length)),
    imports: code.flatMap(lines).filter(line => /^\s*(import|from)\s/.test(line)),
    firstFigure: figures.length
      ? Math.round(Math.min(...figures.map(figure => figure.getBoundingClientRect().top + scrollY))) : null,
    figures: figures.length,
    unnumbered: without((_, box) => inCaption(box, ".caption-number")),
    uncaptioned: without((_, box) => inCaption(box, ".caption-text")),
    undescribed: without(described),
    exercises: all(".exercise").length,
    unnumberedExercises: all(".exercise").filter(box => !/\d+\.\d+/.test(
      box.querySelector(".admonition-title .caption-number")?.textContent)).map(title),
    verdicts: boxes.length,
    withoutThreat: boxes.filter(box => !box.querySelector(".threat")).map(title),
    threatModels: all(".admonition.threat-model").length,
    truths: all(".cell_output").flatMap(output => output.innerText.match(/\b(True|False)\b/g) ?? []),
    questions,
    unexplained: answers.filter(answer => words(answer) - words(answer.firstElementChild) < 3).map(short),
    equations: all(".eqno").length,
    toys: all(".leaky-explorer").filter(box => box.querySelector(".lx-strip svg, .lx-drawing")).length,
  };
}"""
# Lines of visible code of which a phone shows only a part.
CUT = r"""() => [...document.querySelectorAll(".cell_input pre")]
  .filter(block => block.checkVisibility({visibilityProperty: true}))
  .filter(block => block.scrollWidth > block.clientWidth + 1)
  .map(block => Math.max(...block.textContent.split("\n").map(line => line.length)))"""
FOCUSED = """() => {
  const summary = document.activeElement;
  if (!summary.matches("details.quiz > summary")) return null;
  const box = summary.parentElement, text = [...box.children].filter(child => child !== summary);
  const shown = text.some(child => child.checkVisibility({visibilityProperty: true}) && child.clientHeight);
  return {place: [...document.querySelectorAll("details.quiz")].indexOf(box), open: box.open, shown};
}"""


def opened(browser: Browser, address: str) -> Page:
    """The page at 1280 pixels, all fonts in place."""
    page = browser.new_context(viewport=WIDE, color_scheme="light", reduced_motion="reduce").new_page()
    page.goto(address)
    page.evaluate(READY)
    return page


def look(page: Page) -> dict:
    """What `LOOK` counts."""
    return page.evaluate(LOOK)


def longest_cut(page: Page) -> int:
    """The longest line of visible code that a phone cuts, 0 for none. The page stays narrow."""
    page.set_viewport_size(PHONE)
    return max(page.evaluate(CUT), default=0)


def unanswered(page: Page) -> list[str]:
    """Answers of the quick check that Tab does not reach, or that Enter does not open with their reason."""
    answers = page.locator("details.quiz > summary")
    texts = [text.strip() for text in answers.all_inner_texts()]
    if not texts:
        return []
    # From where the section begins, by Tab alone.
    page.evaluate("""() => {
      const above = document.querySelector("details.quiz").parentElement;
      above.tabIndex = -1;
      above.focus();
    }""")
    opened = set()
    for _ in range(20 + 6 * len(texts)):
        page.keyboard.press("Tab")
        if (stop := page.evaluate(FOCUSED)) and not stop["open"]:
            page.keyboard.press("Enter")
            after = page.evaluate(FOCUSED)
            if after and after["open"] and after["shown"] and not stop["shown"]:
                opened.add(stop["place"])
        if len(opened) == len(texts):
            break
    return [text for place, text in enumerate(texts) if place not in opened]


# Of each chapter: a heading, what it means, and the number.
COLUMNS = [
    (
        "code",
        "visible code, in percent of the page's height",
        lambda found: f"{100 * found['codeShare']:.1f}",
    ),
    ("cell", "lines of the longest visible cell", lambda found: found["longestCell"]),
    ("import", "visible lines of imports", lambda found: len(found["imports"])),
    ("first", "pixels above the first figure", lambda found: found["firstFigure"]),
    ("figure", "figures and explorers", lambda found: found["figures"]),
    ("-no", "of these without a number", lambda found: len(found["unnumbered"])),
    ("-capt", "... without a caption", lambda found: len(found["uncaptioned"])),
    ("-alt", "... without a text for who cannot see them", lambda found: len(found["undescribed"])),
    ("truth", "True and False in outputs", lambda found: len(found["truths"])),
    ("box", "verdicts and takeaways", lambda found: found["verdicts"]),
    ("-model", "of these without a line on the threat model", lambda found: len(found["withoutThreat"])),
    ("exerc", "exercises", lambda found: found["exercises"]),
    ("-no", "of these without a number", lambda found: len(found["unnumberedExercises"])),
    ("quiz", "questions of the quick check", lambda found: sum(one["inCheck"] for one in found["questions"])),
    ("-why", "answers without a reason", lambda found: len(found["unexplained"])),
    ("eq", "numbered equations", lambda found: found["equations"]),
    ("toy", "explorers of drawings", lambda found: found["toys"]),
    ("cut", "the longest line of code that a phone cuts, or 0", lambda found: found["cutLine"]),
]


def main() -> None:
    words = sys.argv[1:]
    paths = [path for path in sorted((SITE / "chapters").glob("*.html")) if re.match(r"\d", path.name)]
    paths = [path for path in paths if not words or any(word in path.name for word in words)]
    print(f"{'':24}" + "".join(f"{name:>7}" for name, _, _ in COLUMNS))
    toys = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for path in paths:
            page = opened(browser, path.as_uri())
            found = {**look(page), "cutLine": longest_cut(page)}
            page.context.close()
            toys += found["toys"]
            print(f"{path.stem:24}" + "".join(f"{count(found)!s:>7}" for _, _, count in COLUMNS))
    print(f"{toys} toys. " + "; ".join(f"{name}: {meaning}" for name, meaning, _ in COLUMNS) + ".")


if __name__ == "__main__":
    main()
