"""The first cell of a copy: what it adds, that it changes nothing, and the sentence of each failure.

Each test has an environment of its own, with pip and packaging from the book's, and wheels that are made
here: nothing is fetched from outside.
"""

import base64
import hashlib
import os
import subprocess
import sys
import threading
import venv
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "_ext"))
from leaky.copies_setup import setup_cell  # noqa: E402

OLD, NEW = "0.1.0+b0000000000", "0.1.0+b1111111111"


def made(folder: Path, name: str, version: str, *requires: str, extras: tuple[str, ...] = ()) -> Path:
    """A wheel of one module that knows its version."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {r}" for r in requires]
    files = {
        f"{module}/__init__.py": f'__version__ = "{version}"\n',
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_in, text in files.items():
            archive.writestr(name_in, text)
    return path


def digest(text: str) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


class Place:
    """An environment, a folder with the notebook, and all that can be had from the index."""

    def __init__(self, folder: Path) -> None:
        self.notebook, self.index = folder / "notebook", folder / "index"
        self.notebook.mkdir()
        self.index.mkdir()
        venv.create(folder / "env", with_pip=False, symlinks=True)
        self.python = folder / "env" / "bin" / "python"
        self.packages = next((folder / "env").glob("lib/python*/site-packages"))
        tools = folder / "tools"
        tools.mkdir()
        for tool in ("pip", "packaging"):  # without their metadata: they are no package of this environment
            (tools / tool).symlink_to(Path(find_spec(tool).origin).parent)
        (self.packages / "tools.pth").write_text(str(tools))

    def has(self, name: str, version: str, *requires: str, extras: tuple[str, ...] = ()) -> None:
        with zipfile.ZipFile(made(self.index.parent, name, version, *requires, extras=extras)) as wheel:
            wheel.extractall(self.packages)

    def listed(self) -> set[str]:
        return {path.name.removesuffix(".dist-info") for path in self.packages.glob("*.dist-info")}

    def cell(self, version: str = NEW, sha256: str | None = None, site: str | None = None) -> str:
        name = f"leaklib-{version}-py3-none-any.whl"
        beside = [f for f in (self.notebook / name, self.index / name) if f.exists()]
        right = hashlib.sha256(beside[0].read_bytes()).hexdigest() if beside else "0" * 64
        return setup_cell(name, version, sha256 or right, site)

    def run(self, cell: str, before: str = "", **variables: str) -> tuple[str, str]:
        """What the cell prints, and its last words if it stops."""
        done = subprocess.run(
            [self.python, "-c", before + cell],
            cwd=self.notebook,
            env={
                "PATH": os.environ["PATH"],
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.index),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        last = done.stderr.strip().rpartition("\n")[2]
        assert bool(done.returncode) == bool(last), done.stderr
        assert not last or "Stop: " in last, done.stderr
        return done.stdout, last.partition("Stop: ")[2]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


REQUIRES = (
    "numbers-lib >=2",
    'too-new; python_version < "3"',
    'docs; extra == "docs"',
    'DP_accounting; extra == "accounting"',
)


def test_it_adds_what_is_missing_and_changes_nothing(place: Place) -> None:
    made(place.notebook, "leaklib", NEW, *REQUIRES, extras=("accounting", "docs"))
    made(place.index, "dp-accounting", "0.6.0", "attrs >=22,<24", "dm-tree")
    made(place.index, "dm-tree", "0.1", "attrs >=18", "leaf <3", "numbers-lib >=2", "jedi")
    for version in ("2.9", "3.0"):
        made(place.index, "leaf", version)
    # What the index has newer, or older, must not come; nor what nobody needs.
    for name, version in [
        ("attrs", "23.2"),
        ("numbers-lib", "2.0"),
        ("too-new", "1"),
        ("docs", "1"),
        ("jedi", "1"),
    ]:
        made(place.index, name, version)
    place.has("attrs", "26.1")
    place.has("numbers-lib", "1.0", "elsewhere <0")
    place.has("elsewhere", "5")
    before = place.listed()

    said, stopped = place.run(place.cell())

    assert stopped == ""
    assert said.splitlines() == [
        f"added: leaklib {NEW}, dm-tree 0.1, dp-accounting 0.6.0, leaf 2.9; changed: nothing",
        "leaklib asks for numbers-lib>=2; 1.0 is here and stays.",
        "dp-accounting asks for attrs<24,>=22; 26.1 is here and stays, and this book's numbers are the same "
        "with it (checked with attrs 26.1).",
        "dm-tree asks for numbers-lib>=2; 1.0 is here and stays.",
    ]
    new = {f"leaklib-{NEW}", "dm_tree-0.1", "dp_accounting-0.6.0", "leaf-2.9"}
    assert place.listed() == before | new

    # Once more: one line, and without pip.
    (place.packages / "tools.pth").write_text(str(Path(find_spec("packaging").origin).parents[1]))
    for folder in ("index", "notebook"):
        for wheel in (place.index.parent / folder).glob("*.whl"):
            wheel.unlink()
    assert place.run(place.cell()) == (f"leaklib {NEW} is installed, with all that it needs.\n", "")
    assert place.listed() == before | new


def test_what_an_interrupted_run_left_out_is_added(place: Place) -> None:
    place.has("leaklib", NEW, "first")
    place.has("first", "1", "second")
    made(place.index, "second", "1")
    said, stopped = place.run(place.cell())
    assert (said, stopped) == ("added: second 1; changed: nothing\n", "")


def test_all_who_ask_for_a_missing_package_are_heard(place: Place) -> None:
    place.has("leaklib", NEW, "leaf <3", "first")
    place.has("first", "1", "leaf >=2")
    for version in ("1.0", "2.9", "3.0"):
        made(place.index, "leaf", version)
    assert place.run(place.cell())[0] == "added: leaf 2.9; changed: nothing\n"


def test_another_build_is_replaced_and_a_loaded_one_means_a_restart(place: Place) -> None:
    place.has("leaklib", OLD)
    wheel = made(place.notebook.parent, "leaklib", NEW)  # one folder up, as on the site
    cell = place.cell(sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    said, stopped = place.run(cell, before="import leaklib\n")
    assert said == f"added: nothing; changed: leaklib {OLD} to {NEW}\n"
    assert stopped == "Another build of leaklib is loaded: restart the runtime, then run all cells again."
    assert place.listed() == {f"leaklib-{NEW}"}
    assert place.run(cell, before="import leaklib\n")[1] == "", "the right build is loaded now"


def test_the_wheel_comes_from_the_site(place: Place) -> None:
    made(place.index, "leaklib", NEW)
    (place.index / "book").mkdir()
    for wheel in place.index.glob("leaklib-*"):
        wheel.rename(place.index / "book" / wheel.name)
    handler = partial(SimpleHTTPRequestHandler, directory=str(place.index))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = f"http://127.0.0.1:{server.server_address[1]}/book"
        wheel = next((place.index / "book").glob("*.whl"))
        sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert (
            place.run(place.cell(sha256=sha256, site=site))[0] == f"added: leaklib {NEW}; changed: nothing\n"
        )
        server.shutdown()


def test_a_wheel_that_is_not_this_one_is_refused(place: Place) -> None:
    made(place.notebook, "leaklib", NEW)
    _, stopped = place.run(place.cell(sha256="1" * 64))
    assert "Could not install" in stopped and "HASHES" in stopped and place.listed() == set()


def test_without_a_wheel_and_without_a_site_it_says_what_to_do(place: Place) -> None:
    _, stopped = place.run(place.cell())
    file = f"leaklib-{NEW}-py3-none-any.whl"
    assert stopped == f"Put the file {file}, which was built with this notebook, beside it."


def test_without_a_network_it_says_what_to_do(place: Place) -> None:
    _, stopped = place.run(place.cell(site="http://127.0.0.1:9/book"))
    address = "http://127.0.0.1:9/book/leaklib-0.1.0%2Bb1111111111-py3-none-any.whl"
    sentence = f"Could not install {address}. Without a network, put that file beside this notebook."
    assert stopped.startswith(f"{sentence} pip says: ERROR: "), stopped


def test_a_requirement_that_cannot_be_had_is_named(place: Place) -> None:
    made(place.notebook, "leaklib", NEW, "nowhere")
    _, stopped = place.run(place.cell())
    sentence = "Could not install nowhere. This needs a network once: run this cell again with one."
    assert stopped == f"{sentence} pip says: ERROR: No matching distribution found for nowhere"
    made(place.index, "nowhere", "1")
    assert place.run(place.cell()) == ("added: nowhere 1; changed: nothing\n", "")


def test_what_pip_puts_elsewhere_is_not_asked_for_for_ever(place: Place) -> None:
    place.has("leaklib", NEW, "leaf")
    made(place.index, "leaf", "1")
    _, stopped = place.run(place.cell(), PIP_TARGET=str(place.index.parent / "elsewhere"))
    assert stopped == "leaf: installed, but not found. Restart the kernel and run this again."


def test_a_checkout_is_used_as_it_stands(place: Place) -> None:
    place.has("leaklib", "0.1.0", "nowhere")
    origin = next(place.packages.glob("leaklib-*.dist-info")) / "direct_url.json"
    origin.write_text('{"dir_info": {"editable": true}, "url": "file:///home/me/book"}')
    assert place.run(place.cell()) == ("leaklib 0.1.0 is used as it stands in file:///home/me/book.\n", "")
    origin.write_text('{"dir_info": {}, "url": "file:///home/me/book"}')
    assert "Put the file" in place.run(place.cell())[1]
