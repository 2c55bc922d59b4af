"""Every measured number that is typed in prose is bound to a result: see ``prose/__init__.py``."""

import json

import prose
import pytest

PAGES = {path.stem: path for path in prose.paths()}


@pytest.mark.parametrize("name", PAGES)
def test_measured_numbers_are_bound(name):
    page = prose.Page(PAGES[name])
    found = prose.problems(page, *prose.bindings(page))
    if found:
        pytest.fail(f"{len(found)} in {name}:\n" + "\n".join(found), pytrace=False)


def test_each_module_belongs_to_a_page():
    modules = {path.stem for path in prose.HERE.glob("*.py")} - {"__init__"}
    assert modules <= {prose.word(path) for path in PAGES.values()}


# The check itself, on small pages.

TEXT = """\
# A page

## One

Here L-BFGS ends at **43 dB** ({numref}`fig-99`), and Adam at 14.7 dB.
It reads $x = 97$ dB of math, `98 dB` of code, [a link](98%20dB.html) and 5×5 windows.

```python
print("99 dB")
```

{.meta}
45 minutes

:::{admonition} Often said: "It always reaches 96 dB."
:class: verdict fails
Four of eight pictures come back.
:::

## Two

At 30 dB and more it looks the same. The authors report 88 % in
{cite}`zhu2019deep`.
"""
PRINTED = "L-BFGS: 43.2 dB, above 30 (±10 across machines)\nAdam: 14.7 dB, below 30\n"
DERIVED, GIVEN = ["ends at **43 dB**", "four of eight pictures"], ["at 30 dB and more"]


def fake(folder, old="", new=""):
    """The page above as a notebook whose first section prints, with ``old`` written as ``new``."""
    assert old in TEXT
    one, two = TEXT.replace(old, new, 1).split("\n## Two")
    figure = {"caption": "The film.", "name": "fig-film"}
    cells = [
        {"cell_type": "markdown", "source": one, "metadata": {}},
        {
            "cell_type": "code",
            "source": "print(found)",
            "metadata": {"mystnb": {"figure": figure}},
            "outputs": [{"output_type": "stream", "name": "stdout", "text": PRINTED}],
        },
        {"cell_type": "markdown", "source": "## Two" + two, "metadata": {}},
    ]
    path = folder / "03_fake.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf8")
    return prose.Page(path)


def test_a_bound_page_passes(tmp_path):
    assert prose.problems(fake(tmp_path), DERIVED, GIVEN) == []


@pytest.mark.parametrize(
    "old, new, expected",
    [
        ("43 dB", "44 dB", ["44: ", "derived"]),
        ("43 dB", "143 dB", ["143: ", "derived"]),
        ("14.7 dB", "14.8 dB", ["14.8: "]),
        ("14.7 dB", "4.7 dB", ["4.7: "]),
        ("14.7 dB", "12 to 14.7 dB", ["12: "]),
        ("14.7 dB", "14.7\N{NO-BREAK SPACE}dB, 3.1× less", ["3.1: "]),
        ("Four of eight", "Five of eight", ["Five of eight: ", "derived"]),
        ("Four of eight", "4 of 8", ["4 of 8: ", "derived"]),
        ("$x = 97$ dB of math", "$97$ dB", ["97: "]),
        ("and 5×5 windows", "and a median of 0.97", ["0.97: "]),
        ("and 5×5 windows", "a PSNR of 104", ["104: "]),
        ("and 5×5 windows", "in 1,200 evaluations", ["1,200: "]),
        ("At 30 dB", "At 14.7 dB", ["14.7: ", "GIVEN"]),  # printed in another section
        ("{cite}`zhu2019deep`", "it", ["88: "]),
        ("45 minutes", "45 minutes\n\nIt takes 45 minutes.", ["45: "]),
        ("The authors", "| a | 71 % |\n\nThe authors", ["71: "]),
        ("Four", "# A claim of 3 s\n\nFour", ["3: "]),
    ],
)
def test_a_number_that_nothing_binds_is_found(tmp_path, old, new, expected):
    found = prose.problems(fake(tmp_path, old, new), DERIVED, GIVEN)
    assert len(found) == len(expected)
    assert all(map(str.startswith, found, expected))


def test_captions_are_prose(tmp_path):
    page = fake(tmp_path)
    cells = json.loads(page.path.read_text())["cells"]
    cells[1]["metadata"]["mystnb"]["figure"]["caption"] = "After 77 s the cat is there."
    page.path.write_text(json.dumps({"cells": cells}))
    assert prose.problems(prose.Page(page.path), DERIVED, GIVEN) == ["77: After 77 s the cat is there."]


def test_stale_bindings_are_found(tmp_path):
    found = prose.problems(fake(tmp_path), [*DERIVED, "and 51 dB"], [*GIVEN, "up to 9 %"])
    assert found == ["derived, but not in the text: and 51 dB", "GIVEN, but not in the text: up to 9 %"]


def test_a_chapter_hands_out_what_it_reports(tmp_path):
    page = fake(tmp_path)
    page.outputs += "spread: 2 to 3.5 dB, above 1\n"
    assert (page.report("L-BFGS"), page.report("spread")) == (43.2, (2, 3.5))
    for name, text in ("L-BFG", ""), ("spread", "spread: 3 dB, above 1\n"):
        page.outputs += text
        with pytest.raises(LookupError, match=f"fake reports '{name}' [02] times"):
            page.report(name)


def test_templates_take_numbers_as_they_come(tmp_path, monkeypatch):
    source = 'GIVEN = ["x"]\n\ndef sentences(chapter):\n    yield "{:.0f} to {:.1f} and {}", (1, [2]), "a"\n'
    (tmp_path / "fake.py").write_text(source)
    monkeypatch.setattr(prose, "HERE", tmp_path)
    assert prose.bindings(fake(tmp_path)) == (["1 to 2.0 and a"], ["x"])
