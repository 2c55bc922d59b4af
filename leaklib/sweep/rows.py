"""What is kept of a result, as one line of JSON with its pictures as PNG.

Chapters: 8, 9, 11, 12, 15.
"""

import base64
import io
import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from PIL import Image
from torch import Tensor

from leaklib.experiment import Result
from leaklib.sweep.key import key

KEPT = 4  # pictures of a batch that a row keeps


@dataclass(frozen=True)
class Row:
    """What is kept of one result. ``psnr``, ``ssim`` and ``token_accuracy`` have one number per example.

    ``pictures`` are the first reconstructions, in the order of the batch, as PNG under each other: see
    ``reconstructions``. ``bits`` is what the client sent, ``seconds`` the processor time of the whole line on
    one core. ``key`` names the experiment; ``witness`` are the first numbers that its attack computed, and
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
    """The row of ``result``, which took ``seconds`` of processor time."""
    e, guess, score = result.experiment, result.reconstruction, result.score
    pictures = guess.inputs[score.order.to(guess.inputs.device)][:KEPT]

    def digits(values: Tensor) -> tuple[float, ...]:
        return tuple(round(value, 3) for value in values.tolist())

    return Row(
        key=key(e),
        witness=witness,
        psnr=digits(score.psnr),
        ssim=digits(score.ssim),
        token_accuracy=digits(score.token_accuracy),
        label_overlap=score.label_overlap,
        loss=float(f"{guess.loss:.3g}"),
        baseline=float(f"{guess.baseline:.3g}"),
        evaluations=guess.evaluations,
        restarts=guess.restarts,
        bits=e.mechanism.bits_sent(result.update),
        seconds=round(seconds, 2),
        torch=torch.__version__.split("+")[0],
        pictures=_tall(pictures) if pictures.is_floating_point() else "",
    )


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
