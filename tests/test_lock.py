"""requirements.lock pins what requirements.txt and leaklib ask for, by version and hash."""

import re
import tomllib
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf8")
ASKED = [
    *(
        line.partition(" #")[0]
        for line in (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()
    ),
    *tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]["dependencies"],
]
PYTHONS = [
    {"python_version": version, "python_full_version": f"{version}.{patch}"}
    for version, patch in (("3.11", 0), ("3.12", 1), ("3.13", 0))
]


def pins():
    """Each pin of the lock: a requirement with its version, and the hashes of its files."""
    for entry in re.split(r"\n(?=\S)", LOCK.replace(" \\\n", "\n").strip()):
        if not entry.startswith("#"):
            first, *hashes = entry.split("\n")
            yield Requirement(first), [line.strip() for line in hashes]


def test_every_pin_has_a_version_and_hashes():
    found = list(pins())
    assert len(found) > 150
    for pin, hashes in found:
        version = str(pin.specifier)
        assert re.fullmatch(r"==[\w.]+", version), f"{pin.name}{version} is no version that an index has"
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), pin.name


def test_the_lock_names_no_index():
    assert "://" not in LOCK and "--index" not in LOCK and "--find-links" not in LOCK


def test_all_that_is_asked_for_is_pinned_in_its_range():
    asked = [Requirement(line) for line in ASKED if line.strip() and not line.startswith(("#", "-e"))]
    assert len(asked) > 20
    for python in PYTHONS:
        here = {**default_environment(), **python, "sys_platform": "linux", "platform_machine": "x86_64"}
        chosen = {
            canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
            for pin, _ in pins()
            if pin.marker is None or pin.marker.evaluate(here)
        }
        for requirement in asked:
            name = canonicalize_name(requirement.name)
            assert name in chosen, f"requirements.lock has no {name}: make lock UPGRADE="
            assert requirement.specifier.contains(chosen[name]), (
                f"requirements.lock has {name} {chosen[name]}, asked is {requirement}: make lock UPGRADE="
            )
