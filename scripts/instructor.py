"""Builds the instructor's edition in `_build/instructor/html`: the book with its solutions, guide and slides.

    make book-instructor
    .venv/bin/python scripts/instructor.py --only 18_conclusion --out FOLDER

The second form builds the front page, one chapter and the guide, where a look is enough: references to other
chapters are then warnings and no errors. The students' edition, `make book`, holds none of this.
"""

import argparse
import shutil
import sys
from pathlib import Path

import slides
import yaml
from jupyter_book.sphinx import build_sphinx

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "_build" / "instructor"
GUIDE = ("guide", "plans", "marking", "errors", "fairness")
TITLE = "Leaky Gradients · instructor's edition"


def toc(only: list[str]) -> dict:
    """The table of contents of the book, or its front page and some chapters, with the guide behind it."""
    book = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf8"))
    if only:
        pages = [{"file": f"chapters/{name}"} for name in only]
        book["parts"] = [{"caption": "The book", "numbered": 1, "chapters": pages}]
    guide = [{"file": f"instructor/{name}"} for name in GUIDE]
    book["parts"].append({"caption": "For instructors", "chapters": guide})
    return book


def build(out: Path, only: list[str]) -> Path:
    """The folder of the pages; a folder of an earlier build is replaced. An error ends the program."""
    for name in ("html", ".doctrees", "colab", "jupyter_execute"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "toc.yml"
    path.write_text(yaml.safe_dump(toc(only), sort_keys=False, allow_unicode=True), encoding="utf8")
    overrides = {"external_toc_path": str(path), "leaky_edition": "instructor", "html_title": TITLE}
    result = build_sphinx(
        ROOT,
        out / "html",
        noconfig=True,
        path_config=ROOT / "_config.yml",
        confoverrides=overrides | {"latex_individualpages": False, "nitpicky": not only},
        builder="html",
        warningiserror=not only,
        keep_going=True,
        quiet=bool(only),
    )
    if result or not (out / "html" / "index.html").exists():
        raise SystemExit(f"the instructor's edition could not be built: {result or 'it has no front page'}")
    slides.write(out / "html")
    return out / "html"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="CHAPTER", help="such as 18_conclusion")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    print(build(options.out.resolve(), options.only) / "index.html")


if __name__ == "__main__":
    sys.exit(main())
