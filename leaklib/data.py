"""Victims: pictures and sentences that clients hold and attacks try to recover.

Client c with batches of n holds examples c·n to c·n + n - 1 of its source, so no two clients share one.
Whatever the source, a batch of pictures is float32 in [0, 1], of shape N×3×size×size, with 8 bits per value
as in a file (digits: N×1×8×8, with 17 levels); a batch of sentences is int64 tokens, of shape N×length,
filled up with 0 at the end.

Source: photographs that ship inside scikit-image (``chapters/data.md`` names the author and the license of
each); CIFAR-10 from Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; handwritten
digits that ship inside scikit-learn; sentences written for this book.
Chapter: 1, 6, 9; the page "The pictures and their licenses".
"""

import re
import string
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64, Integer, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from leaklib.fields import Checked, Count, Natural, Proportion, Several, check, within
from leaklib.rng import generator
from leaklib.types import Batch

Picture = UInt8[np.ndarray, "size size 3"]
Pictures = UInt8[np.ndarray, "n size size 3"]
Classes = Integer[np.ndarray, "n"]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

_PHOTOS = {
    "astronaut": "astronaut.png",
    "retina": "retina.jpg",
    "tissue": "ihc.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "photographer": "camera.png",
    "galaxies": "hubble_deep_field.jpg",
}
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_PLACE = Annotated[float, within(0, 1)]
_WINDOWS = 30
# 12 of 255 levels. At 32 pixels no window comes within half a level of it, so that the one level by which
# JPEG decoders may differ does not decide which windows are taken.
_FLAT = 12 / 255


@runtime_checkable
class Data(Protocol):
    """Where victims come from."""

    def batch(self, client: int, size: int) -> Batch: ...


