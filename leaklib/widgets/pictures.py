"""Pictures inside a page: each stored once, as PNG in its own size, and enlarged by the browser."""

import base64
import io
from dataclasses import dataclass, field
from html import escape

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from leaklib.widgets.results import Pictures


def png(picture: Float[Tensor, "channels height width"]) -> bytes:
    """A gray or color picture in [0, 1], rounded to 8 bits."""
    pixels = (picture.detach().cpu().float() * 255).round().permute(1, 2, 0).numpy().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()


@dataclass
class Store:
    """Numbers pictures in the order in which the film strip first shows them, and says where that was."""

    seen: dict[bytes, tuple[int, str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.seen)

    def numbers(self, row: Pictures) -> list[int]:
        """The numbers of pictures that are all stored."""
        return [self.seen[png(picture)][0] for picture in row.images]

    def row(self, row: Pictures, position: str) -> str:
        """A row of the film strip at the named position; what was shown before is named, not repeated."""
        parts: list[str] = []
        again: dict[str, list[int]] = {}  # where pictures were shown before: their numbers
        for i, picture in enumerate(row.images):
            data, caption = png(picture), row.captions[i] if row.captions else ""
            if data in self.seen:
                number, where = self.seen[data]
                again.setdefault(where, []).append(number)
                continue
            of = f" {i + 1} of {len(row.images)}" if len(row.images) > 1 else ""
            self.seen[data] = len(self.seen), f"{row.name}, {position}"
            parts.append(figure(data, f"{row.name}{of}, {position}", caption))
        parts += [
            f'<span data-again="{" ".join(map(str, numbers))}">the same as {escape(where)}</span>'
            for where, numbers in again.items()
        ]
        return f"<div><b>{escape(row.name)}</b> {' '.join(parts)}</div>"


def figure(data: bytes, alt: str, caption: str = "", style: str = "") -> str:
    """A PNG as an element of a page, with its caption below."""
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    alt = f"{alt}: {caption}" if caption else alt
    text = f" <small>{escape(caption)}</small>" if caption else ""
    style = f' style="{style}"' if style else ""
    # Width and height as attributes also hold where a notebook is not trusted and styles are dropped.
    return f'<span><img src="{source}" alt="{escape(alt)}" width="64" height="64"{style}>{text}</span>'
