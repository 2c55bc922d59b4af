"""Pictures as browsers read them, against `ImageFile`: the same files, in Chromium and in Firefox."""

import base64
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from browsers import tab_in
from PIL import Image, ImageCms, PngImagePlugin

from leaklib.data import ImageFile, Photos
from leaklib.widgets.inpage import document, script

EXPOSED = "readFile, samplePicture, fromCanvas, fromClipboard, openCamera, DrawingPad, PEN_COLORS"
ORIENTATION = 274


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def tab(request):
    """One tab of each browser: every test opens its document anew."""
    yield from tab_in(request)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where pictures lie that both browsers read."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A document with the page's content policy, opened from disk, and its functions in reach of a test."""
    code = (
        script(("network", "picture", "drawing")).removesuffix("})();")
        + f"Object.assign(window, {{{EXPOSED}}});\n}})();"
    )
    key = base64.b64encode(sha256(code.encode()).digest()).decode()
    [policy] = re.findall(r'content="(default-src [^"]*)"', document())
    policy, scripts = re.subn(r"script-src 'sha256-[^']*'", f"script-src 'sha256-{key}'", policy)
    assert scripts == 1 and "connect-src 'none'" in policy
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf8"><title>Pictures</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<input type="file"><canvas></canvas><video></video><script>{code}</script>'
    )
    path = tmp_path_factory.mktemp("picture") / "page.html"
    path.write_text(html, encoding="utf8")
    return path.as_uri()


def _open(tab, address: str) -> None:
    tab.errors.clear()
    tab.requests.clear()
    tab.visit(address)


@pytest.fixture
def read(tab, address):
    """``read(path)`` is what the page reads from a file, 3×32×32 float64; RuntimeError with its sentence."""
    _open(tab, address)

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


def written(path: Path, save: Callable[[Path], object]) -> Path:
    """The path of a file that is saved only once."""
    if not path.exists():
        save(path)
    return path


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


def test_pictures_without_loss_are_read_to_the_bit(read, folder) -> None:
    """Of every size, larger and smaller, and larger than one strip."""
    for size in SIZES:
        name = "{}x{}.png".format(*size)
        path = written(folder / name, lambda path, size=size: noise(*size).save(path, compress_level=1))
        np.testing.assert_array_equal(read(path), expected(path), err_msg=path.name)


def test_black_white_and_gray_stay_what_they_are(read, tmp_path) -> None:
    for level in (0, 127, 128, 255):
        for size in ((32, 32), (1000, 77)):
            path = tmp_path / "flat.png"
            Image.new("RGB", size, (level,) * 3).save(path)
            assert np.unique(read(path)).tolist() == [np.float32(level) / np.float32(255)]


def test_a_picture_stands_upright_however_the_camera_was_held(read, tmp_path) -> None:
    original, seen = scene(90, 60), []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        path = tmp_path / f"{orientation}.jpg"
        original.save(path, quality=95, exif=exif)
        seen.append(read(path))
        assert np.abs(seen[-1] - expected(path)).max() <= 2 / 255
        # A picture that was turned the wrong way is far away.
        assert orientation == 1 or np.abs(seen[-1] - seen[0]).max() > 0.2


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


def swapped() -> bytes:
    """A color profile that would change red and blue where one heeds it: ImageFile does not."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.find(b"rXYZ"), profile.find(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def _gamma(path: Path) -> None:
    """The levels of another screen, as a number in the file."""
    extra = PngImagePlugin.PngInfo()
    extra.add(b"gAMA", (100_000).to_bytes(4, "big"))
    scene(64, 64).save(path, pnginfo=extra)


def _camera(path: Path) -> None:
    """As phones write them: first a long EXIF part, then the profile."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x010E] = 6, "words " * 9000
    scene(200, 100).save(path, quality=95, exif=exif, icc_profile=swapped())


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
    "profile.png": lambda path: scene(64, 64).save(path, icc_profile=swapped()),
    "profile.webp": lambda path: scene(64, 64).save(path, lossless=True, icc_profile=swapped()),
    "camera.jpg": _camera,
    "gamma.png": _gamma,
}


