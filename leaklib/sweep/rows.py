"""What is kept of a result, as one line of JSON with its pictures as PNG.

Chapters: 8, 9, 11, 12, 15.
"""

import base64
import io
import json
import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import CIFAR10, Data
from leaklib.experiment import Experiment, Result
from leaklib.metrics import constant_floor, gray_floor, identified
from leaklib.sweep.key import key
from leaklib.types import Batch

KEPT = 4  # pictures of a batch that a row keeps
CANDIDATES = 64  # pictures among which a reconstruction has to point out the true one


@dataclass(frozen=True)
class Row:
    """What is kept of one result. ``psnr``, ``ssim`` and ``token_accuracy`` have one number per example.

    ``pictures`` are the first reconstructions, in the order of the batch, as PNG under each other: see
    ``reconstructions``. ``bits`` is what the client sent, ``seconds`` the processor time of the whole line on
    one core.

    ``gray`` and ``constant`` are the floors of ``psnr``: that of a gray picture and of the best color.
    ``identified`` is 1 where the reconstruction resembles the true picture most among ``candidates``, else 0.
    ``confidence`` is the network's probability of the true label, ``gradient_norm`` the L2 norm of what the
    client computed, before any mechanism. All are empty or NaN for text, and in rows of before they were
    kept; the last two for a loss that is not cross-entropy.

    ``stop`` says why the attack ended, as ``Reconstruction.stop`` does; "" in rows of before it was kept.

    ``key`` names the experiment; ``witness`` are the first numbers that its attack computed, and
    bind the row to the code: see ``witness``. ``commit`` says where the witness was last computed, "" if
    nobody wrote it down.
    """

    key: str
    witness: tuple[float, ...]
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]
    token_accuracy: tuple[float, ...]
    label_overlap: float
    loss: float
    baseline: float
    evaluations: int
    restarts: int
    bits: int
    seconds: float
    torch: str
    commit: str = ""
    pictures: str = ""
    gray: tuple[float, ...] = ()
    constant: tuple[float, ...] = ()
    identified: tuple[float, ...] = ()
    confidence: tuple[float, ...] = ()
    gradient_norm: float = math.nan
    stop: str = ""

    @property
    def reconstructions(self) -> Float32[Tensor, "pictures channels height width"]:
        """The kept pictures in [0, 1], 8 bits per value. ValueError if the row holds none."""
        if not self.pictures:
            raise ValueError("this row was stored without pictures: run its experiment to see them")
        tall = np.asarray(Image.open(io.BytesIO(base64.b64decode(self.pictures))))
        tall = tall.reshape(tall.shape[0], tall.shape[1], -1).transpose(2, 0, 1)
        levels = torch.from_numpy(tall.copy()).unflatten(1, (-1, tall.shape[2]))
        return levels.transpose(0, 1).float() / 255


def row_of(result: Result, witness: tuple[float, ...], seconds: float) -> Row:
    """The row of ``result``, which took ``seconds`` of processor time; with no picture of CIFAR-10's."""
    e, guess, score = result.experiment, result.reconstruction, result.score
    pictures = guess.inputs[score.order.to(guess.inputs.device)]
    seen = pictures.is_floating_point()
    return Row(
        key=key(e),
        witness=witness,
        psnr=_digits(score.psnr),
        ssim=_digits(score.ssim),
        token_accuracy=_digits(score.token_accuracy),
        label_overlap=score.label_overlap,
        loss=float(f"{guess.loss:.3g}"),
        baseline=float(f"{guess.baseline:.3g}"),
        evaluations=guess.evaluations,
        restarts=guess.restarts,
        bits=e.mechanism.bits_sent(result.update),
        seconds=round(seconds, 2),
        torch=torch.__version__.split("+")[0],
        stop=guess.stop,
        pictures=_tall(pictures[:KEPT]) if seen and not _of_cifar10(e.data) else "",
        **(_looks(e, result.batch, pictures) | _client(result) if seen else {}),
    )


