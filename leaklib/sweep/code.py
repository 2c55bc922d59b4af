"""What names an experiment, and what names the code behind it.

Chapters: 7, 8, 10, 12.
"""

import ast
import hashlib
import io
import json
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from types import CodeType
from typing import Any

from leaklib.experiment import Experiment
from leaklib.training import Training

KNOWN = {"leaklib", "torch", *sys.stdlib_module_names}  # the first by its source, the others by their version


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
    # Asked this way, since a class that travels to another process brings a MISSING of its own.
    return field.default_factory() if callable(field.default_factory) else field.default


def _name(obj: Any) -> str:
    return f"{obj.__module__}.{obj.__qualname__}"


def fingerprint(experiment: Experiment | Training) -> str:
    """What names the code that decides an experiment or a training: the modules of leaklib that it reaches.

    Of a part defined elsewhere, such as a reader's own class, its methods count, and not what these call.
    """
    parts = set(_parts(experiment))
    modules = {part.__module__ for part in parts if part.__module__.startswith("leaklib.")}
    texts = [f"{module}\n{_code(module)}" for module in sorted(_reached(frozenset(modules)))]
    own = [part for part in parts if part.__module__.split(".")[0] not in KNOWN]
    text = "\n".join([*texts, *sorted(map(_compiled, own))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parts(obj: Any) -> Iterator[Any]:
    """The classes, with those they inherit from, and functions that an experiment is made of."""
    if is_dataclass(obj) and not isinstance(obj, type):
        yield from type(obj).__mro__
        for field in fields(obj):
            yield from _parts(getattr(obj, field.name))
    elif isinstance(obj, tuple | list):
        for item in obj:
            yield from _parts(item)
    elif callable(obj):
        yield from obj.__mro__ if isinstance(obj, type) else (obj,)


def _compiled(part: Any) -> str:
    """A class or function as Python compiled it: a notebook keeps no source, and other processes get none."""
    if isinstance(part, CodeType):
        constants = [
            _compiled(constant) if isinstance(constant, CodeType)
            else str(sorted(map(repr, constant))) if isinstance(constant, frozenset)
            else repr(constant)
            for constant in part.co_consts
        ]  # fmt: skip
        return f"{part.co_name} {part.co_code.hex()} {part.co_names} {constants}"
    if isinstance(part, type):
        defaults = {f.name: _default(f) for f in fields(part)} if is_dataclass(part) else {}
        chosen = {name: _chosen(d) for name, d in defaults.items() if not isinstance(d, type(MISSING))}
        methods = sorted(filter(None, map(_compiled, vars(part).values())))
        return "\n".join([_name(part), str(chosen), *methods])
    function = getattr(part, "__func__", getattr(part, "fget", part))
    return _compiled(function.__code__) if hasattr(function, "__code__") else ""


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
