"""What names an experiment: the fields that were chosen, and nothing of where its classes lie.

Chapters: 8, 9, 11, 12, 15.
"""

import hashlib
import json
from dataclasses import Field, fields, is_dataclass
from typing import Any

from leaklib.experiment import Experiment


def key(experiment: Experiment) -> str:
    """A name for ``experiment``, 16 hexadecimal digits.

    Of the package's own classes the fields that differ from their defaults count, so that a new field with a
    default leaves the name as it is; of a reader's own classes all fields count. TypeError for what has no
    name, such as a lambda.
    """
    text = json.dumps(_chosen(experiment), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _chosen(obj: Any) -> Any:
    if is_dataclass(obj) and not isinstance(obj, type):
        values = {f.name: getattr(obj, f.name) for f in fields(obj)}
        if _ours(type(obj)):
            values = {f.name: value for f in fields(obj) if (value := values[f.name]) != _default(f)}
        return {"is": _name(type(obj)), **{name: _chosen(value) for name, value in values.items()}}
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


def _ours(obj: Any) -> bool:
    return obj.__module__.split(".")[0] == "leaklib"


def _name(obj: Any) -> str:
    """Of the package's own parts the name alone: they may move from one module to another."""
    return obj.__qualname__ if _ours(obj) else f"{obj.__module__}.{obj.__qualname__}"
