"""A copy of the repository under another name builds with its own buttons and addresses, or with none."""

import os
import re
import shutil
import subprocess
import sys

import pages
import pytest
import yaml
from leaky.repository import place

OURS = "another-owner/another-course"
CHAPTERS = ["03_dlg", "12_combined"]
FOR_REPOSITORIES = {
    "opens in Colab": r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/",
    "opens an editor": r"codespaces\.new/([\w.-]+/[\w.-]+)",
    "reports an issue": r"github\.com/([\w.-]+/[\w.-]+)/issues/new\b",
    "edits a page": r"github\.com/([\w.-]+/[\w.-]+)/edit/",
}


@pytest.fixture(scope="module")
def fork(tmp_path_factory):
    """Builds the front page and two chapters of this checkout, as it stands, with another remote."""
    folder = tmp_path_factory.mktemp("fork")
    listed = ["git", "-C", pages.ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (pages.ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(pages.ROOT / name, folder / name)
    part = {"caption": "Two", "numbered": 1, "chapters": [{"file": f"chapters/{name}"} for name in CHAPTERS]}
    toc = {"format": "jb-book", "root": "chapters/index", "parts": [part]}
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf8")
    subprocess.run(["git", "-C", folder, "init", "-q"], check=True)
    subprocess.run(["git", "-C", folder, "remote", "add", "origin", "x"], check=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "LEAKY_"))}

    def build(remote):
        subprocess.run(["git", "-C", folder, "remote", "set-url", "origin", remote], check=True)
        built = subprocess.run(
            [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", ".", "-q"],
            cwd=folder,
            env={**kept, "PYTHONPATH": str(folder), "GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True,
            text=True,
        )
        assert built.returncode == 0, built.stderr[-3000:]
        texts = [
            path
            for path in folder.glob("_build/*/**/*")
            if path.suffix in (".html", ".ipynb", ".xml", ".txt")
        ]
        return {
            path.relative_to(folder / "_build").as_posix(): path.read_text(encoding="utf8")
            for path in texts
            if path.relative_to(folder).parts[1] in ("html", "colab")
        }

    return build


def repositories(output):
    """Which repositories the output leads to, by what for."""
    return {
        what: {found for text in output.values() for found in re.findall(pattern, text)}
        for what, pattern in FOR_REPOSITORIES.items()
    }


@pytest.mark.slow
def test_a_fork_has_its_own_buttons_and_a_local_copy_none(fork):
    output = fork(f"https://user:Secret1@github.com/{OURS}.git")
    assert repositories(output) == {what: {OURS} for what in FOR_REPOSITORIES}
    for name in CHAPTERS:
        page = output[f"html/chapters/{name}.html"]
        assert f"https://colab.research.google.com/github/{OURS}/blob/gh-pages/colab/{name}.ipynb" in page
        assert "https://another-owner.github.io/another-course" in page
    remote = subprocess.run(
        ["git", "-C", pages.ROOT, "remote", "get-url", "origin"], capture_output=True, text=True
    ).stdout.strip()
    here = place(remote)  # None in a copy without a public remote
    for name, text in output.items():
        assert "Secret1" not in text, name
        assert here is None or here[1] == OURS or here[1] not in text, f"{name} names {here[1]}"

    output = fork("/srv/git/another-course.git")
    assert repositories(output) == {what: set() for what in FOR_REPOSITORIES}
    for name, text in output.items():
        assert "another-owner" not in text, name
        assert 'rel="canonical"' not in text, name