@dataclass(frozen=True)
class Photos(Checked):
    """240 pictures cut from 8 photographs that come with scikit-image: nothing is downloaded.

    Picture i shows photograph i % 8, which is its label, through window i // 8. Window 0 is the whole center
    square. The others come from a pyramid: n×n windows of side 2/(n + 1) of the square, overlapping by half,
    for n = 2, 3, ..., row by row. A flat window, one that a single color would match to 12 of 255 levels
    (root mean square) or better, goes to the end of the line. The photographer is gray, the rest is in color;
    with ``gray`` all are, N×1×size×size, the mean of their colors. ``only`` names one photograph: its 30
    windows, which all have one label. ``side`` keeps one half of each center square, with a pyramid of its
    own, n columns by 2n + 1 rows: what is cut from the left half shares no pixel with what is cut from the
    right one, so that a network can learn on one and be attacked with the other.
    """

    size: Count = 32
    gray: bool = False
    only: str | None = None
    side: Literal["left", "right"] | None = None
    class_names: ClassVar[tuple[str, ...]] = tuple(_PHOTOS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.only is not None and self.only not in _PHOTOS:
            raise ValueError(f"only must be one of {', '.join(_PHOTOS)}, or None, got {self.only!r}")

    def __len__(self) -> int:
        return _WINDOWS if self.only else len(_PHOTOS) * _WINDOWS

    def batch(self, client: int, size: int) -> Batch:
        """Pictures client·size to client·size + size - 1. ValueError past the last one."""
        images = _photos(self.size, self.side)
        labels, name = np.arange(len(images)) % len(_PHOTOS), "Photos()"
        if self.only:
            mine = labels == self.class_names.index(self.only)
            images, labels, name = images[mine], labels[mine], f"Photos(only={self.only!r})"
        return self._toned(_batch(images, labels, client, size, name))

    def crops(self, count: int, *, generator: torch.Generator) -> Batch:
        """``count`` random squares of the photographs, to train on: which photograph is this from?

        Each has a random photograph (or the only one), a random place, and is mirrored half the time; it
        is as wide as a third of the center square, or of its half, up to all of it. Flat ones are kept. The
        windows of ``batch`` are of the same photographs.
        """
        check("count", count, Count)
        draw = torch.rand(count, 4, generator=generator, dtype=torch.float64).tolist()
        labels = torch.randint(len(_PHOTOS), (count,), generator=generator).numpy()
        if self.only:
            labels[:] = self.class_names.index(self.only)
        squares = [_half(_open_photo(name), self.side) for name in _PHOTOS.values()]
        images = [
            _crop(squares[k], self.size, (1 + 2 * zoom) / 3, left, top, mirror < 0.5)
            for k, (zoom, left, top, mirror) in zip(labels, draw, strict=True)
        ]
        return self._toned(_batch(np.stack(images), labels, 0, count, "Photos()"))

    def part(
        self, photograph: str, *, width: float, left: float, top: float, mirror: bool = False
    ) -> Float[Tensor, "channels size size"]:
        """One square of a ``photograph``: ``width`` is its share of the center square, above 0 and at most 1.

        ``left`` and ``top``, in [0, 1], say where it lies between the two ends of its way. ValueError for
        another name or number.
        """
        check("width", width, Proportion)
        check("left", left, _PLACE)
        check("top", top, _PLACE)
        if photograph not in _PHOTOS:
            raise ValueError(f"a photograph must be one of {', '.join(_PHOTOS)}, got {photograph!r}")
        square = _half(_open_photo(_PHOTOS[photograph]), self.side)
        image = _crop(square, self.size, width, left, top, mirror)
        return self._toned(_batch(image[None], np.zeros(1, np.int64), 0, 1, "Photos()")).inputs[0]

    def _toned(self, batch: Batch) -> Batch:
        return Batch(batch.inputs.mean(1, keepdim=True), batch.labels) if self.gray else batch


@dataclass(frozen=True)
class ImageFile(Checked):
    """A reader's own picture, or an ``.npz`` with several.

    A picture is turned upright as its EXIF orientation says, put on white where it is transparent, cut to its
    center square and area-averaged to ``size``; of an animation the first frame is taken, and color profiles
    are ignored. ``label`` is its class. An ``.npz`` holds ``images``, uint8 N×size×size×3, taken as they are,
    and ``labels``, N integers from 0; ``label`` must then be left at 0.

    The file is read at each call: FileNotFoundError if there is none, ValueError if it cannot be used.
    """

    path: str | Path
    label: Natural = 0
    size: Count = 32

    def __len__(self) -> int:
        return len(self._read()[1])

    def batch(self, client: int, size: int) -> Batch:
        """Pictures client·size to client·size + size - 1 of the file. ValueError past the last one."""
        images, labels = self._read()
        return _batch(images, labels, client, size, str(self.path))

    def _read(self) -> tuple[Pictures, Classes]:
        path = Path(self.path).expanduser()
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name one picture or .npz file in it")
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}, looked for from {Path.cwd()}")
        if path.suffix.lower() != ".npz":
            return _shrink(_center(_open_picture(path)), self.size)[None], np.array([self.label])
        if self.label != 0:
            raise ValueError(f"label={self.label} is for a single picture: {path} brings its own labels")
        return _open_archive(path, self.size)


