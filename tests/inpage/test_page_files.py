"""The page as one file: what it allows, what it holds, how large it is."""

import base64
import gzip
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from leaklib.widgets.inpage import LIVE, PAGE, WORKER, document, script

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
