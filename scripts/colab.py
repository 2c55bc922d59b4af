"""Runs the copies of the chapters as Colab would: its versions, an empty folder, no network after the setup.

    scripts/colab.py [--versions colab|newest] [--python python3.13] [--keep FOLDER] [NAME ...]

``colab`` is the versions of tests/colab/colab.txt; ``newest`` is the newest of everything: what drifts? The
environment is kept, and each run starts from it without what an earlier one added. First the setup cell
installs the wheel of the built site, from an address as in real life, and may only add packages. Then
the cells of each copy run with nothing outside this machine in reach, its solutions too, and its live attack
once. The comparison with the stored outputs is the chapters' own, chapters/conftest.py. A NAME such as
1_first_inversion is an assignment (make coursework), which runs as students get it, with its solutions put
back. Exits with 1 where anything fails or has left its tolerance. Run by the book's own Python, which needs
nothing from the other.
"""

import argparse
import functools
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import tomllib
from itertools import zip_longest
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_output

import coursework

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "tests" / "colab" / "colab.txt"
OFFLINE = ROOT / "tests" / "colab" / "offline"
CHAPTERS = ROOT / "chapters"
COPIES, SITE = ROOT / "_build" / "colab", ROOT / "_build" / "html"
STUDENT = coursework.OUT / "student"
PUBLISHED = "leaky-gradients"  # the folder of the site's address
SITE_LINE = re.compile(r'^SITE = "[^"]*"', re.MULTILINE)
DEAD = "http://127.0.0.1:9"  # a proxy that nobody runs, for what connects without Python
QUIET = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # debugpy's warning at each start of a kernel
# Presses Run on the live attack of a chapter, once, and waits for its result.
LIVE = """\
import gc
panel = [thing for thing in gc.get_objects() if type(thing).__name__ == "Live"][-1]
panel.start.click()
panel.thread.join(300)
assert panel.result is not None, panel.message.value
"""
# A solution, which "Run all" leaves out, in a copy of the state that the last cell leaves.
SOLUTION = "%%capture\nexec(compile({code!r}, {name!r}, 'exec'), dict(globals()))"
ASLEEP, AWAKE = "run_solution = False", "run_solution = True"
COLOUR = re.compile(r"\x1b\[[\d;]*m")


# ---- the environment ----


def environment(folder: Path, python: str, newest: bool) -> Path:
    """The Python of the environment in ``folder``, made unless it is there as it should be."""
    own, stamp = folder / "bin" / "python", folder / "complete.json"
    asked = "newest" if newest else PINS.read_text(encoding="utf8")
    made = json.loads(stamp.read_text()) if stamp.exists() else {}
    if made.get("asked") == asked:
        if extra := packages(own).keys() - made["packages"].keys():
            subprocess.run([own, "-m", "pip", "uninstall", "-q", "-y", *extra], check=True)
    else:
        print(f"Making {folder}: 5 to 10 minutes and, on Linux, 6 GB, most of it PyTorch.", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    if newest:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
        eager = ["--upgrade", "--upgrade-strategy", "eager"]
        install(own, *eager, "pip", "attrs", "ipykernel", *project["dependencies"])
    elif made.get("asked") != asked:
        # torch with the libraries it asks for; then each package as Colab has it, whatever it asks for.
        install(own, "-c", PINS, "torch", "torchvision")
        install(own, "--no-deps", "-r", PINS)
    stamp.write_text(json.dumps({"asked": asked, "packages": packages(own)}))
    return own


def install(python, *what):
    subprocess.run([python, "-m", "pip", "install", "-q", *what], check=True)


def packages(python) -> dict[str, str]:
    """What is installed, by name."""
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True)
    return {package["name"]: package["version"] for package in json.loads(listed.stdout)}


def kernel(folder: Path, python: Path, name: str, variables: dict[str, str]) -> None:
    """Describes a kernel of ``python`` to Jupyter, with these environment variables."""
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": name, "language": "python", "env": variables}
    (place / "kernel.json").write_text(json.dumps(spec))


