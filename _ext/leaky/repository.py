"""Where this book lives: its repository, and from it the addresses of site, copies, issues and sources.

Nothing is written down here, so a fork that builds has its own: in a workflow GitHub's environment says it,
elsewhere the git remote `origin`; where neither names a public address there are no buttons. The published
site may have another address than GitHub Pages gives it: `LEAKY_SITE` says which.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLAB = "https://colab.research.google.com/github"
# The workflow publishes to this branch: the site at its root, the copies of the chapters in colab/.
PUBLISHED = "gh-pages"
REMOTE = re.compile(
    r"(?:https?://(?:[^@/]*@)?|git@|ssh://git@)(?P<host>[\w.-]+\.\w+)[:/](?P<path>[\w.~/-]+?)(?:\.git)?/?"
)


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
    def issue(self) -> str:
        return f"{self.url}/issues/new"

    def edit(self, file: str) -> str:
        return f"{self.url}/edit/{self.branch}/{file}"

    def colab(self, name: str) -> str | None:
        """The address that opens a chapter's published copy in Colab, which reads from GitHub alone."""
        if self.host == "github.com":
            return f"{COLAB}/{self.path}/blob/{PUBLISHED}/colab/{name}.ipynb"
        return None


@cache
def repository() -> Repository | None:
    """The repository that builds; None where nothing says which that is."""
    server, path = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    if server and path:
        found = REMOTE.fullmatch(f"{server}/{path}")
    else:
        found = REMOTE.fullmatch(_git("remote", "get-url", "origin"))
    if not found:
        return None
    host, path = found["host"].lower(), found["path"]
    branch = (
        os.environ.get("LEAKY_BRANCH")
        or _git("symbolic-ref", "--short", "refs/remotes/origin/HEAD").partition("/")[2]
    )
    return Repository(
        host, path, branch or "main", os.environ.get("LEAKY_SITE", "").rstrip("/") or _pages(host, path)
    )


def _pages(host: str, path: str) -> str | None:
    """The address at which GitHub Pages shows a repository's site."""
    owner, _, name = path.lower().partition("/")
    if host != "github.com":
        return None
    own = f"{owner}.github.io"
    return f"https://{own}" if name == own else f"https://{own}/{path.partition('/')[2]}"


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
