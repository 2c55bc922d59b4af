"""What a student receives: one safetensors file with each level's update, and all that is public.

    <level>/update/<parameter>, <level>/model/<parameter>     float32 tensors
    metadata: format, version, student, and for each level JSON with what the protocol makes public

JSON names a network, a step and a mechanism as {"LeNet": {"channels": 8}}: a class of leaklib's and those of
its fields that differ from the default. Nothing in it follows from what the client held, except labels where
a level reveals them.
"""

import json
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.numpy import save
from safetensors.torch import load
from torch import Tensor, nn

from leaklib.challenge.files import read_capped
from leaklib.challenge.levels import LEVELS, Level
from leaklib.client import FedAvg, FedSGD
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.top_k import TopK
from leaklib.models.lenet import LeNet
from leaklib.models.mlp import Mlp
from leaklib.models.transformer import TinyTransformer
from leaklib.named import fingerprint
from leaklib.types import Update

FORMAT = "leaklib challenge"
LARGEST = 16 << 20  # bytes
PARTS: dict[str, Callable[..., Any]] = {
    c.__name__: c for c in (LeNet, Mlp, TinyTransformer, FedSGD, FedAvg, Identity, Quantize, TopK)
}


def write(student: str, shared: Iterable[tuple[Level, nn.Module, Update]]) -> bytes:
    """The file of one ``student``: each level's network and what the client sent."""
    tensors, facts = {}, {"format": FORMAT, "version": version(), "student": student}
    for level, model, update in shared:
        facts[level.name] = json.dumps({**public(level), "labels": _listed(update.labels)})
        for part, named in (("model", dict(model.named_parameters())), ("update", update.tensors)):
            tensors |= {f"{level.name}/{part}/{n}": t.detach().numpy() for n, t in named.items()}
    return _in_order(save(tensors, facts))


def _in_order(data: bytes) -> bytes:
    """The same file with its metadata sorted: safetensors writes it in an order that differs each time."""
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    head["__metadata__"] = dict(sorted(head["__metadata__"].items()))
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # as safetensors does, so that the numbers are aligned
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def public(level: Level) -> dict[str, Any]:
    """What everyone knows of a level."""
    return {
        "title": level.title,
        "asks": level.asks,
        "points": level.points,
        "network": described(level.network),
        "step": described(level.step),
        "mechanism": described(level.mechanism),
        "num_examples": level.num_examples,
        "input_shape": list(level.input_shape),
    }


def version() -> str:
    """Of the levels: files of another version are of another challenge."""
    text = json.dumps([[level.name, public(level)] for level in LEVELS], sort_keys=True)
    return f"1-{sha256(text.encode()).hexdigest()[:8]}"


def received(path: str | Path) -> dict[str, tuple[nn.Module, Update]]:
    """By level the network and the update in a student's file: all that an attack may use.

    ValueError if the file is not one of this challenge, or not all of one.
    """
    return read(_content(Path(path)))


def read(data: bytes, levels: Container[str] | None = None) -> dict[str, tuple[nn.Module, Update]]:
    """The same from the content of the file, of all ``levels`` or of some, by name."""
    facts = _facts(data)
    if facts.get("version") != version():
        raise ValueError(
            f"the file is of version {facts.get('version')} of the challenge, this leaklib has {version()}: "
            "use the one that the course names"
        )
    try:
        tensors = load(data)
        names = [level.name for level in LEVELS if levels is None or level.name in levels]
        return {name: _rebuilt(name, facts, tensors) for name in names}
    except (SafetensorError, KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        raise ValueError(f"the file is damaged, get it from the instructor again: {error}") from error


def owner(path: str | Path) -> str:
    """The student whose file this is. ValueError as for ``received``."""
    return _facts(_content(Path(path)))["student"]


def _content(path: Path) -> bytes:
    try:
        return read_capped(path, LARGEST)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _facts(data: bytes) -> dict[str, str]:
    """The metadata. ValueError unless this is a file of the challenge."""
    try:
        size = int.from_bytes(data[:8], "little")
        facts = json.loads(data[8 : 8 + size])["__metadata__"]
        if facts["format"] == FORMAT and facts["student"]:
            return facts
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"expected a student's file of the {FORMAT}, as the instructor gave it away")


def described(part: Any) -> dict[str, dict[str, Any]]:
    """A network, step or mechanism as JSON."""
    own = {field.name: getattr(part, field.name) for field in fields(part)}
    plain = {field.name: field.default for field in fields(part)}  # MISSING where there is none
    return {type(part).__name__: {name: value for name, value in own.items() if value != plain[name]}}


def _built(description: Mapping[str, Mapping[str, Any]]) -> Any:
    [(name, values)] = description.items()
    return PARTS[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


def _listed(labels: Tensor | None) -> list[int] | None:
    return None if labels is None else labels.tolist()


def _rebuilt(level: str, facts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> tuple[nn.Module, Update]:
    own = json.loads(facts[level])
    weights, sent = (
        {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
        for start in (f"{level}/model/", f"{level}/update/")
    )
    model = _built(own["network"]).build(0)
    model.load_state_dict(weights)
    sent = {name: sent[name] for name, _ in model.named_parameters()}  # the file has an order of its own
    labels = None if own["labels"] is None else torch.tensor(own["labels"])
    mechanism = _built(own["mechanism"])
    return model, Update(
        sent,
        _built(own["step"]),
        own["num_examples"],
        tuple(own["input_shape"]),
        labels,
        mechanism=None if mechanism == Identity() else mechanism,
        model=fingerprint(model),
    )
