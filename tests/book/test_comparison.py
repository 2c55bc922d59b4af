"""A comparison as a reader meets it: sorted by mouse and keyboard, on a phone, by ear, on paper."""

import json
import re
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from leaklib.rng import generator
from leaklib.widgets import Axis, Column, Pictures, Position, Spread, compare, explore

ROOT = Path(__file__).parents[2]
INK = json.loads((ROOT / "leaklib" / "palette.json").read_text())["ink"]
NAMES = ["none", "8-bit numbers", "secure aggregation", "local noise", "enclave (stand-in)", "central noise"]
PSNR = [Spread(41.5, 30, 50.25), 40, Spread(9, 7.5, 12), None, -2.5, float("inf")]
COLUMNS = [
    Column("protection"),
    Column("reconstruction"),
    Column("PSNR", "dB"),
    Column("guarantee"),
    Column("upload", "kB"),
]


def picture(stream, count=1, size=16):
    return torch.rand(count, 3, size, size, generator=generator(0, stream))


def rows():
    for i, (name, psnr) in enumerate(zip(NAMES, PSNR, strict=True)):
        words = f"{name}: the server learns the sum over all clients and nothing besides, if {i} stay apart."
        yield name, Pictures("guess", picture(name, 1 + i % 2)), psnr, words, 100 if i < 4 else 1_000_000 * i