@dataclass(frozen=True)
class CIFAR10:
    """CIFAR-10 as torchvision reads it, in the order of its files: 10,000 test or 50,000 training pictures.

    ``root`` is where torchvision looks for ``cifar-10-batches-py``; the default is one place per user, so
    that notebooks in different folders share one copy. Nothing is written unless ``download`` is True
    (170 MB). FileNotFoundError if the pictures are not there, OSError if they cannot be fetched.
    """

    split: str = "test"
    root: str | Path = "~/.cache/leaklib"
    download: bool = False
    class_names: ClassVar[tuple[str, ...]] = tuple(_CIFAR10.split())

    def __post_init__(self) -> None:
        check("split", self.split, Literal["train", "test"])

    def __len__(self) -> int:
        return 50_000 if self.split == "train" else 10_000

    def batch(self, client: int, size: int) -> Batch:
        """Pictures client·size to client·size + size - 1 of the split. ValueError past the last one."""
        images, labels = _cifar10(str(Path(self.root).expanduser()), self.split == "train", self.download)
        return _batch(images, labels, client, size, f"CIFAR10({self.split!r})")

    def test(self) -> Batch:
        """All 10,000 test pictures, whichever the split."""
        return CIFAR10("test", self.root, self.download).batch(0, 10_000)


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, N×1×8×8, that come with scikit-learn: 1,500 to train on and 297 to test.

    Their order is shuffled once and for all, since the file has them writer by writer.
    """

    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def __len__(self) -> int:
        return _TRAIN

    def batch(self, client: int, size: int) -> Batch:
        """Training digits client·size to client·size + size - 1. ValueError past the last one."""
        start, stop = _share(_TRAIN, client, size, "Digits()", "digit")
        images, labels = _digits()
        return Batch(images[start:stop].clone(), labels[start:stop].clone())

    def test(self) -> Batch:
        """The 297 digits that no client holds."""
        images, labels = _digits()
        return Batch(images[_TRAIN:].clone(), labels[_TRAIN:].clone())


@dataclass(frozen=True)
class Sentences(Checked):
    """80 sentences as people type them on a phone, whose keyboard learns to predict the next word.

    An example is a sentence without its last token, followed by ``<next>``, which marks the place to predict;
    its label is the last token. So a sentence of n tokens fills n of the ``length`` positions, and sentences
    of more than ``length`` tokens are left out. The sentences are invented, and nobody's.

    A token is a word in lower case; punctuation is dropped. A word that is not in the vocabulary is spelled,
    one token per letter: ``zoe`` becomes ``z+ o+ e``.
    """

    length: Several = 32

    def __len__(self) -> int:
        return len(self._fitting())

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token in the order of the ids: padding, ``<next>``, letters to spell with, then words."""
        return _vocabulary()

    def batch(self, client: int, size: int) -> Batch:
        """Sentences client·size to client·size + size - 1. ValueError past the last one."""
        texts = self._fitting()
        start, stop = _share(len(texts), client, size, f"Sentences(length={self.length})", "sentence")
        return self.say(*texts[start:stop])

    def say(self, *texts: str) -> Batch:
        """A batch of the reader's own sentences, of 2 to ``length`` tokens each.

        ValueError for one that is too short or too long, or holds a character that cannot be written.
        """
        inputs = torch.zeros(len(texts), self.length, dtype=torch.int64)  # 0 is padding
        labels = torch.zeros(len(texts), dtype=torch.int64)
        for row, text in enumerate(texts):
            tokens = self.encode(text)
            if not 2 <= len(tokens) <= self.length:
                raise ValueError(
                    f"a sentence must have 2 to {self.length} tokens, got {len(tokens)} from {text!r}: "
                    "a word outside the vocabulary takes one for each letter"
                )
            labels[row] = tokens[-1]
            tokens[-1] = _ids()["<next>"]
            inputs[row, : len(tokens)] = tokens
        return Batch(inputs, labels)

    def encode(self, text: str) -> Int64[Tensor, "tokens"]:
        """The ids of a text's words, without padding or ``<next>``. ValueError for an unknown character."""
        text = text.lower().replace("’", "'")
        if strange := re.sub(r"[a-z0-9'\s.,;:!?()\"“”…–—-]", "", text):
            raise ValueError(
                f"Sentences cannot write {strange[0]!r}: use the letters a to z, digits and plain punctuation"
            )
        ids = _ids()
        words = [[w] if w in ids else [*(f"{c}+" for c in w[:-1]), w[-1]] for w in _WORD.findall(text)]
        return torch.tensor([ids[piece] for word in words for piece in word], dtype=torch.int64)

    def decode(self, tokens: Iterable[int] | Int64[Tensor, "tokens"]) -> str:
        """The text of some ids, spelled words put together again, without padding and ``<next>``."""
        pieces = [self.vocabulary[int(token)] for token in tokens]
        words = "".join(piece + " " for piece in pieces if piece not in ("<pad>", "<next>"))
        return words.replace("+ ", "").strip()

    def _fitting(self) -> list[str]:
        return [text for text in _sentences() if len(self.encode(text)) <= self.length]