def test_every_kind_of_picture_is_read_as_by_leaklib(read, folder) -> None:
    apart = {}
    for name, save in KINDS.items():
        apart[name] = round(levels_apart(read, written(folder / name, save)), 3)
    print(apart)
    assert max(apart.values()) <= 2, apart


def _half(name: str, path: Path, end: int | None = None) -> None:
    """The first half of a good file, or all up to ``end``."""
    whole = written(path.with_name(name), lambda path: scene(640, 480).save(path, quality=90)).read_bytes()
    path.write_bytes(whole[: end or len(whole) // 2])


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_001)


BAD = {
    "empty.png": (lambda path: path.write_bytes(b""), "The file is empty: choose a picture."),
    "text.png": (
        lambda path: path.write_text("not a picture"),
        "This is not a picture that the browser reads",
    ),
    "noise.jpg": (
        lambda path: path.write_bytes(b"\xff\xd8\xff" + bytes(range(256)) * 9),
        "The JPEG file is broken",
    ),
    "half.png": (lambda path: _half("whole.png", path), "The PNG file is broken or not complete"),
    "half.jpg": (lambda path: _half("whole.jpg", path), "The JPEG file is broken or not complete"),
    "half.webp": (lambda path: _half("whole.webp", path), "The WebP file is broken or not complete"),
    "no end.png": (lambda path: _half("whole.png", path, -12), "The PNG file is broken or not complete"),
    "no end.jpg": (lambda path: _half("whole.jpg", path, -2), "The JPEG file is broken or not complete"),
    "head.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "The PNG file is broken"),
    "drawing.svg": (
        lambda path: path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
        "A drawing in SVG has no pixels of its own: save it as PNG.",
    ),
    "photo.heic": (
        lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)),
        "This browser does not read HEIC: save the picture as PNG, JPEG",
    ),
    "huge.jpg": (_huge, "The file has 101 MB: at most 100 MB are read."),
    "wide.png": (
        lambda path: Image.new("1", (10000, 9000)).save(path),
        "The picture has 90 megapixels: at most 89 are read.",
    ),
}


def test_what_is_no_picture_is_answered_with_a_sentence(read, folder) -> None:
    said = {}
    for name, (save, _) in BAD.items():
        path = written(folder / name, save)
        try:
            said[name] = f"was read, mean {read(path).mean():.3f}"
        except RuntimeError as error:
            said[name] = str(error)
    wrong = {n: said[n] for n, (_, sentence) in BAD.items() if not said[n].startswith(sentence)}
    assert wrong == {}


@pytest.mark.slow
def test_a_photograph_of_40_megapixels_is_read_whole(read, tmp_path) -> None:
    path = tmp_path / "large.jpg"
    scene(7300, 5480).save(path, quality=90)
    assert levels_apart(read, path) <= 1


@pytest.fixture
def visited(tab, address):
    _open(tab, address)
    yield tab
    assert tab.requests == [] and tab.errors == []


def test_samples_canvases_and_what_is_pasted_are_read_alike(visited, tmp_path) -> None:
    """A PNG of 40×50 pixels by every way but a chosen file, which are the same to the bit."""
    path = tmp_path / "noise.png"
    noise(40, 50).save(path)
    data = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    found = visited.run(
        """async data => {
          const bytes = Uint8Array.from(atob(data.split(",")[1]), letter => letter.charCodeAt(0));
          const file = new File([bytes], "noise.png", {type: "image/png"});
          const text = new File(["hello"], "a.txt");
          const carried = (...files) => {
            const carried = new DataTransfer();
            for (const one of files) carried.items.add(one);
            return carried;
          };
          // Firefox makes no paste event that carries anything.
          const pasting = value => Object.defineProperty(new Event("paste"), "clipboardData", {value});
          const canvas = document.querySelector("canvas"), image = await createImageBitmap(file);
          canvas.width = 40;
          canvas.height = 50;
          canvas.getContext("2d").drawImage(image, 0, 0);
          const pictures = {
            sample: await samplePicture(data),
            canvas: await fromCanvas(canvas),
            bitmap: await fromCanvas(image),
            paste: await fromClipboard(pasting(carried(text, file))),
            items: await fromClipboard([
              new ClipboardItem({"text/plain": "hello"}), new ClipboardItem({"image/png": file}),
            ]),
          };
          const lists = Object.entries(pictures).map(([name, picture]) => [name, [...picture]]);
          return Object.fromEntries(lists);
        }""",
        data,
    )
    assert len(found) == 5
    for name, picture in found.items():
        np.testing.assert_array_equal(np.reshape(picture, (3, 32, 32)), expected(path), err_msg=name)


