import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from leaklib import data
from leaklib.data import CIFAR10, ImageFile, Photos, Sentences
from leaklib.rng import generator


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def read(path, size=32, **fields):
    """The one picture in a file as H×W×3 levels from 0 to 255."""
    inputs = ImageFile(path, size=size, **fields).batch(0, 1).inputs
    return (inputs[0].permute(1, 2, 0) * 255).round().numpy()


@pytest.fixture
def archive(tmp_path):
    """Writes arrays to an .npz and returns its path."""

    def write(**arrays):
        np.savez(tmp_path / "mine.npz", **arrays)
        return tmp_path / "mine.npz"

    return write


@pytest.fixture
def loader(monkeypatch):
    """Stands for torchvision: 20 pictures, or whatever error a test sets. Nothing is imported or fetched."""
    calls = SimpleNamespace(error=None, roots=[])

    def load(root, train, download):
        calls.roots.append((root, train, download))
        if calls.error:
            raise calls.error
        return SimpleNamespace(data=noise(20, 32, 32, 3), targets=[i % 10 for i in range(20)])

    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=SimpleNamespace(CIFAR10=load)))
    return calls


# --- what every source promises ---


@pytest.fixture(params=["Photos", "ImageFile", "CIFAR10"])
def source(request, archive, loader, tmp_path):
    if request.param == "Photos":
        return Photos()
    if request.param == "CIFAR10":
        return CIFAR10(root=tmp_path)
    return ImageFile(archive(images=noise(20, 32, 32, 3), labels=np.arange(20) % 10))


def test_clients_hold_consecutive_pictures(source):
    eight, second = source.batch(0, 8), source.batch(1, 4)
    assert torch.equal(second.inputs, eight.inputs[4:])
    assert torch.equal(second.labels, eight.labels[4:])


def test_a_batch_is_float_pictures_with_8_bits_and_integer_labels(source):
    batch = source.batch(0, 8)
    assert batch.inputs.dtype == torch.float32 and batch.inputs.shape == (8, 3, 32, 32)
    assert batch.labels.dtype == torch.int64
    assert torch.equal((batch.inputs * 255).round() / 255, batch.inputs)
    assert 0 <= batch.inputs.min() and batch.inputs.max() <= 1


def test_changing_a_batch_leaves_the_source_as_it_was(source):
    before = source.batch(0, 2).inputs.clone()
    source.batch(0, 2).inputs.zero_()
    assert torch.equal(source.batch(0, 2).inputs, before)


def test_asking_for_too_much_or_too_little_says_so(source):
    with pytest.raises(ValueError, match=r"has 20 pictures|has 240 pictures"):
        source.batch(30, 8)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        source.batch(0, 0)
    with pytest.raises(ValueError, match="client must be at least 0, got -1"):
        source.batch(-1, 1)


# --- Photos ---


def test_every_picture_is_labeled_with_its_photograph():
    labels = Photos().batch(0, len(Photos())).labels
    assert len(Photos()) == len(labels) == 240
    assert labels.tolist() == list(range(len(Photos.class_names))) * 30


def test_pictures_differ_visibly():
    pictures = Photos().batch(0, 240).inputs.flatten(1).double()
    distance = torch.cdist(pictures, pictures, compute_mode="donot_use_mm_for_euclid_dist") / 3072**0.5
    assert distance[~torch.eye(240, dtype=torch.bool)].min() > 10 / 255


def test_no_picture_is_flat():
    pictures = Photos().batch(0, 240).inputs.double()
    assert (pictures.var((2, 3), correction=0).mean(1).sqrt() >= 12 / 255).all()


@pytest.mark.parametrize("size", [32, 45])
def test_window_0_is_the_whole_center_square(size):
    pictures = Photos(size).batch(0, 8).inputs
    for picture, file in zip(pictures, data._PHOTOS.values(), strict=True):
        square = np.asarray(data._open_photo(file)) / 255
        assert square.shape[0] == square.shape[1]
        assert picture.mean((1, 2)).numpy() == pytest.approx(square.mean((0, 1)), abs=1 / 255)


