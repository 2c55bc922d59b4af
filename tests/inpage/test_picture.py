"""Pictures as browsers read them, against `ImageFile`: the same files, in Chromium and in Firefox."""

import base64
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leaklib.data import ImageFile, Photos
from leaklib.widgets.inpage import script

EXPOSED = "readFile, samplePicture, fromCanvas, fromClipboard, openCamera, dropped, drawingPad, PEN_COLORS"
ORIENTATION = 274


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A document with the page's content policy, opened from disk, and its functions in reach of a test."""
    code = script(("picture",)).removesuffix("})();") + f"Object.assign(window, {{{EXPOSED}}});\n}})();"
    key = base64.b64encode(sha256(code.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{key}' 'wasm-unsafe-eval'; worker-src blob:; "
        "img-src data: blob:; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf8"><title>Pictures</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<input type="file"><canvas></canvas><video></video><script>{code}</script>'
    )
    path = tmp_path_factory.mktemp("picture") / "page.html"
    path.write_text(html, encoding="utf8")
    return path.as_uri()


@pytest.fixture
def read(tab, address):
    """``read(path)`` is what the page reads from a file, 3×32×32 float64; RuntimeError with its sentence."""
    tab.visit(address)

    def read(path: Path) -> np.ndarray:
        tab.choose(path)
        found = tab.run(
            """async () => {
              try {
                return [...await readFile(document.querySelector("input").files[0])];
              } catch (error) {
                return error.constructor === Error ? error.message : error.stack;
              }
            }"""
        )
        if isinstance(found, str):
            raise RuntimeError(found)
        return np.array(found).reshape(3, 32, 32)

    yield read
    assert tab.requests == []


def expected(path: Path) -> np.ndarray:
    return ImageFile(path).batch(0, 1).inputs[0].double().numpy()


def levels_apart(read, path: Path) -> float:
    """The largest difference to `ImageFile`, in levels of 255."""
    return float(np.abs(read(path) - expected(path)).max() * 255)


def noise(width: int, height: int, channels: int = 3) -> Image.Image:
    levels = np.random.default_rng(width * 10007 + height).integers(
        0, 256, (height, width, channels), dtype=np.uint8
    )
    return Image.fromarray(levels.squeeze())


def scene(width: int, height: int) -> Image.Image:
    """A photograph, enlarged, so that what JPEG loses is what it loses of photographs."""
    cat = (Photos(size=256).batch(3, 1).inputs[0].permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    return Image.fromarray(cat).resize((width, height), Image.Resampling.BICUBIC)


SIZES = [
    (32, 32),
    (1, 1),
    (2, 3),
    (31, 33),
    (33, 31),
    (64, 64),
    (47, 101),
    (500, 333),
    (1500, 1100),
    (10000, 1),
    (1, 9),
]


def test_pictures_without_loss_are_read_to_the_bit(read, tmp_path) -> None:
    """Of every size, larger and smaller, and larger than one strip."""
    for width, height in SIZES:
        path = tmp_path / f"{width}x{height}.png"
        noise(width, height).save(path)
        np.testing.assert_array_equal(read(path), expected(path), err_msg=path.name)


def test_black_white_and_gray_stay_what_they_are(read, tmp_path) -> None:
    for level in (0, 127, 128, 255):
        for size in ((32, 32), (1000, 77)):
            path = tmp_path / "flat.png"
            Image.new("RGB", size, (level,) * 3).save(path)
            assert np.unique(read(path)).tolist() == [np.float32(level) / np.float32(255)]


def test_a_picture_stands_upright_however_the_camera_was_held(read, tmp_path) -> None:
    original = scene(90, 60)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = tmp_path / f"{orientation}.jpg"
        original.save(path, quality=95, exif=exif)
        assert levels_apart(read, path) <= 2
        # A picture that was turned the wrong way is far away.
        assert orientation == 1 or np.abs(read(path) - read(tmp_path / "1.jpg")).max() > 0.2


def seen_through() -> Image.Image:
    """Every pixel as transparent as chance has it."""
    return Image.merge("RGBA", [*scene(80, 80).split(), noise(80, 80, 1)])


def _transparent_gif(path: Path) -> None:
    picture = scene(64, 64).quantize(64)
    picture.putpixel((10, 10), 5)
    picture.save(path, transparency=5)


def _animated(path: Path) -> None:
    scene(64, 64).quantize(200).save(
        path, save_all=True, append_images=[noise(64, 64).quantize(9)], duration=20, loop=0
    )


def _sixteen_bits(path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (40, 40), dtype=np.uint16)
    Image.fromarray(levels).save(path)


def _profile(path: Path) -> None:
    """A profile that would swap the colors, where one heeds it: ImageFile does not."""
    from PIL import ImageCms

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.find(b"rXYZ"), profile.find(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    scene(64, 64).save(path, icc_profile=bytes(profile))


KINDS = {
    "alpha.png": lambda path: seen_through().save(path),
    "alpha.webp": lambda path: seen_through().save(path, lossless=True),
    "palette.png": lambda path: scene(70, 50).quantize(40).save(path),
    "bits16.png": _sixteen_bits,
    "gray.png": lambda path: scene(70, 50).convert("L").save(path),
    "gray.jpg": lambda path: scene(70, 50).convert("L").save(path, quality=90),
    "black and white.png": lambda path: scene(70, 50).convert("1").save(path),
    "cmyk.jpg": lambda path: scene(320, 200).convert("CMYK").save(path, quality=95),
    "photo.jpg": lambda path: scene(640, 480).save(path, quality=85),
    "progressive.jpg": lambda path: scene(640, 480).save(path, quality=85, progressive=True),
    "photo.webp": lambda path: scene(640, 480).save(path, quality=85),
    "photo.avif": lambda path: scene(640, 480).save(path, quality=85),
    "photo.bmp": lambda path: scene(64, 48).save(path),
    "photo.gif": lambda path: scene(64, 48).quantize(256).save(path),
    "transparent.gif": _transparent_gif,
    "animated.gif": _animated,
    "animated.webp": lambda path: scene(64, 64).save(
        path, save_all=True, append_images=[noise(64, 64)], duration=20, lossless=True
    ),
    "animated.png": lambda path: scene(64, 64).save(
        path, save_all=True, append_images=[noise(64, 64)], duration=20
    ),
    "profile.png": _profile,
}


def test_every_kind_of_picture_is_read_as_by_leaklib(read, tmp_path) -> None:
    apart = {}
    for name, save in KINDS.items():
        save(tmp_path / name)
        apart[name] = round(levels_apart(read, tmp_path / name), 3)
    print(apart)
    assert max(apart.values()) <= 2, apart