def _share(count: int, client: int, size: int, source: str, kind: str) -> tuple[int, int]:
    """Where the client's examples begin and end among the ``count`` of a source."""
    check("client", client, Natural)
    check("size", size, Count)
    start, stop = client * size, client * size + size
    if stop > count:
        raise ValueError(
            f"{source} has {count} {kind}{'s' * (count != 1)}: "
            f"client {client} with {size} per client would need {kind}s {start} to {stop - 1}"
        )
    return start, stop


def _batch(images: Pictures, labels: Classes, client: int, size: int, source: str) -> Batch:
    """The client's share as tensors of its own: changing them never reaches what is cached."""
    start, stop = _share(len(labels), client, size, source, "picture")
    inputs = torch.from_numpy(images[start:stop].transpose(0, 3, 1, 2).copy())  # N×H×W×3 -> N×3×H×W
    return Batch(inputs.float() / 255, torch.from_numpy(labels[start:stop].astype(np.int64)))


# --- sentences ---

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")


@lru_cache(maxsize=1)
def _sentences() -> tuple[str, ...]:
    return tuple(files("leaklib").joinpath("sentences.txt").read_text(encoding="utf-8").splitlines())


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[str, ...]:
    letters = string.ascii_lowercase + string.digits
    words = {word for text in _sentences() for word in _WORD.findall(text.lower())}
    spelling = (*(f"{letter}+" for letter in letters + "'"), *letters)
    return ("<pad>", "<next>", *spelling, *sorted(words - set(spelling)))


@lru_cache(maxsize=1)
def _ids() -> dict[str, int]:
    return {token: number for number, token in enumerate(_vocabulary())}


# --- photographs ---


@lru_cache(maxsize=4)
def _photos(size: int, side: str | None = None) -> Pictures:
    """All of ``Photos(size, side=side)``, photograph by photograph within each window."""
    photos = [_windows(_half(_open_photo(name), side), size) for name in _PHOTOS.values()]
    return np.stack(photos, axis=1).reshape(-1, size, size, 3)  # photo first -> window · 8 + photo


@lru_cache(maxsize=len(_PHOTOS))
def _open_photo(name: str) -> Image.Image:
    # Not skimage.data: for a file that it misses, or finds changed, that would go to the network.
    path = files("skimage") / "data" / name
    try:
        with path.open("rb") as file, Image.open(file) as picture:
            return _center(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} is missing: install scikit-image from PyPI, which has it") from error


def _half(square: Image.Image, side: str | None) -> Image.Image:
    """The left or the right half, upright; of an odd width the middle column is in neither."""
    half = square.width // 2
    left, width = (square.width - half if side == "right" else 0), (half if side else square.width)
    return square.crop((left, 0, left + width, square.height))


def _windows(square: Image.Image, size: int) -> list[Picture]:
    """The first 30 windows of the pyramid; its last step, n = 5, is there to replace flat ones."""
    windows = []
    for n in range(1, 6):
        step = square.width / (n + 1)
        for top, left in product(range(int(square.height / step) - 1), range(n)):
            box = (left * step, top * step, (left + 2) * step, (top + 2) * step)
            windows.append(_shrink(square, size, box))
    # A stable sort, by what the best single-color guess misses: root mean square.
    return sorted(windows, key=lambda p: np.sqrt((p / 255).var(axis=(0, 1)).mean()) < _FLAT)[:_WINDOWS]


def _crop(square: Image.Image, size: int, width: float, left: float, top: float, mirror: bool) -> Picture:
    """A part of ``square``, as wide as a share of it, at a place given by two numbers in [0, 1]."""
    side = square.width * width
    x, y = left * (square.width - side), top * (square.height - side)
    picture = _shrink(square, size, (x, y, x + side, y + side))
    return picture[:, ::-1] if mirror else picture


