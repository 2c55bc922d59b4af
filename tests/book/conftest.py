"""The built website, which the tests of the book look at."""

import functools
import http.server
import re
import sys
import threading

import pages
import pytest

sys.path.append(str(pages.ROOT / "_ext"))
SOURCES = [
    "_config.yml",
    "_toc.yml",
    "CITATION.cff",
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


@pytest.fixture(scope="session")
def address(site):
    """Where a server of this machine serves the website."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