def test_where_nothing_was_carried_a_sentence_says_so(visited) -> None:
    found = visited.run(
        """async () => {
          const said = async promise => promise().then(() => "read", error => error.message);
          const link = new DataTransfer();
          link.setData("text/uri-list", "https://example.org/cat.png");
          Object.defineProperty(navigator, "clipboard", {value: {read: () => Promise.reject(new Error("no"))},
            configurable: true});
          const refused = await said(() => fromClipboard());
          Object.defineProperty(navigator, "clipboard", {value: undefined});
          return {
            refused,
            unknown: await said(() => fromClipboard()),
            text: await said(() => fromClipboard([new ClipboardItem({"text/plain": "hello"})])),
            paste: await said(() => fromClipboard(new ClipboardEvent("paste", {clipboardData: link}))),
            canvas: await said(() => fromCanvas(Object.assign(document.createElement("canvas"), {width: 0}))),
            video: await said(() => fromCanvas(document.querySelector("video"))),
          };
        }"""
    )
    assert found == {
        "refused": "The browser did not let the page see the clipboard: press Ctrl+V or ⌘V instead.",
        "unknown": "This browser lets no button paste: press Ctrl+V or ⌘V instead.",
        "text": "There is no picture in the clipboard: copy one first.",
        "paste": "There is no picture in the clipboard: copy one first.",
        "canvas": "There is no picture yet: wait a moment and try again.",
        "video": "There is no picture yet: wait a moment and try again.",
    }


CAMERAS = """
() => {
  // Two cameras: the one on the front sees red, the other blue. `tracks` tells what became of them.
  window.asked = [];
  window.tracks = [];
  const getUserMedia = async ({video, audio}) => {
    asked.push([video.facingMode, audio]);
    if (window.trouble) throw new DOMException("no", window.trouble);
    const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 48});
    const context = canvas.getContext("2d");
    const paint = () => {
      context.fillStyle = video.facingMode === "user" ? "#ff0000" : "#0000ff";
      context.fillRect(0, 0, 64, 48);
    };
    paint();
    setInterval(paint, 20);
    const stream = canvas.captureStream(30);
    tracks.push(...stream.getTracks());
    return stream;
  };
  Object.defineProperty(navigator, "mediaDevices", {value: {getUserMedia}, configurable: true});
}
"""


def test_the_camera_opens_turns_and_is_off_when_it_is_closed(visited) -> None:
    visited.run(CAMERAS)
    found = visited.run(
        """async () => {
          const video = document.querySelector("video"), camera = await openCamera(video);
          const seen = async () => {
            for (let i = 0; i < 200; i++) {
              try {
                return [...await camera.picture()];
              } catch {
                await new Promise(done => setTimeout(done, 20));
              }
            }
          };
          const front = await seen(), first = camera.facing();
          await camera.turn();
          const live = tracks.map(track => track.readyState), back = await seen(), second = camera.facing();
          camera.close();
          return {front, back, facing: [first, second], asked, live,
            closed: tracks.map(track => track.readyState), empty: video.srcObject === null};
        }"""
    )
    front, back = (np.reshape(found[name], (3, -1)).mean(1) for name in ("front", "back"))
    # A video has its own idea of red, but not of which of the three is the largest.
    assert front[0] > 0.8 > 0.2 > max(front[1:]) and back[2] > 0.8 > 0.2 > max(back[:2])
    assert found["facing"] == ["user", "environment"]
    assert found["asked"] == [["user", False], ["environment", False]]
    assert found["live"] == ["ended", "live"] and found["closed"] == ["ended", "ended"] and found["empty"]