# ---- the copies ----


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def wheels() -> list[Path]:
    """That of the site, and that which lies beside the assignments."""
    return [*SITE.glob("leaklib-*.whl"), *STUDENT.glob("leaklib-*.whl")]


def assigned(name: str) -> bool:
    """Whether this is the name of an assignment, and of no chapter."""
    return (STUDENT / f"{name}.ipynb").exists()


def source_of(path: Path) -> Path:
    """The notebook that a copy was derived from."""
    return (coursework.SOURCES if path.parent == STUDENT else CHAPTERS) / path.name


def serve(folder: Path) -> str:
    """The address at which the wheel can be fetched, as from a published site."""
    published = folder / PUBLISHED
    published.mkdir()
    for wheel in wheels():
        (published / wheel.name).write_bytes(wheel.read_bytes())
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/{PUBLISHED}"


def prepared(path: Path, site: str):
    """A copy, with its setup cell (None without code), which looks for the wheel at this address."""
    notebook = nbformat.read(path, as_version=4)
    if path.parent == STUDENT:
        notebook = coursework.solved(notebook, nbformat.read(source_of(path), as_version=4))
    setup = next((cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", [])), None)
    if setup:
        setup.source, found = SITE_LINE.subn(f'SITE = "{site}"', setup.source)
        if found != 1:
            raise SystemExit(f"{path.name}: expected one line SITE = in the setup cell, found {found}")
        # What it says depends on what is installed; that it says something does not.
        setup.outputs = [new_output("stream", text="…\n")]
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    source = nbformat.read(source_of(path), as_version=4)
    given = [cell for cell in source.cells if "hidden" not in cell.metadata.get("tags", [])]
    stored = {cell.id: cell.outputs for cell in given if cell.cell_type == "code"}
    for cell in codes:
        cell.outputs = stored.get(cell.id, cell.outputs)  # a copy keeps of a figure its PNG alone
        cell.execution_count = 1  # nbval takes a cell without for one whose outputs are not its own
    if lost := stored.keys() - {cell.id for cell in codes}:
        raise SystemExit(f"{path.name} has no cell {', '.join(lost)} of the chapter: make book")
    if any("live(\n" in cell.source for cell in codes):
        notebook.cells.append(new_code_cell(LIVE, execution_count=1))
    for cell in codes:
        if "solution" in cell.metadata.get("tags", []):
            name = cell.source.partition("\n")[0]
            if ASLEEP not in cell.source:
                raise SystemExit(f"{path.name}: {name} would run with all other cells")
            code = cell.source.replace(ASLEEP, AWAKE)
            notebook.cells.append(new_code_cell(SOLUTION.format(code=code, name=name), execution_count=1))
    return notebook, setup


def run_setup(setup, folder: Path) -> bool:
    """Runs the setup cell, with the network, and shows what it says; whether it went well."""
    alone = nbformat.v4.new_notebook(cells=[new_code_cell(setup.source)])
    client = NotebookClient(alone, kernel_name="online", resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except CellExecutionError as error:
        print(error)
        return False
    print("The setup cell says:", *(output.text for output in alone.cells[0].outputs), sep="\n")
    return True


# ---- the comparison: this file is pytest's plugin, too ----


def pytest_runtest_makereport(item, call):
    """For the table: the lines of a failed cell that are neither as stored nor within their tolerance."""
    if call.when == "call" and call.excinfo:
        from conftest import settled_line  # the chapters', in whose run this is a plugin

        error = call.excinfo.value
        last = (getattr(error, "inner_traceback", None) or "").strip().rpartition("\n")[2]
        rows = [("", COLOUR.sub("", f"{error} {last}"))]
        if "outputs differ" in str(error):
            rows = drift(item.cell.outputs, item.test_outputs, settled_line) or rows
        item.user_properties.append(("drift", rows))


def drift(stored, shown, settled) -> list[tuple[str, str]]:
    """The lines that differ, ``settled`` being the chapters' way to see a number within its tolerance."""
    pairs = zip_longest(text(stored), text(shown), fillvalue="")
    return [(before, now) for before, now in pairs if settled(now, before) != before]


def text(outputs) -> list[str]:
    """The lines that outputs print or show as plain text."""
    texts = (out.get("text") or out.get("data", {}).get("text/plain", "") for out in outputs)
    return [line for block in texts for line in "".join(block).splitlines()]


def pytest_terminal_summary(terminalreporter):
    failed = terminalreporter.stats.get("failed", [])
    if not failed:
        return
    terminalreporter.section("what differs from the book")
    terminalreporter.write_line("| copy, cell | stored | here |\n|---|---|---|")
    for report in failed:
        place = report.nodeid.rpartition("/")[2]
        for before, now in dict(report.user_properties)["drift"]:
            terminalreporter.write_line(f"| {place} | {before} | {now.replace(chr(10), ' ')} |")


def compare(folder: Path, jobs: int) -> bool:
    """Runs the copies in ``folder`` and compares; whether all is as it was."""
    sys.path += [str(ROOT / "scripts"), str(CHAPTERS)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "scripts"), str(CHAPTERS)])
    options = [
        "--nbval-lax",
        "--nbval-kernel-name=offline",
        "--nbval-cell-timeout=600",
        f"--rootdir={folder}",
    ]
    plugins = ["-p", "conftest", "-p", "colab", "-p", "no:cacheprovider"]
    return (
        pytest.main(
            [*options, *plugins, *(["-n", str(jobs)] if jobs > 1 else []), "-q", "--tb=line", str(folder)]
        )
        == 0
    )


# ---- all of it ----


def main() -> bool:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as 03_dlg; without any, all copies")
    parser.add_argument("--versions", choices=["colab", "newest"], default="colab")
    parser.add_argument("--python", default="python3.13", help="Colab's is 3.13")
    parser.add_argument("--keep", type=Path, help="where the environment is kept: .cache/colab/VERSIONS")
    parser.add_argument("--jobs", type=int, default=1, help="how many copies run at a time")
    options = parser.parse_args()

    names = options.names or sorted(path.stem for path in COPIES.glob("*.ipynb"))
    paths = {name: (STUDENT if assigned(name) else COPIES) / f"{name}.ipynb" for name in names}
    absent = [name for name, path in paths.items() if not path.exists()]
    if absent or not names or not wheels():
        raise SystemExit(
            f"no copies of {', '.join(absent) or 'the chapters'} in {COPIES}, or no wheel: make book, for "
            "an assignment make coursework"
        )
    keep = (options.keep or ROOT / ".cache" / "colab" / options.versions).absolute()
    python = environment(keep, options.python, options.versions == "newest")

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "copies")
        folder.mkdir()
        site = serve(Path(scratch))
        os.environ["JUPYTER_PATH"] = scratch
        # Nothing of the checkout on Python's path, whoever started this.
        kernel(Path(scratch), python, "online", {"PYTHONPATH": "", **QUIET})
        proxies = dict.fromkeys(["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"], DEAD)
        kernel(Path(scratch), python, "offline", {"PYTHONPATH": str(OFFLINE), **proxies, **QUIET})

        copies = {name: prepared(path, site) for name, path in paths.items()}
        before = packages(python)
        setup = next((setup for _, setup in copies.values() if setup), None)
        good = setup is None or run_setup(setup, folder)
        if good:
            for name, (notebook, _) in copies.items():
                nbformat.write(notebook, folder / f"{name}.ipynb")
            good = compare(folder, options.jobs)
        after = packages(python)

    added = {name: version for name, version in after.items() if name not in before}
    changed = {name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old}
    print(f"pip: {len(before)} packages before; added {added or 'nothing'}; changed {changed or 'nothing'}.")
    return good and not changed


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