def _center(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _shrink(square: Image.Image, size: int, box: Box | None = None) -> Picture:
    """Each pixel the mean of the part of ``box`` under it; a smaller picture is enlarged in blocks."""
    return np.asarray(square.resize((size, size), Image.Resampling.BOX, box=box))


# --- files ---

# What Pillow reads and a camera, phone or browser writes. Not all that it reads: some of the others have no
# signature, so that any bytes pass for a picture, and some hand the file to another program.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "PPM")


def _open_picture(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.format not in _FORMATS:
                    raise ValueError(f"{picture.format} files are not supported")
                return _to_rgb(picture)
    except Exception as error:  # decoders fail in many ways: OSError, SyntaxError, struct.error, ...
        raise ValueError(
            f"{path} cannot be read as a picture ({error}): save it as png or jpg, smaller if it is huge"
        ) from error


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Upright, 8 bits per channel, transparent parts on white. ValueError where the levels are uncertain."""
    _check_tiff(getattr(picture, "tag_v2", {}))
    upright = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):  # gray from 0 to 65535, or floats; convert would clip it at 255
        if picture.mode == "F" or upright.has_transparency_data:
            raise ValueError("gray with more than 8 bits must be opaque integers")
        return Image.fromarray((np.asarray(upright) / 257).round().astype(np.uint8)).convert("RGB")
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return upright.convert("RGB")


def _check_tiff(tags: Mapping[int, Any]) -> None:
    """ValueError for numbers that Pillow opens and then shows inverted, wrapped around or far too dark."""
    bits, kind = set(tags.get(258, (8,))), set(tags.get(339, (1,)))  # BitsPerSample; SampleFormat: 1 unsigned
    photometric, planar = tags.get(262, 1), tags.get(284, 1)  # 0: white is zero, 1: black is; 1: interleaved
    plain = max(bits) <= 8 or (bits == {16} and photometric in (1, 2) and planar == 1)
    if kind != {1} or not plain:
        raise ValueError("this kind of TIFF is not supported: samples must be 8 bits, or 16 from 0 for black")


def _open_archive(path: Path, size: int) -> tuple[Pictures, Classes]:
    """``images`` and ``labels`` of an ``.npz``, checked. Pickled objects, which can run code, are refused."""
    how = "write it with np.savez(path, images=images, labels=labels), both arrays of plain integers"
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz archive, or not all of one: {how}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            found = [archive[name] for name in ("images", "labels") if name in names]
    except Exception as error:  # zipfile, zlib and numpy fail in many ways, as above
        raise ValueError(f"{path} cannot be read ({error}): {how}") from error
    if len(found) < 2:
        raise ValueError(f"{path} must hold images and labels, got {', '.join(names) or 'nothing'}: {how}")
    images, labels = found
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3) or len(images) == 0:
        raise ValueError(
            f"images in {path} must be uint8 of shape N×{size}×{size}×3, N at least 1, got {images.dtype} "
            f"of shape {images.shape}: convert them, or pass another size="
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels in {path} must be {len(images)} integers, one per image, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if (labels.astype(np.int64) < 0).any():  # a uint64 too large for int64 wraps to below 0
        raise ValueError(f"labels in {path} must count from 0, got {labels.min()} to {labels.max()}")
    return images, labels


# --- digits ---

_TRAIN = 1500


@lru_cache(maxsize=1)
def _digits() -> tuple[Float[Tensor, "n 1 8 8"], Int64[Tensor, "n"]]:
    from sklearn.datasets import load_digits  # here, because importing scikit-learn takes a second

    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=generator(0, "digits"))
    images = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / 16  # levels 0 to 16
    return images[order], torch.from_numpy(labels).long()[order]


# --- CIFAR-10 ---


@lru_cache(maxsize=2)
def _cifar10(root: str, train: bool, download: bool) -> tuple[Pictures, Classes]:
    # Here, because importing torchvision takes seconds and fails where it does not match torch.
    from torchvision import datasets

    try:
        loaded = datasets.CIFAR10(root, train=train, download=download)
    except (OSError, RuntimeError) as error:
        if download:
            raise OSError(
                f"CIFAR-10 could not be downloaded to {root} ({error}): check that there is a network and "
                "that the folder can be written, or use Photos(), which needs neither"
            ) from error
        raise FileNotFoundError(
            f"there is no complete CIFAR-10 in {root}: pass download=True to fetch it, or root= its folder"
        ) from error
    return loaded.data, np.array(loaded.targets)
