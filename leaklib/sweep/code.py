"""What names an experiment, and what names the code behind it.

Chapters: 7, 8.
"""

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from leaklib.experiment import Experiment


def key(experiment: Experiment) -> str:
    """A name for ``experiment`` that a new field with a default leaves as it is."""
    text = json.dumps(_chosen(experiment), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _chosen(obj: Any) -> Any:
    """What was chosen: the fields that differ from their defaults. The code decides what the others are."""
    if is_dataclass(obj) and not isinstance(obj, type):
        chosen = {f.name: value for f in fields(obj) if (value := getattr(obj, f.name)) != _default(f)}
        return {"is": _name(type(obj)), **{name: _chosen(value) for name, value in chosen.items()}}
    if isinstance(obj, tuple | list):
        return [_chosen(item) for item in obj]
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if callable(obj) and "<lambda>" not in getattr(obj, "__qualname__", "<lambda>"):
        return _name(obj)
    raise TypeError(
        f"cannot name a {type(obj).__name__}: expected a dataclass, number, string or named function"
    )


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _name(obj: Any) -> str:
    return f"{obj.__module__}.{obj.__qualname__}"


def fingerprint(experiment: Experiment) -> str:
    """What names the code that decides ``experiment``: the modules of leaklib that it reaches."""
    modules = sorted(_reached(frozenset({"leaklib.experiment", *_modules(experiment)})))
    text = "\n".join(f"{module}\n{_code(module)}" for module in modules)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _modules(obj: Any) -> Iterator[str]:
    """The modules of leaklib in which an experiment's parts are defined."""
    if is_dataclass(obj) and not isinstance(obj, type):
        for field in fields(obj):
            yield from _modules(getattr(obj, field.name))
        obj = type(obj)
    elif isinstance(obj, tuple | list):
        for item in obj:
            yield from _modules(item)
    if getattr(obj, "__module__", "").startswith("leaklib."):
        yield obj.__module__


@lru_cache
def _reached(modules: frozenset[str]) -> frozenset[str]:
    """``modules`` and all of leaklib that they import, directly or through others."""
    found, todo = set[str](), set(modules)
    while todo:
        found |= todo
        todo = {name for module in todo for name in _imported(module)} - found
    return frozenset(found)


def _file(module: str) -> Path:
    path = Path(str(files("leaklib"))).joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@lru_cache
def _source(module: str) -> str:
    return _file(module).read_text(encoding="utf8")


@lru_cache
def _imported(module: str) -> frozenset[str]:
    names = set[str]()
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in names if name.startswith("leaklib.") and _file(name).is_file())


@lru_cache
def _code(module: str) -> str:
    """The lines of a module without docstrings, comments and blank lines: the same on every Python."""
    source = _source(module)
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            first, last = node.body[0].lineno, node.body[0].end_lineno or node.body[0].lineno
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())