def test_gray_photographs_are_the_mean_of_their_colors() -> None:
    color, gray = Photos(16), Photos(16, gray=True)
    assert torch.equal(gray.batch(1, 3).inputs, color.batch(1, 3).inputs.mean(1, keepdim=True))
    crops = [photos.crops(2, generator=generator(0, "crops")) for photos in (gray, color)]
    assert crops[0].inputs.shape == (2, 1, 16, 16)
    assert torch.equal(crops[0].inputs, crops[1].inputs.mean(1, keepdim=True))


@pytest.mark.parametrize("name", Photos.class_names)
@pytest.mark.parametrize("gray", [False, True])
def test_one_photograph_alone_has_its_30_windows_in_their_order(name: str, gray: bool) -> None:
    label, every = Photos.class_names.index(name), Photos(gray=gray).batch(0, 240)
    only = Photos(gray=gray, only=name)
    batch = only.batch(0, len(only))
    assert len(only) == 30 and (batch.labels == label).all()
    assert torch.equal(batch.inputs, every.inputs[label::8])
    assert torch.equal(only.batch(2, 4).inputs, batch.inputs[8:12])
    with pytest.raises(ValueError, match=rf"Photos\(only='{name}'\) has 30 pictures"):
        only.batch(30, 1)


def test_a_part_is_the_square_that_was_asked_for() -> None:
    photos = Photos(16)
    whole = photos.part("cat", width=1.0, left=0.3, top=0.9)  # no room to move
    assert torch.equal(whole, Photos(16, only="cat").batch(0, 1).inputs[0])
    quarter = photos.part("cat", width=0.5, left=1.0, top=0.0)
    assert (quarter - Photos(32, only="cat").batch(0, 1).inputs[0, :, :16, 16:]).abs().max() <= 1 / 255
    assert torch.equal(photos.part("cat", width=0.5, left=1.0, top=0.0, mirror=True), quarter.flip(2))
    assert Photos(16, gray=True).part("cat", width=0.5, left=0.0, top=0.0).shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("name", "place", "says"),
    [
        ("dog", {}, "must be one of astronaut, .* got 'dog'"),
        ("cat", {"width": 0.0}, "width must be above 0 and at most 1"),
        ("cat", {"left": 1.1}, "left must be in 0..1"),
        ("cat", {"top": -0.1}, "top must be in 0..1"),
    ],
)
def test_a_part_that_is_not_there_is_refused(name: str, place: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Photos(16).part(name, **{"width": 0.5, "left": 0.5, "top": 0.5, **place})


def test_crops_of_one_photograph_are_of_it() -> None:
    every, only = (
        photos.crops(40, generator=generator(1, "c")) for photos in (Photos(8), Photos(8, only="cat"))
    )
    assert (only.labels == 3).all() and only.inputs.shape == every.inputs.shape
    same = every.labels == 3
    assert 0 < same.sum() < 40 and torch.equal(only.inputs[same], every.inputs[same])


def test_a_photograph_that_is_not_there_is_named_with_those_that_are() -> None:
    for name in ("dog", "", "Cat"):
        with pytest.raises(ValueError, match=rf"only must be one of astronaut, .*, or None, got '{name}'"):
            Photos(only=name)


def test_one_level_of_difference_between_decoders_does_not_choose_other_windows(monkeypatch):
    def other_decoder(file, original=data._open_photo):
        levels = np.asarray(original(file))
        off = np.random.default_rng(0).integers(-1, 2, levels.shape)
        return Image.fromarray((levels + off).clip(0, 255).astype(np.uint8))

    expected = data._photos(32).astype(int)
    monkeypatch.setattr(data, "_open_photo", other_decoder)
    assert np.abs(data._photos.__wrapped__(32) - expected).max() <= 2


def test_photos_need_no_network(monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    assert len(data._photos.__wrapped__(32)) == 240


def test_a_scikit_image_without_its_photographs_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "files", lambda package: tmp_path)
    data._open_photo.cache_clear()
    with pytest.raises(FileNotFoundError, match="install scikit-image from PyPI"):
        data._photos.__wrapped__(32)


# --- a picture of one's own ---


def test_averaging_takes_the_mean_under_each_pixel_of_the_center_square(tmp_path):
    pixels = noise(64, 96, 3)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    blocks = pixels[:, 16:80].reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert read(tmp_path / "wide.png") == pytest.approx(blocks, abs=1)


@pytest.mark.parametrize("shape", [(32, 32), (33, 32), (100, 77), (31, 500), (8, 8)])
def test_averaging_keeps_the_mean(shape, tmp_path):
    pixels = noise(*shape, 3)
    Image.fromarray(pixels).save(tmp_path / "any.png")
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    square = pixels[top : top + side, left : left + side]
    assert read(tmp_path / "any.png").mean((0, 1)) == pytest.approx(square.mean((0, 1)), abs=1.5)


UPRIGHT = {  # EXIF orientation: what undoes it
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_honored(orientation, tmp_path):
    pixels, exif = noise(32, 40, 3), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "phone.png", exif=exif)
    upright = UPRIGHT[orientation](pixels)
    height, width = (upright.shape[0] - 32) // 2, (upright.shape[1] - 32) // 2
    assert (read(tmp_path / "phone.png") == upright[height : height + 32, width : width + 32]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparent_parts_are_white(mode, tmp_path):
    alpha = np.full((32, 32), 255, np.uint8)
    alpha[:, 16:] = 0
    if mode == "P":  # gif: one palette entry stands for nothing
        picture = Image.fromarray(alpha // 255).convert("P")
        picture.putpalette([200, 0, 0, 90, 90, 90])
        picture.save(tmp_path / "cut.gif", transparency=0)
        path = tmp_path / "cut.gif"
    else:
        picture = Image.new("RGB" if mode == "RGBA" else "L", (32, 32), (90,) * 3 if mode == "RGBA" else 90)
        picture.putalpha(Image.fromarray(alpha))
        path = tmp_path / "cut.png"
        (picture if mode != "PA" else picture.convert("RGBA").quantize(4)).save(path)
    assert read(path)[:, :16] == pytest.approx(90, abs=1) and (read(path)[:, 16:] == 255).all()


def test_half_transparent_is_half_white(tmp_path):
    Image.new("RGBA", (32, 32), (0, 100, 200, 51)).save(tmp_path / "glass.png")  # alpha 0.2
    assert read(tmp_path / "glass.png")[0, 0] == pytest.approx([204, 224, 244], abs=1)


@pytest.mark.parametrize("name", ["deep.png", "deep.tiff", "deep.pgm"])
def test_16_bit_gray_keeps_its_brightness(name, tmp_path):
    pixels = noise(32, 32, dtype=np.uint16)
    if name == "deep.pgm":
        (tmp_path / name).write_bytes(b"P5 32 32 65535\n" + pixels.astype(">u2").tobytes())
    else:
        Image.fromarray(pixels).save(tmp_path / name)
    assert read(tmp_path / name) == pytest.approx(np.repeat(pixels[..., None] / 257, 3, 2), abs=0.51)


def test_16_bit_color_keeps_its_brightness(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    pixels = noise(32, 32, 3, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "deep.tiff", pixels, photometric="rgb")
    assert read(tmp_path / "deep.tiff") == pytest.approx(pixels / 257, abs=1)


@pytest.mark.parametrize(
    ("dtype", "shape", "layout"),
    [
        (np.int32, (32, 32), {"photometric": "minisblack"}),
        (np.int16, (32, 32), {"photometric": "minisblack"}),
        (np.int8, (32, 32), {"photometric": "minisblack"}),
        (np.uint32, (32, 32), {"photometric": "minisblack"}),
        (np.uint16, (32, 32), {"photometric": "miniswhite"}),
        (np.uint16, (3, 32, 32), {"photometric": "rgb", "planarconfig": "separate"}),
    ],
)
def test_tiffs_that_pillow_would_show_wrong_are_refused(dtype, shape, layout, tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "scan.tiff", noise(*shape, dtype=dtype), **layout)
    with pytest.raises(ValueError, match="this kind of TIFF is not supported"):
        read(tmp_path / "scan.tiff")


def test_floats_and_transparent_16_bit_gray_are_refused_not_clipped(tmp_path):
    (tmp_path / "float.pfm").write_bytes(b"Pf 32 32 -1.0\n" + np.ones((32, 32), "<f4").tobytes())
    Image.fromarray(noise(32, 32, dtype=np.uint16)).save(tmp_path / "deep.png", transparency=600)
    for name in ("float.pfm", "deep.png"):
        with pytest.raises(ValueError, match="must be opaque integers"):
            read(tmp_path / name)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_color_modes_show_the_same_picture(mode, tmp_path):
    color = (255, 255, 255) if mode in ("1", "L") else (255, 102, 51)
    path = tmp_path / ("other.png" if mode in ("1", "L", "P") else "other.jpg")
    Image.new("RGB", (32, 32), color).convert(mode).save(path)
    assert read(path)[16, 16] == pytest.approx(color, abs=3)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.ppm", "a.JPEG"])
def test_common_formats_are_read_and_of_an_animation_the_first_frame(name, tmp_path):
    first, second = Image.new("RGB", (40, 32), (255, 0, 0)), Image.new("RGB", (40, 32), (0, 0, 255))
    several = {"save_all": True, "append_images": [second]} if name in ("a.gif", "a.webp", "a.tiff") else {}
    first.save(tmp_path / name, **several)
    assert read(tmp_path / name)[16, 16] == pytest.approx([255, 0, 0], abs=3)


def test_a_single_picture_has_the_label_and_size_it_is_given(tmp_path):
    Image.new("RGB", (5, 9)).save(tmp_path / "mine.png")
    source = ImageFile(str(tmp_path / "mine.png"), label=7, size=12)
    assert len(source) == 1
    assert source.batch(0, 1).labels.tolist() == [7] and source.batch(0, 1).inputs.shape == (1, 3, 12, 12)
    with pytest.raises(ValueError, match=r"mine\.png has 1 picture: client 1 with 1 per client"):
        source.batch(1, 1)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.bmp", "a.tiff"])
def test_a_truncated_picture_is_refused(name, tmp_path):
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for part in (0.2, 0.5, 0.9):
        (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ValueError, match="cannot be read as a picture") as caught:
            read(tmp_path / name)
        assert caught.value.__cause__ is not None


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"hello", bytes(1000), b"\x80\x04N."])
def test_what_is_not_a_picture_is_refused(content, tmp_path):
    (tmp_path / "mine.png").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        read(tmp_path / "mine.png")


def test_formats_that_run_another_program_are_refused(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "mine.eps")
    with pytest.raises(ValueError, match="EPS files are not supported"):
        read(tmp_path / "mine.eps")


@pytest.mark.parametrize(
    "limit", [600, 1000]
)  # Pillow raises above twice its limit and warns above the limit
def test_a_huge_picture_is_refused(limit, monkeypatch, tmp_path):
    Image.new("RGB", (36, 36)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match=r"1296 pixels\) exceeds limit of .* smaller if it is huge"):
        read(tmp_path / "bomb.png")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.png, looked for from"):
        read(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="is a folder: name one picture"):
        read(tmp_path)


def test_fields_out_of_range_are_named():
    with pytest.raises(ValueError, match="label must be at least 0, got -1"):
        ImageFile("a.png", label=-1)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        ImageFile("a.png", size=0)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        Photos(size=0)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'validation'"):
        CIFAR10("validation")


# --- an .npz of one's own ---


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i8", np.uint64])
def test_an_archive_comes_back_as_it_was_written(dtype, archive):
    images, labels = noise(6, 32, 32, 3), np.array([5, 0, 99, 1, 1, 3], dtype)
    source = ImageFile(archive(images=images, labels=labels, notes=np.zeros(3)))
    batch = source.batch(0, len(source))
    assert ((batch.inputs * 255).round().permute(0, 2, 3, 1).numpy() == images).all()
    assert batch.labels.tolist() == labels.tolist()


GOOD = {"images": noise(4, 32, 32, 3), "labels": np.arange(4)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "must hold images and labels, got labels"),
        ({"labels": None}, "must hold images and labels, got images"),
        ({"images": None, "labels": None}, "must hold images and labels, got nothing"),
        ({"images": noise(4, 32, 32, 3) / 255}, "got float64"),
        ({"images": noise(4, 32, 32)}, r"got uint8 of shape \(4, 32, 32\)"),
        ({"images": noise(4, 3, 32, 32)}, r"got uint8 of shape \(4, 3, 32, 32\)"),
        ({"images": noise(4, 28, 28, 3)}, r"\(4, 28, 28, 3\): convert them, or pass another size="),
        ({"images": noise(0, 32, 32, 3), "labels": np.arange(0)}, "N at least 1"),
        ({"labels": np.arange(3)}, r"must be 4 integers, one per image, got int64 of shape \(3,\)"),
        ({"labels": np.arange(4) / 2}, "must be 4 integers, one per image, got float64"),
        ({"labels": np.array(1)}, r"got int64 of shape \(\)"),
        ({"labels": np.eye(4, dtype=int)}, r"got int64 of shape \(4, 4\)"),
        ({"labels": np.array([0, 1, -1, 2])}, "must count from 0, got -1 to 2"),
        ({"labels": np.full(4, 2**64 - 1, np.uint64)}, "must count from 0"),
        ({"labels": np.array([1, "two", None, 4], object)}, "Object arrays cannot be loaded"),
    ],
)
def test_an_archive_with_other_content_is_refused(change, message, archive):
    arrays = {name: array for name, array in (GOOD | change).items() if array is not None}
    with pytest.raises(ValueError, match=message):
        ImageFile(archive(**arrays)).batch(0, 1)


