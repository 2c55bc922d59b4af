"""The instructor's edition, built small and once: front page, a chapter and its solutions, guide, slides."""

import subprocess
import sys

import pytest
from pages import ROOT

CHAPTER = "16_production"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of the build, its pages in `html`. Only what speaks of other chapters is warned of."""
    out = tmp_path_factory.mktemp("instructor")
    build = [sys.executable, ROOT / "scripts" / "instructor.py", "--only", CHAPTER, "--out", out]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    others = (
        "unknown document",
        "undefined label",
        "Failed to create a cross reference",
        "'myst' cross-reference",
    )
    said = [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    assert [line for line in said if not any(known in line for known in others)] == []
    return out
