"""Imports go one way only, read from the syntax trees: a line of code knows its room."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "leaklib"

# A module may import from rooms above its own; within a room only from its own folder.
ROOMS = [
    {"types"},
    {"rng"},
    {"client", "data", "models"},
    {"attacks", "mechanisms", "aggregation"},
    {"metrics"},
    {"experiment"},
    {"training"},
    {"sweep"},
    {"results"},
    {"plots", "widgets"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            rooms.add("a relative import")
        names = (
            [node.module or ""] if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else []
        )  # fmt: skip
        rooms |= {name.split(".")[1] for name in names if name.startswith("leaklib.")}
    return rooms


def violations(room: str, source: str) -> list[str]:
    return sorted(
        other for other in imported_rooms(source) if other != room and LEVEL.get(other, 99) >= LEVEL[room]
    )


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"{room} has no place in the import order of this test"
    assert violations(room, path.read_text()) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_draws_from_python_s_global_random_state(path: Path) -> None:
    imports = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert "random" not in {getattr(node, "module", None) or node.names[0].name for node in imports}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_packages_import_nothing_but_their_own_modules(path: Path) -> None:
    assert imported_rooms(path.read_text()) <= {room_of(path)}


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("types", "from leaklib.rng import generator", ["rng"]),
        ("attacks", "from leaklib.mechanisms.identity import Identity", ["mechanisms"]),
        ("attacks", "import leaklib.metrics", ["metrics"]),
        ("client", "from .types import Batch", ["a relative import"]),
        ("metrics", "from leaklib.types import Batch", []),
    ],
)
def test_the_check_itself_catches(room: str, line: str, found: list[str]) -> None:
    assert violations(room, line) == found