def test_a_damaged_archive_is_refused(archive):
    path = archive(**GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"is not an .npz archive, or not all of one"):
        ImageFile(path).batch(0, 1)
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(ValueError, match="Bad CRC-32"):
        ImageFile(path).batch(0, 1)


def test_an_archive_brings_its_own_labels(archive):
    with pytest.raises(ValueError, match="label=3 is for a single picture"):
        ImageFile(archive(**GOOD), label=3).batch(0, 1)


# --- CIFAR-10 ---


def test_cifar_is_read_once_per_split_and_root(loader, tmp_path):
    for _ in range(3):
        CIFAR10("train", root=tmp_path).batch(0, 4)
    assert loader.roots == [(str(tmp_path), True, False)]
    assert len(CIFAR10("train")) == 50_000 and len(CIFAR10()) == 10_000 and len(CIFAR10.class_names) == 10


def test_missing_cifar_asks_before_it_downloads(loader, tmp_path):
    loader.error = RuntimeError("Dataset not found or corrupted.")
    with pytest.raises(FileNotFoundError, match=r"no complete CIFAR-10 in .*: pass download=True"):
        CIFAR10(root=tmp_path).batch(0, 1)


@pytest.mark.parametrize("error", [OSError("<urlopen error>"), RuntimeError("File not found or corrupted.")])
def test_a_failed_download_is_one_sentence(error, loader, tmp_path):
    loader.error = error
    with pytest.raises(OSError, match=r"could not be downloaded .* check that there is a network") as caught:
        CIFAR10(root=tmp_path, download=True).batch(0, 1)
    assert caught.value.__cause__ is error