def table(**changes):
    arguments = {"columns": COLUMNS, "rows": list(rows()), "caption": "What protects"} | changes
    return compare(arguments["columns"], arguments["rows"], caption=arguments["caption"])


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a page with an explorer and two tables, the network off; what goes wrong fails the test."""
    contexts, trouble = [], []
    html = explore([Position((1,), (), "One.")], [Axis("axis", (1, 2))], title="Explorer").html + table().html
    (tmp_path / "page.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf8"><title>Tables</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<body><main><h1>Tables</h1>{html}{table(caption='Another').html}</main></body></html>",
        encoding="utf8",
    )

    def visit(*, width=1280, scheme="light", script=True, other=None):
        if other is not None:
            (tmp_path / "page.html").write_text(f"<!doctype html><meta charset='utf8'>{other.html}", "utf8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
        )
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.on("pageerror", lambda error: trouble.append(f"error in the page: {error}"))
        page.on(
            "request",
            lambda request: request.url.startswith(("file:", "data:")) or trouble.append(request.url),
        )
        page.goto((tmp_path / "page.html").as_uri())
        return page, page.locator(".leaky-comparison").first

    yield visit
    for context in contexts:
        context.close()
    assert trouble == []


def order(box):
    return box.locator("tbody th").all_inner_texts()


def sorts(box):
    return box.locator("[aria-sort]").evaluate_all(
        "all => all.map(head => [head.innerText, head.ariaSort ?? head.getAttribute('aria-sort')])"
    )


RISING = [
    "enclave (stand-in)",
    "secure aggregation",
    "8-bit numbers",
    "none",
    "central noise",
    "local noise",
]
FALLING = [*RISING[:5][::-1], "local noise"]


def test_a_click_sorts_by_numbers_and_what_was_not_measured_stays_last(visit):
    page, box = visit()
    assert order(box) == NAMES and sorts(box) == []
    head = box.get_by_role("button", name="PSNR")
    head.click()
    assert order(box) == RISING and sorts(box) == [["PSNR", "ascending"]]
    assert box.locator("[aria-live]").text_content() == "Sorted: PSNR, low to high"
    head.click()
    assert order(box) == FALLING and sorts(box) == [["PSNR", "descending"]]
    other = page.locator(".leaky-comparison").nth(1)
    assert order(other) == NAMES, "two tables on a page do not meet"


def test_equal_rows_stay_as_they_are_listed(visit):
    _, box = visit()
    box.get_by_role("button", name="upload").click()
    assert order(box) == NAMES
    box.get_by_role("button", name="upload").click()
    assert order(box) == [NAMES[5], NAMES[4], *NAMES[:4]]


def test_the_keyboard_sorts_and_keeps_its_place(visit):
    page, box = visit()
    box.get_by_role("combobox").focus()
    page.keyboard.press("Tab")  # the region that scrolls
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert order(box) == sorted(NAMES, key=str.lower) and sorts(box) == [["protection", "ascending"]]
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert order(box) == RISING
    assert page.evaluate("document.activeElement.innerText") == "PSNR", "the focus has not moved"


@pytest.mark.parametrize("width", [1280, 380])
def test_a_choice_sorts_and_takes_it_back(visit, width):
    _, box = visit(width=width)
    choice = box.get_by_role("combobox", name="Order")
    assert choice.locator("option").all_inner_texts() == [
        "as listed",
        "protection, A to Z", "protection, Z to A",
        "PSNR, low to high", "PSNR, high to low",
        "upload, low to high", "upload, high to low",
    ]  # fmt: skip
    choice.select_option("PSNR, high to low")
    assert order(box) == FALLING
    choice.select_option("as listed")
    assert order(box) == NAMES and sorts(box) == []


@pytest.mark.parametrize("width", [700, 320])
def test_where_columns_have_no_room_a_row_unfolds(visit, width):
    page, box = visit(width=width)
    heads, cells = box.locator("thead th:visible"), box.locator("tbody tr").nth(2).locator("td:visible")
    assert heads.all_inner_texts() == ["PSNR", "upload"] and cells.count() == 3, "a picture and two numbers"
    closed, row = box.bounding_box(), box.locator("tbody tr").nth(2)
    assert closed["height"] < 75 * len(NAMES) + 200
    assert row.locator("img").first.bounding_box()["x"] > closed["x"]
    button = row.get_by_role("button", name="All about secure aggregation")
    assert button.get_attribute("aria-expanded") == "false"
    row.click(position={"x": 90, "y": 40})
    assert button.get_attribute("aria-expanded") == "true" and cells.count() == 4
    assert row.get_by_text("the server learns the sum").is_visible()
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "false" and cells.count() == 3
    page.keyboard.press("Shift+Tab")
    assert "8-bit numbers" in page.evaluate("document.activeElement.ariaLabel"), "no stop between two rows"
    page.set_viewport_size({"width": 1280, "height": 900})
    assert not button.is_visible() and cells.count() == 4


def test_a_folded_row_shows_what_it_is_sorted_by(visit):
    columns = [Column(name) for name in ("name", "a", "b", "c", "d")]
    _, box = visit(width=380, other=compare(columns, [("x", 1, 2, 3, 4), ("y", 2, 1, 4, 3)], caption="Four"))
    heads, shown = box.locator("thead th:visible"), box.locator("tbody tr").first.locator("td:visible")
    assert heads.all_inner_texts() == ["a", "b", "c"] and shown.all_inner_texts() == ["1", "2", "3"]
    box.get_by_role("combobox").select_option("d, low to high")
    assert heads.all_inner_texts() == ["a", "b", "d"] and shown.all_inner_texts() == ["2", "1", "3"]
    box.get_by_role("combobox").select_option("as listed")
    assert heads.all_inner_texts() == ["a", "b", "c"]


@pytest.mark.parametrize("width", [700, 380])
def test_where_columns_have_no_room_a_row_is_a_card_with_their_names(visit, width):
    _, box = visit(width=width, script=False)
    assert not box.locator("thead").is_visible()
    cell = box.locator("tbody tr").first.locator("td").nth(1)
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"PSNR"'
    card, around = box.locator("tbody tr").first, box.bounding_box()
    for place in (part.bounding_box() for part in card.locator("th, td").all()):
        assert around["x"] < place["x"] and place["x"] + place["width"] < around["x"] + around["width"]
    name, words = (card.locator(part).bounding_box() for part in ("th", "td.lx-text"))
    assert name["width"] == words["width"] > 0.8 * around["width"]


@pytest.mark.parametrize(
    ("width", "theme", "script"),
    [
        (1280, "light", True),
        (1280, "dark", True),
        (700, "light", True),
        (380, "light", True),
        (380, "dark", True),
        (700, "dark", False),
        (380, "light", False),
    ],
)
def test_everyone_can_read_it(visit, width, theme, script):
    page, box = visit(width=width, scheme=theme, script=script)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if script and width < 800:
        assert box.locator("img:visible").count() == len(NAMES), "one of each row"
        for button in box.get_by_role("button", name="All about").all():
            button.click()
    assert box.locator("img:visible").count() == 9
    # The explorer's style does not reach the table.
    title, scroll = (box.locator(part).bounding_box() for part in (".lx-title", ".lx-scroll"))
    assert scroll["x"] == title["x"] and scroll["width"] >= box.bounding_box()["width"] - 41
    background = box.evaluate("box => getComputedStyle(box).backgroundColor")
    assert background == "rgb({}, {}, {})".format(*bytes.fromhex(INK["surface"][theme][1:]))
    if script:  # axe is one
        box.get_by_role("combobox").select_option("PSNR, low to high")
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:120]) for v in found] == []


def test_a_screen_reader_finds_a_table(visit):
    for width in (1280, 380):
        _, box = visit(width=width)
        assert box.get_by_role("table", name="What protects").count() == 1
        assert box.get_by_role("rowheader").all_inner_texts() == NAMES
        heads = len(COLUMNS) if width == 1280 else 2
        assert box.get_by_role("columnheader").count() == heads


def test_on_paper_it_is_the_table_in_light(visit):
    page, box = visit(scheme="dark")
    page.emulate_media(media="print")
    assert not box.get_by_role("combobox").is_visible() and box.locator("thead").is_visible()
    background = box.evaluate("box => getComputedStyle(box).backgroundColor")
    assert background == "rgb({}, {}, {})".format(*bytes.fromhex(INK["surface"]["light"][1:]))


# What it is made of


def test_the_same_cells_give_the_same_bytes() -> None:
    assert table().html == table()._repr_html_() and repr(table()) == "Comparison('What protects')"
    assert table().html != table(caption="Other").html


def test_cells_say_what_they_hold() -> None:
    html = table().html
    assert "<span>41.5 dB <small>30 to 50.2</small></span>" in html and 'data-value="-2.5"' in html
    assert "<i>not measured</i>" in html and 'data-value="Infinity"' in html and "<span>∞ dB</span>" in html
    assert 'alt="guess, none"' in html and 'alt="guess 2, 8-bit numbers"' in html
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|import\(|\w+://|\b(href|id|onload)=", html)


def test_text_stays_text() -> None:
    evil = "</script><img src=x onerror=alert(1)> & \"quoted\" 'too'"
    html = compare([Column(evil), Column(evil, evil)], [(evil, 1)], caption=evil).html
    assert "<img" not in html and html.count("</script>") == 2 and "onerror=alert(1)&gt;" in html


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: table(rows=[]), "got 5 and 0"),
        (lambda: table(columns=COLUMNS[:1], rows=[("a",)]), "got 1 and 1"),
        (lambda: table(rows=[("a", None)]), "a name and 4 more cells"),
        (lambda: table(rows=[(1, None, None, None, None)]), "a name and 4 more cells"),
        (lambda: table(rows=[("a", None, None, None, None)] * 2), "each row's name once"),
        (lambda: compare(COLUMNS[:2], [("a", 1), ("b", "x")], caption=""), "mixes number and text"),
        (lambda: Spread(1, 2, 3), "low ≤ value ≤ high, got 2, 1, 3"),
        (lambda: Spread(float("nan"), 2, 3), "low ≤ value ≤ high"),
        (
            lambda: compare(COLUMNS[:2], [("a", Pictures("x", picture("large", 9, 256)))], caption=""),
            r"a comparison may have 1\.5 MB, this one has .* show smaller or fewer",
        ),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(make, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
