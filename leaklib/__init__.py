"""Gradient leakage in federated learning: client steps, attacks and scores, one idea a file.

Everything that a reader starts from can be imported from here, ``from leaklib import DLG, Update``. A name is
loaded when it is first asked for, so that ``import leaklib`` is free and one part never pays for the others.
The names stand in ``__init__.pyi``, where type checkers look for them too.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    alias.name: node.module
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf8")).body
    if isinstance(node, ast.ImportFrom) and node.module
    for alias in node.names
}
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leaklib' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    return globals().setdefault(name, found)  # identifiability: the package stands there already


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