def test_a_camera_that_does_not_open_says_why(visited) -> None:
    visited.run(CAMERAS)
    found = visited.run(
        """async () => {
          const said = {}, video = document.querySelector("video");
          for (const name of ["NotAllowedError", "NotFoundError", "NotReadableError", "AbortError"]) {
            window.trouble = name;
            said[name] = await openCamera(video).then(() => "open", error => error.message);
          }
          window.trouble = "";
          // On a phone whose other camera is broken the first one goes on.
          const one = await openCamera(video);
          const both = navigator.mediaDevices.getUserMedia;
          navigator.mediaDevices.getUserMedia = asked => asked.video.facingMode === "user" ? both(asked)
            : Promise.reject(new DOMException("no", "OverconstrainedError"));
          said.other = await one.turn().then(() => "turned", error => error.message);
          said.still = [one.facing(), tracks.at(-1).readyState].join();
          one.close();
          navigator.mediaDevices.getUserMedia = both;
          // Closed while the reader was still asked for the other camera.
          const camera = await openCamera(video), turning = camera.turn();
          camera.close();
          await turning;
          said.late = tracks.map(track => track.readyState).join();
          Object.defineProperty(navigator, "mediaDevices", {value: undefined});
          said.none = await openCamera(video).then(() => "open", error => error.message);
          return said;
        }"""
    )
    assert found == {
        "NotAllowedError": "The camera is not allowed here: allow it in the browser, or choose a file.",
        "NotFoundError": "This device has no camera: choose a file.",
        "NotReadableError": "Another program uses the camera: close it and try again, or choose a file.",
        "AbortError": "The camera does not start: choose a file.",
        "other": "This device has no such camera: choose a file.",
        "still": "user,live",
        "late": "ended,ended,ended,ended",
        "none": "The browser gives this page no camera: open it over https, or choose a file.",
    }


PAD = """
() => {
  window.heard = {changed: 0, said: []};
  const canvas = document.querySelector("canvas");
  canvas.style.width = canvas.style.height = "160px"; // five pixels of the page for one of the drawing
  canvas.style.position = "fixed";
  canvas.style.left = canvas.style.top = "0";
  window.pad = new DrawingPad(canvas, {changed: () => heard.changed++, say: text => heard.said.push(text)});
  pad.size = 1;
  window.touch = (type, x, y, more = {}) => canvas.dispatchEvent(new PointerEvent(type, {
    clientX: 5 * x, clientY: 5 * y, pointerId: 7, pointerType: "touch", button: 0, bubbles: true,
    cancelable: true, ...more}));
  // Where the drawing is not white: pixels as row, column and color.
  window.drawn = () => {
    const picture = pad.picture(), found = [];
    for (let i = 0; i < 1024; i++) {
      const color = [0, 1, 2].map(c => Math.round(255 * picture[1024 * c + i]));
      if (color.some(level => level !== 255)) found.push([Math.floor(i / 32), i % 32, color.join()]);
    }
    return found;
  };
}
"""


