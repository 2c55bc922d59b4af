"""Every stored row's witness, computed again and compared: do the files of results still come from this code?

    python benchmarks/witness.py                           # about 20 minutes on one core
    python benchmarks/witness.py --only privacy
    python benchmarks/witness.py --pictures pictures.npz   # also the rows on CIFAR-10's first test pictures

`pictures.npz` holds `images` uint8 N×32×32×3 and `labels`, 500 of them: without it the rows of two files are
left out. Rows of sweeps on CIFAR-10 need its own files, see leaklib.CIFAR10: without them they are not
checked, and counted. Rows that another tool computed have no witness. One thread.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path

import byzantine
import combination
import comparison
import family
import identifiability
import privacy
import secure_aggregation
import sums
import sweeps
import sweeps_theory
import torch
from runs import Case, Runs, Witness, numbers, witnessed

from leaklib.client import FedSGD, share
from leaklib.data import ImageFile
from leaklib.sweep.key import key
from leaklib.sweep.witness import agree, available, witness
from leaklib.types import Update

sys.path.append(str(Path(__file__).parent / "attacks"))
import leaklib_runner
import tuned

RESULTS = files("leaklib").joinpath("results")
Check = tuple[Case, Witness, Callable[[], Witness]]
"""A row's case, its stored witness, and what computes that again."""


def sweep_checks() -> Iterator[Check]:
    """The rows of the sweeps, each with its own name as the case."""
    rows = sweeps.stored()
    for name, experiment, _ in sweeps.experiments():
        row = rows[key(experiment)]
        yield {"part": name, "experiment": experiment}, list(row.witness), partial(witness, experiment)


def missing(case: Case) -> bool:
    """Whether the files that a row's witness needs are not on this machine."""
    return "experiment" in case and not available(case["experiment"])


def checks(file: str, parts: dict[str, Runs]) -> Iterator[Check]:
    """The rows of a JSON file for which ``parts`` holds the runs."""
    found = list(witnessed(json.loads(RESULTS.joinpath(file).read_text(encoding="utf8"))))
    for part, runs in parts.items():
        mine = [(about, stored) for about, stored in found if about["part"] == part]
        for case, run, *alone in runs:
            again = alone[0] if alone else lambda run=run: numbers(run())
            for stored in (stored for about, stored in mine if case.items() <= about.items()):
                yield {"part": part} | case, stored, again


def attack_checks(pictures: ImageFile) -> Iterator[Check]:
    """The rows of the side by side that this package's attacks have computed."""
    for row in json.loads(RESULTS.joinpath("attacks.json").read_text(encoding="utf8")):
        if row["witness"] is None:
            continue
        index = row["picture"]
        model = leaklib_runner.NETWORKS[row["network"]].build(index)
        batch = pictures.batch(index, 1)
        update = Update(share(model, batch, FedSGD()).tensors, FedSGD(), 1, (3, 32, 32), batch.labels)
        again = partial(leaklib_runner.witness, model, update, row["attack"], row["asked"], index)
        yield {name: row[name] for name in ("network", "attack", "picture")}, row["witness"], again


def tuned_checks(pictures: ImageFile) -> Iterator[Check]:
    """The rows of batches side by side that this package's attacks have computed."""
    for row in json.loads(RESULTS.joinpath("tuned.json").read_text(encoding="utf8")):
        if row["witness"] is None:
            continue
        batch, seed = tuned.victim_of(pictures, row)
        model = leaklib_runner.BATCH_NETWORKS[row["network"]].build(seed)
        sent = share(model, batch, FedSGD()).tensors
        update = Update(sent, FedSGD(), len(batch), (3, 32, 32), batch.labels)
        weight = None if row["weight"] == "shipped" else row.get("tuned", row["weight"])
        attack = tuned.chosen(row, row["asked"], weight)
        yield (
            {name: row[name] for name in ("network", "attack", "batch", "number", "weight")},
            row["witness"],
            partial(tuned.witness, model, update, attack, seed),
        )


def every(pictures: Path | None) -> dict[str, Iterator[Check]]:
    """What there is to check, by file."""
    found = {
        "sweeps": sweep_checks(),
        "combination": checks("combination.json", {"rows": combination.sweep()}),
        "comparison": checks("comparison.json", called(comparison.PARTS)),
        "identifiability": checks("identifiability.json", called(identifiability.PARTS)),
        "privacy": checks("privacy.json", called(privacy.PARTS)),
        "byzantine": checks("protocols.json", called(byzantine.PARTS)),
        "secure_aggregation": checks("protocols.json", called(secure_aggregation.PARTS)),
        "sums": checks("sums.json", called(sums.PARTS)),
        "theory": checks("theory.json", called(sweeps_theory.PARTS)),
        "photographs": checks("family.json", {"photographs": family.photographs()}),
    }
    if pictures is not None:
        lab, most = family.Lab(str(pictures)), family.PARTS.keys() - {"photographs"}
        found["family"] = checks("family.json", {part: family.PARTS[part](lab) for part in most})
        found["attacks"] = attack_checks(ImageFile(str(pictures)))
        found["tuned"] = tuned_checks(ImageFile(str(pictures)))
    return found


def called(parts: dict[str, Callable[[], Runs]]) -> dict[str, Runs]:
    return {name: part() for name, part in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", help="one file; can be repeated")
    parser.add_argument("--pictures", type=Path, help="CIFAR-10's first 500 test pictures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    counts = Counter[str]()
    for name, rows in every(arguments.pictures).items():
        if arguments.only and name not in arguments.only:
            continue
        for case, stored, again in rows:
            if missing(case):
                counts[f"{name}: not checked, files are missing"] += 1
                continue
            found = again()
            same = agree(stored, found)
            counts[f"{name}: {'agree' if same else 'DISAGREE'}"] += 1
            if not same:
                print(f"{name} {case}\n  stored {stored}\n  again  {list(found)}", flush=True)
        print({count: n for count, n in counts.items() if count.startswith(name)}, flush=True)
    if any("DISAGREE" in name for name in counts):
        sys.exit("Some rows are not what this code computes: run their benchmark again.")


if __name__ == "__main__":
    main()
