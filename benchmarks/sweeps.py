"""The book's sweeps: run what is missing, and store the rows beside their definitions in leaklib/results.

    python benchmarks/sweeps.py              # hours on two cores; can be stopped and resumed
    python benchmarks/sweeps.py --plan       # what there is, what is missing, what it cost
    python benchmarks/sweeps.py --check      # after a change of code that should leave the results alone

A row is bound to the code that computed it. After a change, --check computes the cheapest row of every kind
of experiment again; if all agree with what is stored, all rows are declared to be of the present code.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

from leaklib.experiment import Experiment
from leaklib.plots import table
from leaklib.results import batch_sizes, both, compressors, repeated_labels
from leaklib.results.contenders import comparison
from leaklib.sweep import Row, cached, measure, run_all
from leaklib.sweep.code import fingerprint, key
from leaklib.sweep.rows import read_row, write_row
from leaklib.sweep.store import BOOK

SWEEPS = {sweep.__name__: sweep for sweep in (batch_sizes, repeated_labels, compressors, both, comparison)}
AGREE = 1.0  # dB by which the worst picture of a row may differ


def experiments() -> Iterator[tuple[str, Experiment, bool]]:
    """Each experiment of the book once: its sweep, and whether it is the first of its setting."""
    seen = set()
    for name, sweep in SWEEPS.items():
        for runs in sweep().values():
            for i, experiment in enumerate(runs):
                if key(experiment) not in seen:
                    seen.add(key(experiment))
                    yield name, experiment, i == 0


def store() -> None:
    """Write all rows that there are; only the first of a setting keeps its pictures."""
    rows = [
        row if first else replace(row, pictures="")
        for _, experiment, first in experiments()
        if (row := cached(experiment)) is not None
    ]
    write(rows)


def write(rows: list[Row]) -> None:
    BOOK.write_text("".join(write_row(row) + "\n" for row in sorted(rows, key=lambda row: row.key)))
    print(f"{len(rows)} rows in {BOOK.name}")


def plan() -> str:
    """Per sweep: experiments, rows that are there and current, and the hours on one core that these took."""
    lines = []
    for name in SWEEPS:
        rows = [cached(experiment) for sweep, experiment, _ in experiments() if sweep == name]
        found = [row for row in rows if row is not None]
        hours = sum(row.seconds for row in found) / 3600
        lines.append([name, len(rows), len(found), f"{hours:.2f}"])
    return table(["sweep", "experiments", "rows", "hours on one core"], lines)


def check() -> None:
    """Compute the cheapest row of every kind again; stamp all rows with the present code if they agree."""
    stored = {row.key: row for row in map(read_row, BOOK.read_text().splitlines())}
    cheapest: dict[tuple[type, ...], tuple[Row, Experiment]] = {}
    current = []
    for _, experiment, _ in experiments():
        if (row := stored.get(key(experiment))) is None:
            continue
        current.append(replace(row, code=fingerprint(experiment)))
        e = experiment
        kind = tuple(type(part) for part in (e.model, e.step, e.mechanism, e.aggregation, e.attack))
        if kind not in cheapest or row.seconds < cheapest[kind][0].seconds:
            cheapest[kind] = row, experiment
    for row, experiment in cheapest.values():
        again = measure(experiment)
        apart = max(abs(a - b) for a, b in zip(row.psnr, again.psnr, strict=True))
        print(f"{again.seconds:6.1f} s, {apart:.2f} dB apart: {experiment}", flush=True)
        if apart > AGREE:
            sys.exit("The results have changed: run `python benchmarks/sweeps.py` to compute them anew.")
    write(current)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", action="store_true", help="print what there is and run nothing")
    parser.add_argument("--check", action="store_true", help="compute a few rows again and compare")
    parser.add_argument("--store", action="store_true", help="write the rows that there are and run nothing")
    arguments = parser.parse_args()
    if arguments.plan:
        print(plan())
    elif arguments.check:
        check()
    else:
        if not arguments.store:
            run_all([experiment for _, experiment, _ in experiments()])
        store()


if __name__ == "__main__":
    main()
