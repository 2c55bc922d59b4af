"""Runs of a benchmark as lines of a file: what is there already is not run again.

Each run leaves a witness, some numbers that are soon computed again: benchmarks/witness.py does that for what
the book has stored.
"""

import argparse
import json
import math
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import torch
from extremes import extremes
from torch import nn

from leaklib.data import Data, ImageFile, Photos
from leaklib.identifiability.counting import counting_bounds
from leaklib.rng import generator
from leaklib.sweep.witness import TOLERANCE, FirstLosses
from leaklib.training import Training, train
from leaklib.types import Attack, Batch, Update

Case = dict[str, Any]
"""What decides a run, or what came of it: plain data for JSON."""
Witness = list[float]
Run = tuple[Case, Callable[[], Case]] | tuple[Case, Callable[[], Case], Callable[[], Witness]]
Runs = Iterable[Run]
"""Each case of a part, with the function that runs it, and one that computes its witness alone.

Without the latter, the run is its own witness: see ``numbers``.
"""


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


def on_pictures(
    description: str | None,
    part: str,
    cases: Iterable[Case],
    run: Callable[[Case, dict[str, Data]], Case],
    table: Callable[[list[Case]], str],
) -> None:
    """The command line of a benchmark on given pictures and photographs: run its cases, print their table."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.table:
        data: dict[str, Data] = {"CIFAR-10": ImageFile(arguments.pictures), "photographs": Photos()}
        todo: Runs = [(case, lambda case=case: run(case, data)) for case in cases]
        execute(part, todo, read(arguments.runs), arguments.runs)
    print(table(read(arguments.runs)))


def execute(part: str, runs: Runs, rows: list[Case], path: Path) -> None:
    """Run what is not among ``rows`` yet, and add each to the file as it ends."""
    done = {json.dumps(row["case"]) for row in rows if row["part"] == part}
    todo = [run for run in runs if json.dumps(run[0]) not in done]
    for i, (case, run, *witness) in enumerate(todo):
        found = run()
        row = {"part": part, "case": case} | found
        row |= {"witness": steady(witness[0]) if witness else numbers(found), "commit": commit()}
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{part} {i + 1}/{len(todo)}: {json.dumps(case)} {row.get('psnr', '')}", flush=True)


def numbers(found: Any, name: str = "") -> Witness:
    """All numbers in what a run found, with seven digits; not its times and memory, which always differ."""
    if name.split()[-1:] in (["ms"], ["gigabytes"]) or name.endswith(("seconds", "peak_bytes")):
        return []
    if isinstance(found, dict):
        return [number for key in sorted(found) for number in numbers(found[key], key)]
    if isinstance(found, list | tuple):
        return [number for item in found for number in numbers(item)]
    return [float(f"{found:.7g}")] if isinstance(found, bool | int | float) else []


def steady(compute: Callable[[], Sequence[float]]) -> Witness:
    """The numbers that other machines give, too: as many as stay with another arithmetic for convolutions.

    From the first one that moves by a twentieth of the tolerance on, all but the very first are left out: the
    third loss of L-BFGS, say, whose second step divides by a tiny difference of gradients.
    """
    here = list(compute())
    with torch.backends.mkldnn.flags(enabled=False):
        there = compute()
    moved = [not math.isclose(a, b, rel_tol=TOLERANCE / 20) for a, b in zip(here, there, strict=True)]
    return here[: max(1, [*moved, True].index(True))]


def begun(attack: Attack, model: nn.Module, update: Update, seed: int) -> Witness:
    """What witnesses an attack that is no experiment's: the losses of its first evaluations."""
    first = FirstLosses(stop=True)
    found = attack(model, update, generator=generator(seed, "attack"), callback=first)
    return list(first.witness(found))


def ends(model: nn.Module, update: Update, batch: Batch) -> Witness:
    """What witnesses an analysis of the gradient map: a few products with its Jacobian, and the count."""
    found = extremes(model, update, batch.inputs, batch.labels, generator=generator(0, "witness"), steps=3)
    return numbers([found.largest, found.smallest, counting_bounds(model, update)[-1].rank])


def weights(training: Training) -> Witness:
    """What witnesses a training: the length of each weight tensor after two of its rounds."""
    model = train(replace(training, rounds=2)).model
    return numbers([weight.detach().norm().item() for weight in model.parameters()])


def witnessed(stored: Any, about: Case | None = None) -> Iterator[tuple[Case, Witness | None]]:
    """Every witness in a file of results, with the fields beside and above it: they hold the run's case."""
    about = about or {}
    if isinstance(stored, dict):
        about = about | {k: v for k, v in stored.items() if not isinstance(v, dict | list)}
        about |= stored.get("case", {})
        if "witness" in stored:
            yield about, stored["witness"]
    for name, value in stored.items() if isinstance(stored, dict) else enumerate(stored):
        if isinstance(value, list) and "part" not in about:
            yield from witnessed(value, about | {"part": name})
        elif isinstance(value, dict | list):
            yield from witnessed(value, about)


@cache
def commit() -> str:
    """Which code is running, for whoever wants to look: no result depends on it."""
    here = Path(__file__).parent
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True)
    return asked.stdout.strip()[:12]


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