def _digits(values: Tensor) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values.tolist())


def _looks(e: Experiment, batch: Batch, pictures: Tensor) -> dict[str, Any]:
    """What the pictures of the batch, and the reconstructions in its order, are compared with."""
    others = candidates(e, batch)
    found = identified(pictures, others).tolist()
    true = [i >= 0 and torch.equal(others[i], own) for i, own in zip(found, batch.inputs, strict=True)]
    return {
        "gray": _digits(gray_floor(batch.inputs)),
        "constant": _digits(constant_floor(batch.inputs)),
        "identified": tuple(map(float, true)),
    }


def candidates(experiment: Experiment, batch: Batch) -> Float[Tensor, "candidates channels height width"]:
    """The pictures of ``batch`` and others of the same data, from number 0 on, none twice.

    64 in all: fewer where the data has no more, more where the batch has. Of data that gives other data new
    labels or another order, in its field ``data``, it is the pictures of that.
    """
    found, source = list(batch.inputs), experiment.data
    while isinstance(inner := getattr(source, "data", None), Data):
        source = inner
    for number in range(2 * CANDIDATES):
        if len(found) >= CANDIDATES:
            break
        try:
            picture = source.batch(number, 1).inputs[0].to(found[0])
        except ValueError:  # past the last one
            break
        if not any(torch.equal(picture, other) for other in found):
            found.append(picture)
    return torch.stack(found)


def _client(result: Result) -> dict[str, Any]:
    """How sure the network was of the labels, and how long its update was, if its loss is cross-entropy."""
    e, step = result.experiment, result.update.step
    if not isinstance(e.step, FedSGD | FedAvg) or e.step.loss is not cross_entropy:
        return {}
    model = e.model.build(e.seed)
    weight = next(model.parameters())
    batch = result.batch.to(weight.device, weight.dtype)
    tensors = share(model, batch, step).tensors.values()
    with torch.no_grad():
        likely = model(batch.inputs).double().softmax(1)[range(len(batch)), batch.labels]
    norm = torch.stack([tensor.double().norm() for tensor in tensors]).norm().item()
    return {
        "confidence": tuple(float(f"{value:.7g}") for value in likely.tolist()),
        "gradient_norm": float(f"{norm:.4g}"),
    }


def _of_cifar10(data: Any) -> bool:
    """Whether ``data`` is CIFAR-10, whose license says nothing of passing pictures on, or made from it."""
    inside = fields(data) if is_dataclass(data) and not isinstance(data, type) else ()
    return isinstance(data, CIFAR10) or any(_of_cifar10(getattr(data, field.name)) for field in inside)


def _tall(pictures: Float[Tensor, "n channels height width"]) -> str:
    """Pictures under each other, as text."""
    return base64.b64encode(png(pictures.clamp(0, 1).transpose(0, 1).flatten(1, 2))).decode()


def png(picture: Float[Tensor, "channels height width"]) -> bytes:
    """A gray or color picture in [0, 1], rounded to 8 bits, as a PNG file."""
    pixels = (picture.detach().cpu().float() * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def read_row(line: str) -> Row:
    """A row from its line of JSON. ValueError if it is something else."""
    try:
        values: dict[str, Any] = json.loads(line)
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        if wrong := [f.name for f in fields(Row) if not _fits(values.get(f.name, f.default), f.type)]:
            raise TypeError(f"missing, or not of its type: {', '.join(wrong)}")
        return Row(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"expected a stored row of results, got {line[:60]!r}: {error}") from error


def _fits(value: Any, kind: Any) -> bool:
    if kind in (str, int, float):
        return type(value) is kind
    return isinstance(value, tuple) and all(type(item) is float for item in value)


def write_row(row: Row) -> str:
    """The line of JSON that ``read_row`` reads."""
    return json.dumps({field.name: getattr(row, field.name) for field in fields(Row)})
