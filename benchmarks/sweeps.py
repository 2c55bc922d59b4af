"""The book's sweeps: run what is missing, and store the rows beside their definitions in leaklib/results.

    python benchmarks/sweeps.py              # hours on two cores; can be stopped and resumed
    python benchmarks/sweeps.py --plan       # what there is, what is missing, what it cost

First the witness of every stored row is computed again, which takes minutes; what disagrees is thrown away
and run anew. To look without changing anything: `python benchmarks/witness.py --only sweeps`. Where the files
of CIFAR-10 are missing, rows on it stay as they are, and new ones are left out: CIFAR10(download=True).
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import torch
from runs import commit, steady

from leaklib.experiment import Experiment
from leaklib.plots import table
from leaklib.results import SWEEPS
from leaklib.sweep import Row, cached, run_all
from leaklib.sweep.key import key
from leaklib.sweep.rows import read_row, write_row
from leaklib.sweep.store import BOOK
from leaklib.sweep.witness import agree, available, witness


def experiments() -> Iterator[tuple[str, Experiment, bool]]:
    """Each experiment of the book once: its sweep, and whether it is the first of its setting."""
    seen = set()
    for name, sweep in SWEEPS.items():
        for runs in sweep().values():
            for i, experiment in enumerate(runs):
                if (its := key(experiment)) not in seen:
                    seen.add(its)
                    yield name, experiment, i == 0


def stored() -> dict[str, Row]:
    """The rows of the book by name."""
    return {row.key: row for row in map(read_row, BOOK.read_text(encoding="utf8").splitlines())}


def prune() -> None:
    """Throw away what the present code does not give, and what belongs to no experiment."""
    rows, kept, version, unchecked = stored(), [], torch.__version__.split("+")[0], 0
    for _, experiment, _ in experiments():
        row = rows.get(key(experiment))
        if row is not None and not available(experiment):
            kept.append(row)
            unchecked += 1
        elif row is not None and agree(row.witness, witness(experiment)):
            kept.append(row if row.torch == version else replace(row, torch=version, commit=commit()))
    if unchecked:
        print(f"{unchecked} rows are kept unchecked: the files of their pictures are missing")
    write(kept)


def store() -> None:
    """Write all rows that there are; only the first of a setting keeps its pictures."""
    rows = []
    for _, experiment, first in experiments():
        row = cached(experiment)
        if row is not None and not row.commit:  # new
            row = replace(row, witness=tuple(steady(lambda e=experiment: witness(e))), commit=commit())
        if row is not None:
            rows.append(row if first else replace(row, pictures=""))
    write(rows)


def write(rows: list[Row]) -> None:
    text = "".join(write_row(row) + "\n" for row in sorted(rows, key=lambda row: row.key))
    BOOK.write_text(text, encoding="utf8")
    print(f"{len(rows)} rows in {BOOK.name}")


def plan() -> str:
    """Per sweep: experiments, rows that are there, and the hours on one core that these took."""
    lines = []
    for name in SWEEPS:
        rows = [cached(experiment) for sweep, experiment, _ in experiments() if sweep == name]
        found = [row for row in rows if row is not None]
        hours = sum(row.seconds for row in found) / 3600
        lines.append([name, len(rows), len(found), f"{hours:.2f}"])
    return table(["sweep", "experiments", "rows", "hours on one core"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", action="store_true", help="print what there is and run nothing")
    parser.add_argument("--store", action="store_true", help="write the rows that there are and run nothing")
    arguments = parser.parse_args()
    if arguments.plan:
        print(plan())
        return
    if not arguments.store:
        prune()
        todo = [experiment for _, experiment, _ in experiments()]
        run_all([e for e in todo if available(e) or cached(e) is not None])
    store()


if __name__ == "__main__":
    main()
