"""Where this book lives: its repository, and from it the addresses of site, copies, issues and sources.

Nothing is written down here, so a fork that builds has its own: in a workflow GitHub's environment says it,
elsewhere the git remote `origin`; where neither names a public address there are no buttons. The published
site may have another address than GitHub Pages gives it: `LEAKY_SITE` says which. `LEAKY_BRANCH` names the
branch that is edited, where it is another than the one that builds.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[2]
COLAB = "https://colab.research.google.com/github"
# The workflow publishes to this branch: the site at its root, the copies of the chapters in colab/.
PUBLISHED = "gh-pages"
# With a dot and no address of digits: one that others reach.
HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}(:\d+)?")
PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)+")
SHORT = re.compile(r"(?:[^@/:]+@)?(?P<host>[^@/:]+):(?P<path>[^/].*)")  # git@github.com:owner/name.git


@dataclass(frozen=True)
class Repository:
    host: str  # github.com
    path: str  # owner/name
    branch: str  # that is read and edited
    site: str | None  # the address of the published site, without a slash at its end

    @property
    def url(self) -> str:
        return f"https://{self.host}/{self.path}"

    @property
    def issue(self) -> str | None:
        """Where a new issue is written; None where we do not know how the host names its pages."""
        pages = self._pages
        return None if pages is None else f"{self.url}{pages}/issues/new"

    def report(self, title: str, text: str) -> str | None:
        """A new issue with its first words."""
        names = ("issue[title]", "issue[description]") if self._pages else ("title", "body")
        return (
            self.issue
            and f"{self.issue}?{urlencode(dict(zip(names, (title, text), strict=True)), quote_via=quote)}"
        )

    def edit(self, file: str) -> str | None:
        return self.file(file, "edit")

    def file(self, file: str, how: str = "blob") -> str | None:
        """Where a file is read, or edited."""
        pages = self._pages
        return None if pages is None else f"{self.url}{pages}/{how}/{quote(self.branch)}/{quote(file)}"

    def colab(self, name: str) -> str | None:
        """The address that opens a chapter's published copy in Colab, which reads from GitHub alone."""
        if self.host == "github.com":
            return f"{COLAB}/{self.path}/blob/{PUBLISHED}/colab/{quote(name)}.ipynb"
        return None

    @property
    def codespace(self) -> str | None:
        """The address that opens the repository in an editor with its environment, see .devcontainer."""
        return f"https://codespaces.new/{self.path}" if self.host == "github.com" else None

    @property
    def _pages(self) -> str | None:
        """What stands between a repository and its pages: nothing on GitHub, /- on GitLab."""
        return "" if "github" in self.host else "/-" if "gitlab" in self.host else None


@cache
def repository() -> Repository | None:
    """The repository that builds; None where nothing says which that is."""
    server, path = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    found = place(f"{server}/{path}" if server and path else _git("remote", "get-url", "origin"))
    if not found:
        return None
    host, path = found
    branch = (
        os.environ.get("LEAKY_BRANCH")
        or os.environ.get("GITHUB_BASE_REF")  # of a pull request: where it wants to go
        or (os.environ.get("GITHUB_REF_TYPE") == "branch" and os.environ.get("GITHUB_REF_NAME"))
        or _git("symbolic-ref", "--short", "refs/remotes/origin/HEAD").partition("/")[2]
        or "main"
    )
    return Repository(host, path, branch, _site() or _github_pages(host, path))


def place(remote: str) -> tuple[str, str] | None:
    """Host and path of a repository that others can reach, without user, password and scheme; else None."""
    if "://" in remote:
        try:
            parts = urlsplit(remote)
            host, port, path = parts.hostname or "", parts.port, parts.path
        except ValueError:
            return None
        if parts.scheme not in ("http", "https", "ssh", "git"):
            return None
        if port and parts.scheme in ("http", "https"):  # the port of ssh is not that of the pages
            host = f"{host}:{port}"
    elif short := SHORT.fullmatch(remote):
        host, path = short["host"].lower(), short["path"]
    else:
        return None
    path = path.strip("/").removesuffix(".git")
    if not HOST.fullmatch(host) or not PATH.fullmatch(path) or ".." in path.split("/"):
        return None
    return (host, path) if host != "github.com" or path.count("/") == 1 else None


def _site() -> str | None:
    """The address that `LEAKY_SITE` gives. Pages, scripts and copies repeat it, so it has no other signs."""
    given = os.environ.get("LEAKY_SITE", "").strip().rstrip("/")
    if given and not re.fullmatch(r"https?://[\w.:-]+(/[\w.~%/+-]*)?", given):
        raise ValueError(
            "LEAKY_SITE is the published site's address, such as https://example.org/book; "
            "it is not an address of this form: mend it or leave it out"
        )
    return given or None


def _github_pages(host: str, path: str) -> str | None:
    """The address at which GitHub Pages shows a repository's site."""
    if host != "github.com":
        return None
    owner, name = path.split("/")
    own = f"{owner.lower()}.github.io"
    return f"https://{own}" if name.lower() == own else f"https://{own}/{name}"


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


if __name__ == "__main__":
    print(repository())
