"""Builds the wheel of leaklib as it stands here, in seconds and without a network: scripts/wheel.py FOLDER.

The version says which build it is: 0.1.0+b and ten hex digits of a hash over the package's files and
metadata. The same contents have the same version and, built with the same setuptools, the same bytes. Other
wheels of leaklib in the folder are removed. Needs setuptools, which is in requirements.txt.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
METADATA = ("pyproject.toml", "README.md", "LICENSE")
VERSION = re.compile(r'^(version|__version__) = "([^"+]+)"$', re.MULTILINE)
WRITTEN_IN = ("pyproject.toml", "leaklib/__init__.py")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
# A wheel is a zip file, which knows no earlier time.
EPOCH = "315532800"


class Wheel(NamedTuple):
    path: Path
    version: str
    sha256: str


def wheel(folder: Path | str) -> Wheel:
    """The wheel in ``folder``, built there unless it already lies there."""
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        copy(source)
        version = stamp(source)
        path = folder / f"leaklib-{version}-py3-none-any.whl"
        for other in set(folder.glob("leaklib-*.whl")) - {path}:
            other.unlink()
        if not path.exists():
            build(source, Path(scratch))
            # In one step, so that whoever is interrupted leaves no half of a wheel.
            part = shutil.copy(Path(scratch, path.name), path.with_suffix(".part"))
            os.replace(part, path)
    return Wheel(path, version, hashlib.sha256(path.read_bytes()).hexdigest())


def copy(target: Path) -> None:
    """What the wheel is made of, with the same access rights everywhere."""
    leave = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(ROOT / "leaklib", target / "leaklib", ignore=leave)
    for name in METADATA:
        shutil.copy(ROOT / name, target / name)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def stamp(source: Path) -> str:
    """Writes the version of this build where the copy says its version, and returns it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()} {len(content)}\n".encode() + content)
    texts = {source / name: (source / name).read_text(encoding="utf8") for name in WRITTEN_IN}
    found = [version for text in texts.values() for _, version in VERSION.findall(text)]
    if len(found) != len(texts) or len(set(found)) != 1:
        raise SystemExit(f"expected one version, once each in {' and '.join(WRITTEN_IN)}; found {found}")
    version = f"{found[0]}+b{digest.hexdigest()[:10]}"
    for path, text in texts.items():
        path.write_text(VERSION.sub(rf'\1 = "{version}"', text), encoding="utf8")
    return version


def build(source: Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"setuptools could not build the wheel of leaklib:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("expected the folder in which the wheel shall lie: scripts/wheel.py _build/html")
    made = wheel(sys.argv[1])
    print(made.path.name, made.sha256)
