"""Writes requirements.lock: the exact versions that are installed. Run by `make lock`."""

import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet

HEADER = """\
# The exact versions that the book is built and tested with, made by `make lock`. pip takes them as
# constraints (-c), so a line for a package that a machine does not need does no harm.
"""
NOT_PINNED = {"leaklib", "pip", "setuptools", "wheel"}
OLDEST = "3.11.0"  # the book's promise; Debian 12, for one, has 3.11.2

pins, too_new = [], []
for package in distributions():
    name = package.metadata["Name"]
    if name.lower() in NOT_PINNED:
        continue
    # A suffix such as +cpu names a build that the package index does not have.
    pins.append(f"{name}=={package.version.split('+')[0]}")
    if OLDEST not in SpecifierSet(package.metadata.get("Requires-Python") or ""):
        too_new.append(pins[-1])
if too_new:
    sys.exit(f"not for Python {OLDEST}, so set an upper bound in requirements.txt: {', '.join(too_new)}")

text = HEADER + "\n".join(sorted(set(pins), key=str.lower)) + "\n"
Path(__file__).parents[1].joinpath("requirements.lock").write_text(text, encoding="utf8")
print(f"requirements.lock: {len(pins)} packages")
