"""Batches whose labels repeat: LiftAndRound, with and without its lift, and DLG, which see as many pictures.

    python benchmarks/batches.py pictures.npz runs.jsonl                  # five runs a row; resumes
    python benchmarks/batches.py pictures.npz runs.jsonl --runs 25 --only "photographs 16"
    python benchmarks/batches.py pictures.npz runs.jsonl --table          # runs nothing

`pictures.npz` holds CIFAR-10 test pictures: `images` uint8 N×32×32×3 and `labels`. Run i attacks batch i % 5
of a row (of 64 photographs i % 3: there are no more) on ConvNet 64, untrained, with network and start of seed
i, on one thread. LiftAndRound reads the labels off the update, DLG is told them. Failures count: every
picture of every run is in the table.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from runs import Case, Run, execute, read
from torch import nn

from leaklib.attacks.dlg import DLG
from leaklib.attacks.lift_and_round import LiftAndRound
from leaklib.attacks.search.matching import Search
from leaklib.client import FedSGD, share
from leaklib.data import Data, ImageFile, Photos
from leaklib.metrics import gray_floor, score
from leaklib.models.convnet import ConvNet
from leaklib.plots import table
from leaklib.rng import generator
from leaklib.types import Attack, Callback, Labels, Update

ATTACKS = ["lift and round", "not lifted", "DLG", "DLG to the end"]


class ToTheEnd(DLG):
    """DLG that spends all its evaluations: means of pairs explain so much that it would call them solved."""

    def search(
        self, model: nn.Module, update: Update, labels: Labels | None, callback: Callback | None
    ) -> Search:
        search = super().search(model, update, labels, callback)
        search.patience = None
        return search


@dataclass(frozen=True)
class Row:
    """Batches of ``size`` from ``data``; in ``dlg`` steps DLG evaluates as many pictures as ``attack``."""

    data: Data
    size: int
    attack: LiftAndRound
    dlg: int
    batches: int = 5


def rows(pictures: Path) -> dict[str, Row]:
    photos, cifar = Photos(), ImageFile(pictures)
    return {
        "photographs, a pair": Row(Photos(only="astronaut"), 2, LiftAndRound(steps=40), 72),
        "photographs 16": Row(photos, 16, LiftAndRound(), 125),
        "CIFAR-10 16": Row(cifar, 16, LiftAndRound(), 125),
        "photographs 32": Row(photos, 32, LiftAndRound(steps=120), 160),
        "CIFAR-10 32": Row(cifar, 32, LiftAndRound(steps=120), 160),
        "photographs 64": Row(photos, 64, LiftAndRound(steps=120), 150, batches=3),
        "CIFAR-10 64": Row(cifar, 64, LiftAndRound(steps=120), 150),
    }


def attacked(row: Row, attack: Attack, number: int) -> Case:
    """One run: what was found, and how many pictures went through the network for it."""
    model, batch = ConvNet(64).build(number), row.data.batch(number % row.batches, row.size)
    update = share(model, batch, FedSGD(), reveal_labels=isinstance(attack, DLG))
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    start = time.process_time()
    found = attack(model, update, generator=generator(number, "attack"))
    seconds, scores = time.process_time() - start, score(found, batch)
    return {
        "psnr": [round(x, 1) for x in scores.psnr.tolist()],
        "gray": [round(x, 1) for x in gray_floor(batch.inputs).tolist()],
        "labels right": scores.label_overlap == 1,
        "loss": found.loss,
        "baseline": found.baseline,
        "stop": found.stop,
        "evaluations": found.evaluations,
        "restarts": found.restarts,
        "pictures": sum(seen),
        "seconds": round(seconds, 1),
    }


def runs(row: Row, count: int, chosen: list[str]) -> Iterable[Run]:
    plain = replace(row.attack, steps=row.dlg, extra=0)
    each = row.attack, plain, *(kind(steps=row.dlg, known_labels=True) for kind in (DLG, ToTheEnd))
    attacks = dict(zip(ATTACKS, each, strict=True))
    for number in range(count):
        for title in chosen:
            yield {"attack": title, "run": number}, partial(attacked, row, attacks[title], number)


def line(part: str, title: str, found: list[Case]) -> list[str]:
    """One line of the table, over all pictures of all runs."""
    psnr, gray = (torch.tensor([x for run in found for x in run[name]]).double() for name in ("psnr", "gray"))
    low, middle, high = (psnr.quantile(q).item() for q in (0.05, 0.5, 0.95))
    medians = sorted(torch.tensor(run["psnr"]).median().item() for run in found)
    mean = {name: sum(run[name] for run in found) / len(found) for name in ("evaluations", "seconds")}
    per_picture = 1000 * sum(run["seconds"] for run in found) / sum(run["pictures"] for run in found)
    return [
        part,
        title,
        str(len(found)),
        f"{middle:.1f} ({low:.1f} to {high:.1f})",
        f"{medians[0]:.1f} to {medians[-1]:.1f}",
        f"{gray.median().item():.1f}",
        f"{100 * (psnr > 20).double().mean().item():.0f} %",
        f"{100 * (psnr > 30).double().mean().item():.0f} %",
        f"{mean['evaluations']:.0f}",
        f"{mean['seconds']:.0f} s",
        f"{per_picture:.2f} ms",
    ]


HEADER = ["batch", "attack", "runs", "PSNR: median (5 to 95 %)", "medians of runs", "gray"]
HEADER += ["above 20", "above 30 dB", "evaluations", "CPU", "an evaluation, per picture"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path)
    parser.add_argument(
        "results", type=Path, nargs="+", help="a line of JSON per run; new ones go to the first"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each attack in each row")
    parser.add_argument("--only", action="append", help="one row; can be repeated")
    parser.add_argument("--attack", choices=ATTACKS, action="append", help="one attack; can be repeated")
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.table:
        every = rows(arguments.pictures)
        for name in arguments.only or every:
            todo = runs(every[name], arguments.runs, arguments.attack or ATTACKS)
            execute(name, todo, read(*arguments.results), arguments.results[0])
    found = {}
    for run in read(*arguments.results):
        found.setdefault((run["part"], run["case"]["attack"]), []).append(run)
    print(table(HEADER, [line(*key, some) for key, some in sorted(found.items())]))
    wrong = [json.dumps(run["case"]) for run in read(*arguments.results) if not run["labels right"]]
    print(f"labels wrong in {len(wrong)} runs", *wrong)


if __name__ == "__main__":
    main()
