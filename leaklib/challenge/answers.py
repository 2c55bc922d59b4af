"""What a student hands in: arrays, never code. Per level ``<level>.inputs`` and ``<level>.labels``.

A file is a .safetensors or an .npz. Nothing of an array is read before its name, dtype and shape are known to
be the expected ones, so that the levels decide how much memory an answer takes, not the file.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from leaklib.challenge.files import read_capped, shown
from leaklib.challenge.formats import archive, safe
from leaklib.challenge.formats.claim import Claim
from leaklib.challenge.levels import Level
from leaklib.data import Sentences
from leaklib.named import listed
from leaklib.types import Inputs

MOST = 2 << 20
"""Bytes of a file. All levels together need a tenth of it."""
ENDINGS = {".safetensors": safe.claims, ".npz": archive.claims}


@dataclass(frozen=True)
class Answer:
    """One level as handed in: float32 in [0, 1] or int64 tokens, and int64 labels, in the level's shapes."""

    inputs: Inputs
    labels: Int64[Tensor, "batch"]

    def digest(self) -> str:
        """The same for two answers only if they are the same to the bit."""
        values = self.inputs.numpy().tobytes() + self.labels.numpy().tobytes()
        return hashlib.sha256(values).hexdigest()


@dataclass(frozen=True)
class Refusal:
    """Why a level, or something that is none, does not count: a sentence after its name."""

    reason: str


def read(path: Path, levels: Iterable[Level]) -> dict[str, Answer | Refusal]:
    """The answers in a file by level; what is left out is not in the result.

    What the file holds besides is refused, too, under the name "the rest of the file", and changes nothing
    for the levels. ValueError, a sentence after the file's name, if nothing of it can be read.
    """
    return parse(read_capped(path, MOST), path.suffix.lower(), levels)


def parse(data: bytes, ending: str, levels: Iterable[Level]) -> dict[str, Answer | Refusal]:
    """The same for the ``data`` of a file whose name has this ``ending``."""
    if not data:
        raise ValueError("is empty")
    if ending not in ENDINGS:
        raise ValueError(f"is no answer: {' or '.join(ENDINGS)} was expected")
    claims = ENDINGS[ending](data)
    found: dict[str, Answer | Refusal] = {}
    for level in levels:
        parts = [claims.pop(f"{level.name}.{part}", None) for part in ("inputs", "labels")]
        if any(parts):
            found[level.name] = _answer(level, *parts)
    if claims:
        found["the rest of the file"] = Refusal(
            f"was not asked for and not read: {listed(map(shown, claims))}"
        )
    return found


def _answer(level: Level, inputs: Claim | None, labels: Claim | None) -> Answer | Refusal:
    if inputs is None or labels is None:
        there, missing = ("labels", "inputs") if inputs is None else ("inputs", "labels")
        return Refusal(f"has {there} and no {missing}: hand in both, guessed where you do not know them")
    shape = (level.num_examples, *level.input_shape)
    try:
        values = _array("inputs", inputs, "int64" if level.is_text else "float32", shape)
        classes = _array("labels", labels, "int64", shape[:1])
        _check_range(values)
    except ValueError as error:
        return Refusal(str(error))
    return Answer(torch.from_numpy(values), torch.from_numpy(classes))


def _array(name: str, claim: Claim, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of ``claim``; ValueError if it is of another dtype or shape, before anything is read."""
    if (claim.dtype, claim.shape) != (dtype, shape):
        got = claim.dtype if claim.shape is None else f"{claim.dtype} of shape {shown(str(claim.shape), 60)}"
        raise ValueError(f"{name} must be {dtype} of shape {shape}, got {got}")
    try:
        data = claim.read(math.prod(shape) * np.dtype(dtype).itemsize)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    little = np.dtype(dtype).newbyteorder("<")
    order = "F" if claim.fortran else "C"
    return np.frombuffer(data, little).astype(dtype).reshape(shape, order=order).copy(order="C")


def _check_range(values: np.ndarray) -> None:
    """Pictures from 0 to 1, or tokens of the vocabulary; ValueError for others."""
    if values.dtype == np.float32 and not np.isfinite(values).all():
        raise ValueError("inputs hold NaN or infinite values: did the search diverge?")
    last = 1 if values.dtype == np.float32 else len(Sentences().vocabulary) - 1
    if values.min() < 0 or values.max() > last:
        what = "in [0, 1], so clamp them" if last == 1 else f"tokens from 0 to {last}"
        raise ValueError(f"inputs must be {what}: they go from {values.min():g} to {values.max():g}")
