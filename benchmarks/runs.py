"""Runs of a benchmark as lines of a file: what is there already is not run again."""

import argparse
import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import torch

Case = dict[str, Any]
"""What decides a run, or what came of it: plain data for JSON."""
Runs = Iterable[tuple[Case, Callable[[], Case]]]
"""Each case of a part, with the function that runs it."""


def read(*paths: Path) -> list[Case]:
    """All runs that the files hold; a file that is not there yet holds none."""
    return [json.loads(line) for path in paths if path.exists() for line in path.read_text().splitlines()]


def command_line(description: str | None, parts: Iterable[str], target: Path) -> argparse.ArgumentParser:
    """What these benchmarks share: files of runs, parts to run, and whether to write ``target`` instead."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", help="one line of JSON per run; new ones go to the first"
    )
    parser.add_argument("--only", choices=parts, action="append", help="one part; can be repeated")
    parser.add_argument("--collect", action="store_true", help=f"write {target.name} and run nothing")
    return parser


def execute(part: str, runs: Runs, rows: list[Case], path: Path) -> None:
    """Run what is not among ``rows`` yet, and add each to the file as it ends."""
    done = {json.dumps(row["case"]) for row in rows if row["part"] == part}
    todo = [(case, run) for case, run in runs if json.dumps(case) not in done]
    for i, (case, run) in enumerate(todo):
        row = {"part": part, "case": case} | run()
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{part} {i + 1}/{len(todo)}: {json.dumps(case)} {row.get('psnr', '')}", flush=True)


def store(target: Path, key: str, value: object) -> None:
    """Replace one ``key`` of what ``target`` holds, and leave the others, which other benchmarks wrote."""
    held = json.loads(target.read_text()) if target.exists() else {}
    target.write_text(json.dumps(dict(sorted((held | {key: value}).items())), indent=1) + "\n")


def collected(rows: list[Case], parts: Iterable[str]) -> Case:
    """All rows by part, each case beside what came of it, with the version and the date of the runs."""
    made = {"torch": torch.__version__.split("+")[0], "date": date.today().isoformat()}
    found = {
        part: [
            row["case"] | {k: v for k, v in row.items() if k not in ("part", "case")}
            for row in rows
            if row["part"] == part
        ]
        for part in parts
    }
    return {"made": made} | found