@pytest.mark.slow
def test_torchvision_itself_writes_nothing_unless_asked(tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(FileNotFoundError, match="pass download=True"):
        CIFAR10(root=tmp_path / "none").batch(0, 1)
    assert not list(tmp_path.iterdir())


# --- sentences ---


def spoken(texts, batch):
    """The whole sentences of a batch, with their last word."""
    rows = zip(batch.inputs.tolist(), batch.labels.tolist(), strict=True)
    return [texts.decode([*row, label]) for row, label in rows]


def test_sentences_are_consecutive_and_end_where_the_next_word_is_to_be_predicted():
    texts = Sentences()
    eight, second = texts.batch(0, 8), texts.batch(1, 4)
    assert torch.equal(second.inputs, eight.inputs[4:]) and torch.equal(second.labels, eight.labels[4:])
    assert eight.inputs.dtype == eight.labels.dtype == torch.int64 and eight.inputs.shape == (8, 32)
    assert spoken(texts, texts.batch(0, 1)) == ["i think i might be pregnant"]
    assert texts.decode(eight.inputs[0]) == "i think i might be"
    assert texts.vocabulary[eight.labels[0]] == "pregnant"
    for row in texts.batch(0, len(texts)).inputs:
        length = int((row != 0).sum())
        assert not row[length:].any() and (row == 1).nonzero().tolist() == [[length - 1]]
    assert texts.vocabulary[:2] == ("<pad>", "<next>")


def test_sentences_are_80_of_very_different_length_and_all_different():
    texts = Sentences()
    lengths = (texts.batch(0, 80).inputs != 0).sum(1)
    assert len(texts) == 80 and len(set(spoken(texts, texts.batch(0, 80)))) == 80
    assert lengths.min() == 3 and lengths.max() == 32 and (lengths == 32).sum() == 8
    assert len(set(texts.vocabulary)) == len(texts.vocabulary)
    with pytest.raises(
        ValueError, match="has 80 sentences: client 10 with 8 per client would need sentences 80"
    ):
        texts.batch(10, 8)
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        texts.batch(0, 0)


def test_shorter_inputs_leave_long_sentences_out():
    texts = Sentences(length=12)
    batch = texts.batch(0, len(texts))
    assert 0 < len(texts) < 80 and batch.inputs.shape == (len(texts), 12)
    assert texts.vocabulary == Sentences().vocabulary
    with pytest.raises(ValueError, match="length must be at least 2, got 1"):
        Sentences(length=1)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("My name is Zoe.", "my name is zoe"),
        ("He said: “I can’t!” (twice)", "he said i can't twice"),
        ("x-ray at 7:30, room 12b…", "x ray at 7 30 room 12b"),
        ("  a   b\tc\n", "a b c"),
        ("qwxyz a i", "qwxyz a i"),
    ],
)
def test_any_english_sentence_can_be_said(text, back):
    texts = Sentences()
    batch = texts.say(text)
    assert spoken(texts, batch) == [back] and batch.inputs.shape == (1, 32)
    assert texts.decode(texts.encode(text)) == back


