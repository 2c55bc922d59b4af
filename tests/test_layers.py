"""Imports go one way only, and a file at a role's root is a member of it: read from the syntax trees."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "leaklib"

# A module may import from rooms above its own; within a room only from its own folder.
ROOMS = [
    {"named"},
    {"types"},
    {"rng", "fields"},
    {"client", "data", "metrics", "accounting", "report"},
    {"models", "mechanisms", "aggregation"},
    {"attacks"},
    {"identifiability"},
    {"experiment"},
    {"training"},
    {"sweep"},
    {"results"},
    {"drawing"},
    {"plots", "widgets"},
    {"challenge"},
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


# What makes a class a member: a frozen dataclass with this method. The base of all attacks calls theirs.
METHOD = {"attacks": "reconstruct", "mechanisms": "__call__", "aggregation": "__call__", "models": "build"}


def public_members(source: str, method: str) -> list[str]:
    """The names of the public frozen dataclasses in ``source`` that have ``method``."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        and any("frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list)
        and method in {child.name for child in node.body if isinstance(child, ast.FunctionDef)}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.parent.name in METHOD and path.parent.parent == PACKAGE],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_a_file_at_a_role_s_root_defines_a_member_of_the_role(path: Path) -> None:
    """What members share lies in a folder below."""
    assert public_members(path.read_text(), METHOD[path.parent.name])


@pytest.mark.parametrize("role", METHOD)
def test_members_of_a_role_lie_at_its_root(role: str) -> None:
    below = [path for path in MODULES if path.is_relative_to(PACKAGE / role) and path.parent.name != role]
    assert below, "the role shares nothing"
    assert [path for path in below if public_members(path.read_text(), METHOD[role])] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@dataclass(frozen=True)\nclass A:\n    def __call__(self): ...", ["A"]),
        ("@dataclass\nclass A:\n    def __call__(self): ...", []),
        ("@dataclass(frozen=True)\nclass _A:\n    def __call__(self): ...", []),
        ("@dataclass(frozen=True)\nclass A:\n    def run(self): ...", []),
        ("def a(): ...", []),
    ],
)
def test_what_counts_as_a_member(source: str, found: list[str]) -> None:
    assert public_members(source, "__call__") == found


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        ("types", "from leaklib.rng import generator", ["rng"]),
        ("mechanisms", "from leaklib.attacks.dlg import DLG", ["attacks"]),
        ("client", "import leaklib.metrics", ["metrics"]),
        ("attacks", "from leaklib.identifiability.counting import Bound", ["identifiability"]),
        ("client", "from .types import Batch", ["a relative import"]),
        ("metrics", "from leaklib.types import Batch", []),
    ],
)
def test_the_check_itself_catches(room: str, line: str, found: list[str]) -> None:
    assert violations(room, line) == found