def test_a_finger_draws_lines_of_the_chosen_size_and_color(visited) -> None:
    visited.run(PAD)
    found = visited.run(
        """() => {
          const red = PEN_COLORS.find(color => color.name === "red"), steps = [];
          touch("pointerdown", 3.5, 2.5);
          touch("pointermove", 7.5, 2.5);
          touch("pointermove", 9.5, 9.5, {pointerId: 8}); // another finger
          touch("pointerup", 7.5, 2.5);
          touch("pointermove", 20, 20); // lifted
          steps.push(drawn());
          pad.color = red;
          pad.size = 4;
          touch("pointerdown", 20, 20);
          touch("pointerup", 20, 20);
          steps.push(drawn());
          touch("pointerdown", 31.5, -3); // partly outside
          touch("pointermove", 40, -3);
          touch("pointercancel", 40, -3);
          touch("pointerdown", 1, 1, {button: 2});
          const undone = [pad.undo(), pad.undo(), pad.undo(), pad.undo()];
          return {steps, undone, empty: drawn(), changed: heard.changed};
        }"""
    )
    black, red = "0,0,0", "214,40,40"
    line = [[2, column, black] for column in range(3, 8)]
    disc = [
        [y, x, red] for y in range(18, 22) for x in range(18, 22) if (y - 19.5) ** 2 + (x - 19.5) ** 2 <= 4
    ]
    assert found["steps"] == [line, line + disc]
    assert found["undone"] == [True, True, True, False] and found["empty"] == []
    assert found["changed"] == 6


def test_the_pad_is_used_by_keyboard_alone(visited) -> None:
    """The frame begins in the middle, and is not part of the picture."""
    visited.run(PAD)
    visited.run("() => document.querySelector('input').focus()")
    visited.press("Tab")
    visited.press("ArrowRight")
    visited.press("Space")
    visited.press("Shift", "ArrowDown")
    assert visited.run("drawn") == [[16, 17, "0,0,0"]]
    visited.press("Space")
    assert visited.run("drawn") == [[16, 17, "0,0,0"], [26, 17, "0,0,0"]]
    said = visited.run("() => heard.said")
    assert said == [
        "row 17, column 18",
        "row 17, column 18, black",
        "row 27, column 18",
        "row 27, column 18, black",
    ]
    held = visited.run(
        """() => {
          const canvas = document.querySelector("canvas"), scrolled = [];
          const key = (type, key, more) => {
            const event = new KeyboardEvent(type, {key, bubbles: true, cancelable: true, ...more});
            canvas.dispatchEvent(event);
            return event.defaultPrevented;
          };
          pad.clear();
          const used = [" ", "ArrowUp", " ", "ArrowUp"].map(name => key("keydown", name));
          key("keyup", " ");
          const line = drawn(), other = [key("keydown", "Tab"), key("keydown", "z")];
          const undone = [key("keydown", "z", {ctrlKey: true}), drawn().length];
          key("keydown", "z", {metaKey: true});
          const back = drawn().length;
          pad.clear();
          pad.size = 2;
          key("keydown", " ");
          key("keyup", " ");
          const block = drawn();
          key("keydown", "ArrowUp");
          pad.close();
          key("keydown", " ");
          const [role, label] = ["role", "aria-label"].map(name => canvas.getAttribute(name));
          return {used, line, other, undone, back, block, end: drawn().length, role, label};
        }"""
    )
    assert held["line"] == [[row, 17, "0,0,0"] for row in (24, 25, 26)]
    assert held["used"] == [True] * 4 and held["other"] == [False, False]  # Tab leaves, z is a letter
    assert held["undone"] == [True, 0] and held["back"] == 2
    assert held["block"] == [[row, column, "0,0,0"] for row in (24, 25) for column in (17, 18)]
    assert held["end"] == 4  # a pad that is closed hears nothing
    assert held["role"] == "application" and "Arrow keys" in held["label"]


def test_a_browser_that_hides_its_canvases_is_told_from_a_gray_picture(visited) -> None:
    """As Firefox does against fingerprinting: every pixel read is white, or noise."""
    said = visited.run(
        """async () => {
          const {getImageData} = CanvasRenderingContext2D.prototype;
          CanvasRenderingContext2D.prototype.getImageData = function (...box) {
            const read = getImageData.apply(this, box);
            read.data.fill(255);
            return read;
          };
          const canvas = Object.assign(document.createElement("canvas"), {width: 40, height: 40});
          return fromCanvas(canvas).then(() => "read", error => error.message);
        }"""
    )
    assert said.startswith("This browser hides from pages what is on a canvas")