def test_unknown_words_are_spelled():
    texts = Sentences()
    tokens = [texts.vocabulary[token] for token in texts.encode("Zoe cannot sleep")]
    assert tokens == ["z+", "o+", "e", "cannot", "sleep"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sleep", "must have 2 to 32 tokens, got 1 from 'sleep'"),
        ("", "must have 2 to 32 tokens, got 0 from ''"),
        ("i " * 33, "got 33 from .* takes one for each letter"),
        ("mein Gemüse", "cannot write 'ü': use the letters a to z"),
        ("50 € please", "cannot write '€'"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(text, message):
    with pytest.raises(ValueError, match=message):
        Sentences().say(text)


def test_the_spelled_alphabet_is_complete():
    texts = Sentences()
    for character in "abcdefghijklmnopqrstuvwxyz0123456789":
        word = f"{character}q{character}"
        assert texts.decode(texts.encode(word)) == word


# --- the page that describes them ---

PAGE = Path(__file__).parents[1] / "chapters" / "data.md"


def test_the_examples_on_the_page_work(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(noise(60, 80, 3)).save("me.jpg")
    names = {}
    for example in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]:
        exec(example.split("```")[0], names)
    images, batch = names["images"], names["batch"]
    assert ((batch.inputs * 255).round().permute(0, 2, 3, 1).numpy() == images[4:8]).all()
    assert batch.labels.tolist() == [4, 5, 6, 7]


def test_the_page_names_every_photograph():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3].strip("| ").isdigit()]
    assert [row.split("|")[1].strip() for row in rows] == [
        f"{i} {n}" for i, n in enumerate(Photos.class_names)
    ]


