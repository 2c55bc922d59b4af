"""The built website, as a browser meets it: every page, wide and narrow, light and dark.

The tests read `_build/html`, which `make book` writes, and drive the Chromium of the machine.
"""

import functools
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from leaky.palette import PALETTE
from pages import LISTED, READY, TOC

from leaklib.widgets.playground import STORED

# The front page stands at the root, and a second time where its source does.
PAGES = [f"{file}.html" for file in ("index", *LISTED, "search")]
WIDTHS = (1280, 1024, 768, 390, 360, 320)
BOTH = (1280, 390)  # of these, a desk and a phone


# What can be seen in the files


class Page(HTMLParser):
    """Ids, links, resources and pictures of one page, and whether its address sets the attack in it."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.resources, self.pictures, self.takes_settings = [], [], [], [], False
        self.feed(path.read_text(encoding="utf8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found.get("href"))
        if tag == "img":
            self.pictures.append(found)
        self.takes_settings |= "data-mirrored" in found
        if "src" in found or (tag == "link" and found.get("rel") in ("stylesheet", "icon")):
            self.resources.append(found.get("src") or found["href"])


@functools.cache
def parsed(path):
    return Page(path)


def leads_nowhere(path, link):
    """Why a link or resource of a page leads nowhere, or None where it leads somewhere."""
    if not link:
        return "no address"
    address = urlsplit(urljoin(path.as_uri(), link))
    if address.scheme in ("http", "https", "mailto", "data"):
        return None
    if address.scheme != "file":
        return "no address of a page"
    target = Path(unquote(address.path))
    if not target.is_file():
        return "no such file"
    if address.fragment.startswith("live:"):
        return None if parsed(target).takes_settings else "a page that takes no settings"
    if address.fragment and unquote(address.fragment) not in parsed(target).ids:
        return "no such place in the page"
    return None


def test_the_site_has_these_pages_and_no_other(site):
    found = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    found = {name for name in found if not name.startswith("_static/")}
    assert found == {*PAGES, f"{TOC['root']}.html", "live.html", "404.html"}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(site, name):
    path = site / name
    links = [*parsed(path).links, *parsed(path).resources]
    assert {link: why for link in links if (why := leads_nowhere(path, link))} == {}


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique(site, name):
    repeated = {name: count for name, count in Counter(parsed(site / name).ids).items() if count > 1}
    assert repeated == {}


@pytest.mark.parametrize("name", PAGES)
def test_pictures_have_alternative_text(site, name):
    for picture in parsed(site / name).pictures:
        if picture.get("role") in ("presentation", "none") or picture.get("aria-hidden") == "true":
            continue
        alt = (picture.get("alt") or "").strip()
        is_file_name = re.search(r"\.(png|jpe?g|svg|gif|webp)$|^[0-9a-f]{16,}|^\S+[/\\]\S+$", alt)
        assert alt and not is_file_name, f"alternative text {alt!r} of {picture.get('src', '')[:80]}"


# What a browser sees

# Boxes and answers are opened first, so that what they hold is looked at too. Of the words of programs, most
# of a page's elements, one of each color stays: the others look the same, and axe would take minutes.
OPEN_ALL = """() => {
  document.querySelectorAll("button.toggle-button-hidden").forEach(button => button.click());
  document.querySelectorAll("details").forEach(box => { box.open = true; });
  for (const picture of document.images) picture.loading = "eager";
  for (const section of document.querySelectorAll("section")) section.style.contentVisibility = "visible";
  const seen = new Set();
  for (const word of document.querySelectorAll(".highlight span[class]:not(:has(*))")) {
    if (seen.has(word.className)) word.replaceWith(word.textContent);
    seen.add(word.className);
  }
}"""
OVERFLOW = """() => {
  const seen = [], name = element => element.outerHTML.slice(0, 120);
  const measure = boxes => {
    for (const box of document.querySelectorAll(boxes))
      if (box.scrollWidth > box.clientWidth + 1 && box.clientWidth)
        seen.push(`${box.scrollWidth} wide in ${box.clientWidth}: ${name(box)}`);
  };
  measure("html, .bd-main, .bd-content");
  // A cell of full width is wider than its column on purpose: the page has room beside it, as was just seen.
  const full = [...document.querySelectorAll(".tag_full-width")];
  full.forEach(cell => { cell.style.display = "none"; });
  measure(".bd-article-container, .bd-article, .admonition");
  full.forEach(cell => { cell.style.display = ""; });
  return seen;
}"""
SHOWN = """async () => {
  const seen = [], name = element => element.outerHTML.slice(0, 120);
  for (const picture of document.images) {
    const width = await picture.decode().then(() => picture.naturalWidth, () => 0);
    if (!width) seen.push(`picture not shown: ${name(picture)}`);
    for (let element = picture; element; element = element.parentElement)
      if (getComputedStyle(element).filter !== "none") seen.push(`picture filtered: ${name(picture)}`);
  }
  for (const formula of document.querySelectorAll(".math"))
    if (!formula.querySelector("mjx-container")) seen.push(`formula not set: ${name(formula)}`);
  if (document.querySelector("script[type*='jupyter.widget']")) seen.push("a widget that needs a kernel");
  return seen;
}"""


@pytest.fixture
def visit(browser, address):
    """Opens a page; whatever goes wrong from then on is added to the list that comes back with it."""
    contexts = []

    def visit(name, scheme="light"):
        where = urljoin(f"{address}/", name)
        own = "file:///" if where.startswith("file:") else f"{address}/"
        context = browser.new_context(
            viewport={"width": WIDTHS[0], "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page, trouble = context.new_page(), []
        page.on("pageerror", lambda error: trouble.append(f"error in the page: {error}"))
        page.on(
            "console", lambda message: message.type == "error" and trouble.append(f"console: {message.text}")
        )
        page.on("requestfailed", lambda request: trouble.append(f"request failed: {request.url}"))
        # A file has no status; 304 says that what the browser kept is still right.
        fine = (0, 304)
        page.on("response", lambda it: it.ok or it.status in fine or trouble.append(f"{it.status}: {it.url}"))

        def stays_here(request):
            if not request.url.startswith((own, "data:", "blob:")):
                trouble.append(f"off-site request: {request.url}")

        page.on("request", stays_here)
        page.goto(where)
        page.evaluate(READY)
        return page, trouble

    yield visit
    for context in contexts:
        context.close()


# What these rules find hangs on colors, and so on the theme; all others are the same in both.
COLORS = ["color-contrast", "link-in-text-block"]
ALL_BUT_COLORS = {"rules": {rule: {"enabled": False} for rule in COLORS}}
SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

# Both rules take milliseconds for each text, and judge it by its look: kind, size and colors, and what lies
# behind it up to the page. So of each look that has not passed before, three texts are judged (one may be
# covered). A look passes, too, where axe never judges: in a drawing, on a gradient, a single letter.
JUDGE = r"""async ([passed, rules]) => {
  const FIELD = "input:not([type=range], [type=radio], [type=checkbox], [type=hidden]), select, textarea";
  const behind = new Map([[null, ""]]);
  const ground = element => {
    if (!behind.has(element)) {
      const style = getComputedStyle(element), layer = [];
      if (style.backgroundColor !== "rgba(0, 0, 0, 0)") layer.push(style.backgroundColor);
      for (const [name, usual] of [["backgroundImage", "none"], ["opacity", "1"], ["filter", "none"],
        ["mixBlendMode", "normal"], ["clipPath", "none"]]) if (style[name] !== usual) layer.push(style[name]);
      const {position} = style;
      if (!["static", "relative"].includes(position)) layer.push(`${position} ${element.className}`);
      behind.set(element, `${ground(element.parentElement)}${layer.length ? `>${layer.join()}` : ""}`);
    }
    return behind.get(element);
  };
  const textOf = element =>
    [...element.childNodes].map(node => node.nodeType === 3 ? node.data.trim() : "").join("");
  const look = (element, text) => {
    const style = getComputedStyle(element), {color, fontSize, fontWeight, textShadow} = style;
    const about = [color, fontSize, fontWeight, textShadow];
    about.push(text.length === 1, element.ownerSVGElement && "svg", element.matches(FIELD) && "field");
    if (element.matches("a[href], [role=link]")) {
      let block = element.parentElement;
      while (getComputedStyle(block).display === "inline") block = block.parentElement;
      const linked = [...block.querySelectorAll("a")].reduce((sum, link) => sum + link.textContent.length, 0);
      const {textDecoration, fontStyle, borderBottom} = style, around = getComputedStyle(block);
      about.push("link", textDecoration, fontStyle, borderBottom, block.textContent.trim().length > linked,
        around.color, around.fontWeight, around.fontStyle);
    }
    return `${about.join()} on${ground(element)}`;
  };
  const known = new Set(passed), looks = new Map(), include = [], taken = {};
  for (const element of document.body.querySelectorAll("*")) {
    const text = textOf(element);
    if (!/[\p{L}\p{N}]/u.test(text) && !element.matches(FIELD)) continue;
    if (!element.checkVisibility({visibilityProperty: true})) continue;
    if (element.closest("math, .skip-link")) continue;  // not to be seen, or not before Tab has been pressed
    const its = look(element, text);
    looks.set(element, its);
    taken[its] = (taken[its] ?? 0) + 1;
    if (!known.has(its) && taken[its] <= 3) include.push(element);
  }
  if (!include.length) return {passed: [], violations: []};
  const options = {runOnly: rules, resultTypes: ["passes", "incomplete", "violations"],
    elementRef: true, selectors: false, preload: false};
  const found = await axe.run({include}, options);
  const contrast = rules => rules.filter(rule => rule.id === "color-contrast").flatMap(rule => rule.nodes);
  const never = ({element, any}) => element.ownerSVGElement
    || ["bgGradient", "bgImage", "nonBmp", "shortTextContent"].includes(any[0].data.messageKey);
  const done = [...contrast(found.passes), ...contrast(found.incomplete).filter(never)];
  const fail = found.violations.flatMap(rule => rule.nodes.map(node => ({rule: rule.id, ...node})));
  const bad = new Set(fail.map(node => looks.get(node.element)));
  return {
    passed: [...new Set(done.map(node => looks.get(node.element)))].filter(its => its && !bad.has(its)),
    violations: fail.map(({rule, html, failureSummary}) => ({rule, html, failureSummary})),
  };
}"""
PASSED = set()  # looks, of all pages so far


def accessibility(page, options=(), within=None):
    """What axe finds, however small. No rule is excepted."""
    options = {"resultTypes": ["violations"], "preload": False, **dict(options)}
    for violation in Axe().run(page, within, options=options).response["violations"]:
        for node in violation["nodes"]:
            yield f"axe, {violation['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"


def colors(page):
    """What axe finds of the colors of texts whose look has not passed yet."""
    if not page.evaluate("window.axe"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate(JUDGE, [sorted(PASSED), COLORS])
    PASSED.update(found["passed"])
    for node in found["violations"]:
        yield f"axe, {node['rule']}: {node['html'][:160]} ({node['failureSummary'][:200]})"


def looked_at(page):
    """What is wrong with a page at each width, and in each theme: one visit, since loading takes longest."""
    page.evaluate(OPEN_ALL)
    page.evaluate(READY)
    yield from page.evaluate(SHOWN)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(SETTLED)
        yield from (f"at {width} px: {what}" for what in page.evaluate(OVERFLOW))
        if width in BOTH:
            yield from (f"at {width} px: {what}" for what in accessibility(page, ALL_BUT_COLORS))
            yield from (f"at {width} px: {what}" for what in colors(page))
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    for width in BOTH:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate(SETTLED)
        yield from (f"dark, at {width} px: {what}" for what in colors(page))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", PAGES)
def test_page_in_a_browser(visit, name):
    page, trouble = visit(name)
    found = list(looked_at(page))
    assert [*trouble, *found] == []


@pytest.mark.parametrize("rule", ["figcaption { color: #aaa", ".admonition { background: #777"])
def test_a_text_that_cannot_be_read_is_found_after_all_have_passed(visit, rule):
    page, _ = visit("chapters/03_dlg.html")
    assert list(colors(page)) == []
    page.add_style_tag(content=f"{rule} !important }}")
    assert any("color-contrast" in what for what in colors(page))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_a_file_without_an_error(visit, site, name):
    page, trouble = visit((site / name).as_uri())
    page.evaluate(OPEN_ALL)
    shown = page.evaluate(SHOWN)
    assert [*trouble, *shown] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_way_past_the_menus_can_be_read(visit, scheme):
    page, _ = visit(PAGES[0], scheme)
    page.keyboard.press("Tab")
    link = page.locator("a[href='#main-content']")
    assert link.evaluate("link => link === document.activeElement")
    page.wait_for_function("document.activeElement.getBoundingClientRect().top >= 0")
    assert list(accessibility(page, {"runOnly": COLORS}, ".skip-link")) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_has_the_palette_s_paper(visit, scheme):
    page, _ = visit(PAGES[0], scheme)
    red, green, blue = bytes.fromhex(PALETTE["ink"]["page"][scheme][1:])
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == f"rgb({red}, {green}, {blue})"


@pytest.mark.parametrize("name", ["index.html", f"{TOC['root']}.html"])
def test_the_front_page_is_there_at_once_under_both_names(visit, name):
    page, trouble = visit(name)
    assert page.url.endswith(f"/{name}")
    page.frame_locator(".leaky-live iframe").locator("button").first.wait_for(state="attached")
    page.evaluate(OPEN_ALL)
    for picture in page.locator(".cards img").all():  # they wait until a reader comes near
        picture.scroll_into_view_if_needed()
        picture.evaluate("picture => picture.decode()")
    page.locator(".cards .sd-card").first.click()
    page.wait_for_url(f"**/{PAGES[2]}")
    page.locator(".navbar-brand").click()
    page.wait_for_url("**/index.html")
    assert "chapters" not in page.url
    assert trouble == []


def test_search_finds_a_page(visit):
    page, trouble = visit("search.html?q=gradient")
    page.wait_for_selector("#search-results li a")
    assert trouble == []


def test_a_wide_table_is_moved_from_the_keyboard(visit):
    """The script marks what scrolls, and only that, as a stop of the Tab key."""
    page, _ = visit(PAGES[0])
    page.evaluate("""() => {
      const cell = `<td>${"wide".repeat(300)}</td>`;
      for (const [id, content] of [["wide", cell], ["narrow", "<td>1</td>"]])
        document.querySelector("article").insertAdjacentHTML("beforeend",
          `<div class="pst-scrollable-table-container" id="${id}"><table>${content}</table></div>`);
    }""")
    page.wait_for_function("document.getElementById('wide').tabIndex === 0")
    assert page.evaluate("document.getElementById('narrow').tabIndex") == -1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_citation_and_a_term_say_what_they_stand_for(visit):
    page, trouble = visit("chapters/01_not_private.html")
    for kind in ("a[data-tip][href*='bibliography']", "a.term"):
        link = page.locator(kind).first
        link.focus()
        tip = page.get_by_role("tooltip")
        assert tip.inner_text() == link.get_attribute("data-tip") and len(tip.inner_text()) > 30
        assert link.get_attribute("aria-describedby") == tip.get_attribute("id")
        page.keyboard.press("Escape")
        assert tip.is_hidden()
    assert trouble == []


def test_the_search_finds_exercises_and_no_solution(visit):
    """Words of the conclusion: the first stands in an exercise, the second in its solution alone."""
    for word, found in (("keyboard", True), ("scanner", False)):
        page, _ = visit(f"search.html?q={word}")
        page.wait_for_function(
            "/place|Nothing/.test(document.querySelector('#search-results p')?.textContent)"
        )
        links = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
        assert any("18_conclusion" in link for link in links) == found


def test_checks_are_lines_with_a_number_and_its_bound(site):
    text = (site / "chapters" / "03_dlg.html").read_text(encoding="utf8")
    number, bound = r"<b>[\d.]+ dB</b>", r'<span class="bound">above 50 \(±8\)</span>'
    assert re.search(rf'<span class="what">Recursive</span> {number} {bound}', text)
    assert "across machines" not in re.sub(r"<script.*?</script>|<pre.*?</pre>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", ["08_batch_size", "09_compression"])
def test_where_a_notebook_has_live_controls_the_website_says_what_they_need(site, name):
    text = (site / "chapters" / f"{name}.html").read_text(encoding="utf8")
    assert "so they need Python behind them: open" in text and STORED not in text
