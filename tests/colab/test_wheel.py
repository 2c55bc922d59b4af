"""The wheel that the copies install: all of leaklib, under a version that says which build it is."""

import email
import re
import shutil
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

import leaklib

ROOT = Path(__file__).resolve().parents[2]
# By its place: there is also a package named wheel.
SPEC = spec_from_file_location("scripts_wheel", ROOT / "scripts" / "wheel.py")
build = module_from_spec(SPEC)
SPEC.loader.exec_module(build)


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """The book's sources once more, to be changed, or what of them a build needs at least."""
    here = tmp_path / "checkout"
    (here / "leaklib" / "widgets").mkdir(parents=True)
    for name in (*build.METADATA, *build.WRITTEN_IN, "leaklib/__init__.pyi", "leaklib/widgets/explorer.css"):
        shutil.copy(ROOT / name, here / name)
    monkeypatch.setattr(build, "ROOT", here)
    return here


def test_the_wheel_holds_all_of_leaklib_and_asks_for_no_accounting(tmp_path) -> None:
    made = build.wheel(tmp_path)
    assert made.path == tmp_path / f"leaklib-{made.version}-py3-none-any.whl"
    assert re.fullmatch(re.escape(leaklib.__version__) + r"\+b[0-9a-f]{10}", made.version)
    with zipfile.ZipFile(made.path) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = email.message_from_bytes(archive.read(f"leaklib-{made.version}.dist-info/METADATA"))
        shown = archive.read("leaklib/__init__.py").decode()
    files = (path.relative_to(ROOT) for path in (ROOT / "leaklib").rglob("*") if path.is_file())
    assert packed == {path.as_posix() for path in files if "__pycache__" not in path.parts}
    assert f'__version__ = "{made.version}"' in shown and metadata["Version"] == made.version
    always = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert "torch" in always and not any(re.match("dp.accounting|attrs", line) for line in always)
    assert any(line.startswith("dp-accounting; extra ==") for line in metadata.get_all("Requires-Dist"))


def test_same_contents_same_bytes_other_contents_another_version(checkout, tmp_path) -> None:
    first = build.wheel(tmp_path / "here")
    again = build.wheel(tmp_path / "there")
    assert (first.version, first.sha256) == (again.version, again.sha256)

    kept = first.path.stat().st_mtime_ns
    (checkout / "leaklib" / "__pycache__").mkdir()
    (checkout / "leaklib" / "__pycache__" / "x.pyc").write_bytes(b"")
    assert build.wheel(tmp_path / "here") == first and first.path.stat().st_mtime_ns == kept

    with (checkout / "leaklib" / "widgets" / "explorer.css").open("a") as file:
        file.write("\n")
    other = build.wheel(tmp_path / "here")
    assert other.version != first.version
    assert list((tmp_path / "here").iterdir()) == [other.path], "the old one is gone"


def test_two_versions_are_refused(checkout, tmp_path) -> None:
    init = checkout / "leaklib" / "__init__.py"
    init.write_text(init.read_text().replace('__version__ = "0.1.0"', '__version__ = "0.2.0"'))
    with pytest.raises(SystemExit, match=r"expected one version.*'0.1.0', '0.2.0'"):
        build.wheel(tmp_path)


def test_a_build_that_fails_says_what_setuptools_says(checkout, tmp_path) -> None:
    pyproject = checkout / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("[project]\n", "[project]\nlicence = 1\n"))
    with pytest.raises(SystemExit, match=r"(?s)could not build the wheel.*licence"):
        build.wheel(tmp_path)
    assert not list(tmp_path.glob("*.whl"))