# --- halves of the photographs ---


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Photographs of an odd width whose levels say from which column they come."""
    levels = np.tile(np.linspace(0, 255, 401).astype(np.uint8), (401, 1))
    monkeypatch.setattr("leaklib.data._open_photo", lambda name: Image.fromarray(levels).convert("RGB"))
    monkeypatch.setattr("leaklib.data._FLAT", 0.0)
    data._photos.cache_clear()
    yield
    data._photos.cache_clear()


def test_what_is_cut_from_one_half_shares_no_pixel_with_the_other(columns: None) -> None:
    left, right = (Photos(side=side) for side in ("left", "right"))
    crops = [side.crops(200, generator=generator(0, "crops")).inputs for side in (left, right)]
    windows = [side.batch(0, 240).inputs for side in (left, right)]
    middle = 0.5
    assert max(crops[0].max(), windows[0].max()) < middle < min(crops[1].min(), windows[1].min())
    assert crops[0].min() < 0.02 and windows[0].min() < 0.02  # and each reaches the outer edge


def test_a_half_has_as_many_windows_and_all_of_its_height() -> None:
    photos = Photos(side="right")
    assert len(photos) == 240 and len(Photos(side="right", only="cat")) == 30
    batch = photos.batch(0, 240)
    assert batch.labels.tolist() == list(range(8)) * 30
    assert len({picture.numpy().tobytes() for picture in batch.inputs}) == 240
