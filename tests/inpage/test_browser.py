"""The attack in the page as a reader meets it: in Chromium and in Firefox, by mouse, keyboard, thumb and ear."""

import io

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import PHONE, WIDE, ChromiumTab, recording
from PIL import Image, ImageDraw

from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.models.lenet import LeNet
from leaklib.widgets import inpage

DATA = "() => ({...document.documentElement.dataset})"
READY = "() => document.documentElement.dataset.state === 'ready'"
RUNNING = "() => document.documentElement.dataset.state === 'running'"
OVER = "() => ['done', 'stopped'].includes(document.documentElement.dataset.state)"
CLEAR = "() => Number(document.documentElement.dataset.psnr) >= 30"
NOTICE = "() => document.getElementById('notice').textContent"
CHOSEN = """() => {
  const {width, height} = document.querySelector(".slot canvas");
  return [...document.querySelector(".slot canvas").getContext("2d").getImageData(0, 0, width, height).data];
}"""


@pytest.fixture
def opened(tab, live):
    """Opens the page from a file, waits until it is ready, and fails if anything is complained about or asked for."""

    def opened(fragment="start=click"):
        tab.visit(f"{(live / 'live.html').as_uri()}#{fragment}")
        tab.wait(READY)
        return tab

    yield opened
    assert tab.errors == [] and tab.requests == []


def result(tab, seconds=60):
    tab.wait(OVER, seconds)
    data = tab.run(DATA)
    assert data["state"] == "done"
    return float(data["psnr"]), int(data["evaluations"]), data["label"]


def png(pixels, path):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)
    return path


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape)


def text():
    picture = Image.new("RGB", (32, 32), "white")
    ImageDraw.Draw(picture).text((1, 8), "leaky", fill="black")
    return np.asarray(picture)


# What comes in


def test_a_sample_is_rebuilt(opened):
    tab = opened()
    tab.click("#go")
    tab.wait(RUNNING)
    tab.wait(CLEAR)
    assert tab.run(DATA)["label"] == "3", "the cat's, read off the update"
    tab.click("#go")
    tab.wait(OVER)
    assert tab.run(DATA)["state"] == "stopped"


def test_it_works_over_http_too(tab, live):
    with recording(live) as server:
        tab.visit(f"{server.address}/live.html")  # starts by itself once it is seen
        tab.wait(CLEAR)
        assert [path for path in server.paths if path != "/favicon.ico"] == ["/live.html"]


def test_a_chosen_file_is_attacked_at_once(opened, tmp_path):
    """Pixel for pixel what the file holds, and a better guess from frame to frame."""
    tab, pixels = opened(), noise(32, 32, 3)
    tab.choose(png(pixels, tmp_path / "own.png"))
    tab.wait(RUNNING)
    seen = np.array(tab.run(CHOSEN)).reshape(32, 32, 4)
    assert (seen[..., :3] == pixels).all() and (seen[..., 3] == 255).all()
    tab.wait("() => Number(document.documentElement.dataset.psnr) >= 12")
    first = tab.run(DATA)
    tab.wait(CLEAR)
    assert int(tab.run(DATA)["evaluations"]) > int(first["evaluations"]) > 0
    # A good guess shows: the canvas is the picture, to a few of its 256 levels.
    guess = tab.run(CHOSEN.replace(".slot", ".guess"))
    assert np.abs(np.array(guess).reshape(32, 32, 4)[..., :3] - pixels).mean() < 6


STRANGE = {
    "black": np.zeros((32, 32, 3)),
    "white": np.full((32, 32, 3), 255),
    "gray": np.full((32, 32, 3), 128),
    "noise": noise(32, 32, 3),
    "text": text(),
    "with alpha": np.concatenate([noise(32, 32, 3), np.linspace(0, 255, 1024).reshape(32, 32, 1)], 2),
    "one pixel": np.array([[[255, 0, 0]]]),
    "a line": noise(2, 2000, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGE)
def test_strange_pictures_are_rebuilt(opened, tmp_path, name):
    tab = opened()
    tab.choose(png(STRANGE[name], tmp_path / "own.png"))
    psnr, _, label = result(tab)
    assert psnr > 60 and label == "3"


@pytest.mark.slow
def test_a_picture_of_forty_megapixels(opened, tmp_path):
    x, y = np.linspace(0, 255, 8000), np.linspace(0, 255, 5000)
    pixels = np.stack([np.tile(x, (5000, 1)), np.tile(y, (8000, 1)).T, np.full((5000, 8000), 90.0)], 2)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "large.jpg")
    tab = opened()
    tab.choose(tmp_path / "large.jpg")
    tab.wait(RUNNING)
    tab.wait(CLEAR)
    seen = np.array(tab.run(CHOSEN)).reshape(32, 32, 4)
    middle = pixels[:, 1500:6500].reshape(32, 156, -1, 3)[:, :, : 32 * 156]  # the square in the middle
    assert abs(seen[..., 1].mean() - middle[..., 1].mean()) < 2
    assert seen[0, :, 0].min() > 40 and seen[0, :, 0].max() < 215, "its left and right are cut off"


BROKEN = {
    "words.txt": b"this is no picture",
    "empty.png": b"",
    "broken.png": None,  # its first half
    "broken.json": b'{"leaklib": ',
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_gets_a_sentence(opened, tmp_path, name):
    content = BROKEN[name]
    if content is None:
        memory = io.BytesIO()
        Image.fromarray(noise(32, 32, 3).astype(np.uint8)).save(memory, "png")
        content = memory.getvalue()[:1500]
    (tmp_path / name).write_bytes(content)
    tab = opened()
    before = tab.run(CHOSEN)
    tab.choose(tmp_path / name)
    said = tab.wait(NOTICE)
    assert len(said) > 20 and tab.run(DATA)["state"] == "ready" and tab.run(CHOSEN) == before
    tab.choose(png(noise(32, 32, 3), tmp_path / "own.png"))  # and it goes on
    tab.wait(CLEAR)
    assert tab.run(NOTICE) == ""
