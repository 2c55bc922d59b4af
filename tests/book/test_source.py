"""The page that maps the textbook section: everything in it has a verdict and a place in the book."""

import json
import re
from pathlib import Path

import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"
TEXT = (CHAPTERS / "source_map.md").read_text(encoding="utf8")
# The section's paragraphs, lists, boxes, table rows, figure and question, part by part.
PARTS = {
    "The privacy concern": 8,
    "Definition: gradient inversion attack": 6,
    "Theorem: inversion is feasible for small batches": 8,
    "Sketch of the attack": 5,
    "Example: one CIFAR-10 picture from one gradient": 5,
    "Figure: quality against batch size": 3,
    "Compression does not block inversion": 6,
    "The table of mechanisms": 6,
    "Privacy in production": 9,
    "Historical note": 6,
    "Why this matters": 2,
    "Key takeaway and common mistake": 3,
    "Quick check": 2,
}
VERDICTS = {"✓ holds", "✗ does not hold", "◑ half true", "–"}
ROWS = [
    (part, *(cell.strip() for cell in row.strip("| ").split(" | ")))
    for part, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    for row in body.strip().splitlines()[2:]
]


def headings(chapter: str) -> set[str]:
    cells = json.loads((CHAPTERS / chapter).read_text(encoding="utf8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return {line.strip() for line in re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE)}


def test_no_part_of_the_section_is_missing() -> None:
    found = [row[0] for row in ROWS]
    assert {part: found.count(part) for part in dict.fromkeys(found)} == PARTS
    assert len({row[1] for row in ROWS}) == len(ROWS), "a claim stands twice"


@pytest.mark.parametrize("part", PARTS)
def test_every_claim_has_a_verdict_and_a_place(part: str) -> None:
    for _, claim, verdict, places in (row for row in ROWS if row[0] == part):
        links = re.findall(r"\[([^]]+)\]\((\w+\.ipynb)#([^)]+)\)", places)
        assert verdict in VERDICTS and links, (
            f"{claim}: expected a verdict and a link, got {verdict}, {places}"
        )
        for heading, chapter, _ in links:
            assert heading in headings(chapter), f"{claim}: {chapter} has no section {heading!r}"
