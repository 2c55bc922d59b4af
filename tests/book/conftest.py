"""The built website, which the tests of the book look at."""

import re

import pages
import pytest

SOURCES = [
    "_config.yml",
    "_toc.yml",
    "_ext",
    "_vendor",
    "chapters",
    "leaklib/palette.json",
    "leaklib/report.py",
    "leaklib/widgets/inpage.py",
    "leaklib/widgets/live",
]
HIDDEN = re.compile(r"/(__pycache__|\.[^/]+)/")  # what tools leave behind


def files(*names):
    for path in map(pages.ROOT.joinpath, names):
        found = path.rglob("*") if path.is_dir() else [path]
        yield from (path for path in found if path.is_file() and not HIDDEN.search(path.as_posix()))


@pytest.fixture(scope="session")
def site():
    """The folder of the website, which must be there and newer than what it is made of."""
    last = pages.SITE / "searchindex.js"  # written at the end of a build
    if not last.exists():
        pytest.fail("there is no complete website in _build/html: run `make book`")
    newer = [path for path in files(*SOURCES) if path.stat().st_mtime > last.stat().st_mtime]
    if newer:
        names = ", ".join(str(path.relative_to(pages.ROOT)) for path in newer)
        pytest.fail(f"the website in _build/html is older than {names}: run `make book`")
    return pages.SITE
