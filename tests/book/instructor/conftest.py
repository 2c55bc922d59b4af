"""The instructor's edition, built small and once: front page, one solved chapter, guide, slides."""

import re
import subprocess
import sys

import pytest
from pages import ROOT

CHAPTER = "16_production"


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The folder of the build, its pages in `html`."""
    out = tmp_path_factory.mktemp("instructor")
    build = [sys.executable, ROOT / "scripts" / "instructor.py", "--only", CHAPTER, "--out", out]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    # Chapters speak of what is not there; so does the guide, whose faults would be others.
    absent = re.compile("unknown document|undefined label|cross.reference")
    said = [line for line in done.stderr.splitlines() if "/instructor/" in line]
    assert [line for line in said if not absent.search(line)] == []
    return out
