"""The page as one file: what it allows, what it holds, how large it is; and the sentences that it says."""

import base64
import gzip
import json
import re
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from leaklib import match_batch, psnr
from leaklib.widgets.inpage import PAGE, WORKER, document, script

LIVE = Path(__file__).parents[2] / "leaklib" / "widgets" / "live"
LIMIT = 200_000  # bytes that travel
MODULES = sorted(path.stem for path in LIVE.glob("*.js") if path.stem != "types")
DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|class|const|let|var)\s+(\w+|\{[^}]*\}|\[[^\]]*\])", re.M
)


class Outline(HTMLParser):
    """All tags with their attributes, and what stands in each style and script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside = ""
        self.content: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in self.content:
            self.content[self.inside].append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page():
    return Outline(document())


def declared(module: str) -> list[str]:
    """Top-level names of a module: what stands at the start of a line."""
    names = DECLARED.findall((LIVE / f"{module}.js").read_text(encoding="utf8"))
    return [name for text in names for name in re.findall(r"\w+", re.sub(r"\w+:", "", text))]


def test_the_policy_allows_this_script_and_this_style_and_no_connection(page):
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        assert len(page.all(tag)) == 1
        digest = base64.b64encode(sha256("".join(page.content[tag]).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[rule].split()
    for rule in ("default-src", "connect-src", "form-action", "base-uri"):
        assert rules[rule] == "'none'"
    assert "unsafe-inline" not in policy
    assert "http" not in policy


def test_nothing_is_fetched_and_nothing_needs_an_inline_style(page):
    for tag, attributes in page.tags:
        assert "style" not in attributes, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "src" not in attributes, (tag, attributes)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert "url(" not in "".join(page.content["style"])
    assert "@import" not in "".join(page.content["style"])


def test_one_way_in_for_files(page):
    assert len([field for field in page.all("input") if field.get("type") == "file"]) == 1


def test_scripts_and_tests_can_follow_it(page):
    (root,) = page.all("html")
    assert {"data-state", "data-psnr", "data-evaluations", "data-label"} <= set(root)


def test_every_control_has_a_name(page):
    """A label around it, one that names its id, or a text of its own."""
    html = (LIVE / "live.html").read_text(encoding="utf8")
    named = {label["for"] for label in page.all("label") if "for" in label}
    for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", html):
        identity = re.search(r'id="([^"]*)"', field)
        before = html[: html.index(field)]
        inside = before.rfind("<label") > before.rfind("</label>")
        assert inside or (identity and identity[1] in named), field


def test_ids_are_unique_and_what_the_script_asks_for_is_there(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    asked = set(re.findall(r'byId\("([\w-]+)"\)', "".join(page.content["script"])))
    assert asked
    assert asked <= set(ids)


def test_no_two_modules_declare_the_same_name():
    owners: dict[str, list[str]] = {}
    for module in MODULES:
        for name in set(declared(module)):
            owners.setdefault(name, []).append(module)
    assert {name: modules for name, modules in owners.items() if len(modules) > 1} == {}
    assert {"document", "window"}.isdisjoint(owners)


@pytest.mark.parametrize("modules", [WORKER, PAGE], ids=["worker", "page"])
def test_a_module_stands_after_those_it_imports_from(modules):
    for i, module in enumerate(modules):
        imported = re.findall(r'^import .* from "\./(\w+)\.js";$', (LIVE / f"{module}.js").read_text(), re.M)
        assert set(imported) <= set(modules[:i]), module
        assert "import" not in {line.split(" ")[0] for line in script((module,)).splitlines()}


@pytest.mark.parametrize("modules", [WORKER, PAGE], ids=["worker", "page"])
def test_the_joined_modules_are_a_script(deno, modules):
    deno("new Function(text)", text=script(modules))
    with pytest.raises(RuntimeError, match="SyntaxError"):
        deno("new Function(text)", text=script((*modules, modules[0])))


def test_the_same_package_gives_the_same_bytes():
    assert document() == document.__wrapped__()


def test_it_is_small():
    assert len(gzip.compress(document().encode(), mtime=0)) <= LIMIT


def test_data_cannot_end_the_script(page):
    (code,) = page.content["script"]
    data = json.loads(code.split("\n", 1)[0].removeprefix("globalThis.CONSTANTS = ").removesuffix(";"))
    assert set(data["seeds"]) == {"init", "LeNet", "attack", "mechanism"}
    assert all(0 <= seed < 2**32 for seeds in data["seeds"].values() for seed in seeds)
    assert data["labels"] == {"cat": 3, "astronaut": 0, "coffee": 4, "rocket": 5, "galaxies": 7}
    assert data["worker"] == script(WORKER)


def test_psnr_of_the_page_is_that_of_leaklib(deno):
    generator = torch.Generator().manual_seed(0)
    originals = torch.rand(2, 3, 32, 32, generator=generator, dtype=torch.float64)
    guesses = (originals.flip(0) + 0.05 * torch.randn(originals.shape, generator=generator)).clamp(0, 1)
    code = "return canvas.scoreGuesses(guesses, [first, second])"
    answer = deno(
        code, guesses=guesses.flatten(), first=originals[0].flatten(), second=originals[1].flatten()
    )
    order = match_batch(guesses, originals)
    assert answer["order"] == order.tolist() == [1, 0]
    np.testing.assert_allclose(answer["scores"], psnr(guesses[order], originals), rtol=1e-9)


def test_every_number_of_the_gradient_has_a_pixel_of_its_own(deno):
    code = """
      const shape = network.layout(9), counts = [];
      for (const layer of [0, 1, 2, 3]) {
        const {width, height, weights, bias} = canvas.arrangement(shape, layer);
        const pixels = Array.from({length: shape.sizes[2 * layer]}, (_, i) => weights(i));
        pixels.push(...Array.from({length: shape.sizes[2 * layer + 1]}, (_, i) => bias(i)).flat());
        counts.push([new Set(pixels).size === pixels.length, Math.min(...pixels) >= 0,
                     Math.max(...pixels) < width * height]);
      }
      return counts"""
    assert deno(code) == [[True, True, True]] * 4


def standing(**changes):
    usual = {"method": "matching", "scores": [31.2], "evaluations": 143, "seconds": 0.21, "lowest": 2e-9}
    return {**usual, "restart": 0, "reason": "", "clear": {"evaluations": 130, "seconds": 0.2}, **changes}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "31 dB after 143 evaluations and 0.2 s."),
        ({"evaluations": 1}, "31 dB after 1 evaluation and 0.2 s."),
        ({"scores": [62.0]}, "30 dB after 130 evaluations and 0.2 s, 62 dB after 143 evaluations and 0.2 s."),
        ({"scores": [31.2, 24.9], "clear": None}, "31 and 25 dB after 143 evaluations and 0.2 s."),
        ({"scores": [], "clear": None}, "A loss of 2.0 · 10⁻⁹ after 143 evaluations and 0.2 s."),
        ({"reason": "stopped"}, "Stopped at 31 dB after 143 evaluations and 0.2 s."),
    ],
)
def test_how_far_it_is(deno, changes, sentence):
    assert deno("return words.standingSentence(at, false)", at=standing(**changes)) == sentence


def test_in_a_race_both_are_named_and_only_the_clock_counts(deno):
    at = standing(method="closed", scores=[103.4])
    expected = "Closed form: 30 dB after 0.2 s, 103 dB after 0.2 s."
    assert deno("return words.standingSentence(at, true)", at=at) == expected


@pytest.mark.parametrize(
    ("value", "plain", "science"),
    [
        (0, "0", "0"),
        (7, "7", "7"),
        (999, "999", "1000"),
        (15826, "15,826", "1.6 · 10⁴"),
        (1234567.891, "1,234,567.89", "1.2 · 10⁶"),
        (0.3, "0.3", "0.3"),
        (1e-6, "0", "10⁻⁶"),
        (2.04e-9, "0", "2.0 · 10⁻⁹"),
    ],
)
def test_numbers(deno, value, plain, science):
    assert deno("return [words.plainNumber(value), words.scienceText(value)]", value=value) == [
        plain,
        science,
    ]


@pytest.mark.parametrize(
    ("labels", "truth", "by_signs", "sentence"),
    [
        ([3], [3], True, "Label 3, read off the signs: right."),
        ([3], [5], False, "Label 3, inferred from the last layer: wrong, it is 5."),
        ([0, 3], [3, 0], True, "Labels 0 and 3, read off the signs: right."),
        ([0, 3], None, True, "Labels 0 and 3, read off the signs."),
    ],
)
def test_labels(deno, labels, truth, by_signs, sentence):
    answer = deno(
        "return words.labelSentence(labels, truth, signs)", labels=labels, truth=truth, signs=by_signs
    )
    assert answer == sentence


def test_signs_tell_only_where_no_other_bias_is_negative(deno):
    code = """
      const shape = network.layout(12), sent = new Float64Array(shape.total).fill(1), update = {sent};
      for (const k of negative) sent[shape.offsets[7] + k] = -1;
      return words.signsTell(labels, update, shape)"""
    assert deno(code, negative=[3], labels=[3]) is True
    assert deno(code, negative=[3, 5], labels=[5, 3]) is True
    assert deno(code, negative=[3, 5], labels=[3]) is False
    assert deno(code, negative=[5], labels=[3]) is False


def test_the_forecast_says_what_counting_says(deno):
    say = "return words.forecastSentence(counting.forecast(channels, 1))"
    assert "cannot be determined" in deno(say, channels=8)
    assert "cannot be determined" in deno(say, channels=9)
    assert "does not forbid it" in deno(say, channels=10)


@pytest.mark.parametrize(
    ("end", "last"), [(50, 50), (97, 100), (101, 150), (1293, 1500), (0.5, 0.5), (6.1, 8)]
)
def test_ticks_are_few_and_reach_the_end(deno, end, last):
    ticks = deno("return curves.roundTicks(end)", end=end)
    assert ticks[0] == 0
    assert ticks[-1] == last >= end
    assert len(ticks) <= 6
    np.testing.assert_allclose(np.diff(ticks), ticks[1])


def test_a_long_curve_keeps_its_shape(deno):
    code = """
      const points = [];
      for (let i = 0; i < 5000; i++) curves.addPoint(points, i, i % 7 === 0 ? NaN : i);
      return points"""
    points = deno(code)
    assert 150 <= len(points) <= 400
    assert all(x == y for x, y in points)
    assert points[-1][0] == 4999
    assert [x for x, _ in points] == sorted({x for x, _ in points})
