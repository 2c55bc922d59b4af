"""What compression and batches cost the attacker: the rows of the book's tables, with spread and failures.

    python benchmarks/compression.py pictures.npz runs.jsonl                 # can be stopped and resumed
    python benchmarks/compression.py pictures.npz runs.jsonl --only one_bit
    python benchmarks/compression.py pictures.npz runs.jsonl --pictures 3    # a first look
    python benchmarks/compression.py pictures.npz runs.jsonl --table         # the tables of what is there

`pictures.npz` holds `images` uint8 N×32×32×3 and `labels`; picture i meets the network of seed i. One thread;
run two parts beside each other, each with its own file of runs, to use two cores. Every run is one line of
the file, and one that is there already is not repeated.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from runs import Case, Runs, execute, read
from torch import Tensor

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.naive import Naive
from leaklib.client import FedSGD, share
from leaklib.data import Data, ImageFile
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.metrics import score
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.plots import table
from leaklib.results.sweeps import SIGNS, Numbered
from leaklib.rng import generator
from leaklib.types import Attack, Mechanism, Tensors

# Without a prior for updates that determine the pictures, with one for those that leave something open.
MATCH = IDLG(steps=30)
SMOOTH = IDLG(steps=30, total_variation=3e-3)


def sign_disagreement(candidate: Tensors, observed: Tensors) -> Tensor:
    """The share of entries whose signs differ, a scalar in [0, 1]; zero counts as positive.

    It has no gradient: it judges a guess, and cannot lead to one. What does is a comparison of smooth signs,
    which ``SignSGD.distance`` hands to an attack's distance.
    """
    differ = [(tensor < 0) != (observed[name] < 0) for name, tensor in candidate.items()]
    return torch.cat([miss.reshape(-1) for miss in differ]).float().mean()


def attack(
    data: Data,
    spec,
    mechanism: Mechanism,
    attack: Attack,
    client: int,
    size: int = 1,
    reveal: bool = False,
    precise: bool = False,
) -> Case:
    """One attack on one client's update, computed in float32.

    ``reveal``: the labels are known, else they are inferred. ``precise``: the attacker computes in float64.
    """
    model, batch = spec.build(client), data.batch(client, size)
    update = share(model, batch, FedSGD(), reveal_labels=reveal)
    sent = mechanism(update, generator=generator(client, "mechanism"))
    bits, pixels = mechanism.bits_sent(update), batch.inputs.numel()
    if precise:
        model, sent = model.double(), replace(sent, tensors={n: t.double() for n, t in sent.tensors.items()})
    start = time.process_time()
    found = attack(model, sent, generator=generator(client, "attack"))
    seconds, result = time.process_time() - start, score(found, batch)
    guess = FedSGD()(model, found.inputs, found.labels)
    return {
        "psnr": [round(value, 2) for value in result.psnr.tolist()],
        "ssim": round(result.ssim.mean().item(), 3),
        "loss": found.loss,
        "baseline": found.baseline,
        "labels right": result.label_overlap,
        "signs wrong": round(sign_disagreement(guess, update.tensors).item(), 4),
        "bits": bits,
        "weights per pixel": round(sum(w.numel() for w in model.parameters()) / pixels, 1),
        "evaluations": found.evaluations,
        "seconds": round(seconds, 2),
    }


def eight_bits(data: ImageFile, pictures: int) -> Runs:
    """8 bits, one picture, the label from the update: each tensor weighed by its step, or not."""
    networks = {"LeNet U(-1/2, 1/2)": (LeNet(), 75), "ConvNet 64 GELU": (ConvNet(64), 30)}
    for picture in range(pictures):
        for network, (spec, steps) in networks.items():
            for prior, weight in (("none", 0.0), ("smooth", 0.01)):
                knowing = IDLG(steps=steps, total_variation=weight)
                for attacker, how in (("adaptive", knowing), ("naive", Naive(knowing))):
                    run = partial(attack, data, spec, Quantize(8), how, picture)
                    yield {"network": network, "attacker": attacker, "prior": prior, "picture": picture}, run


def batches(data: ImageFile, pictures: int) -> Runs:
    """Several pictures in one plaintext update of ConvNet 64 with GELU, the labels known."""
    for size in (1, 2, 4, 8, 16, 32, 64):
        for client in range(-(-pictures // size)):
            how = DLG(steps=120 if size <= 16 else 60, known_labels=True)
            run = partial(attack, data, ConvNet(64), Identity(), how, client, size, True)
            most = max(Counter(data.batch(client, size).labels.tolist()).values())
            yield {"batch": size, "most of one label": most, "client": client}, run


def distinct(data: ImageFile, pictures: int) -> Runs:
    """The same with a label for each picture, on a ConvNet 64 with as many classes."""
    for size in (16, 32, 64):
        how, spec = DLG(steps=60, known_labels=True), ConvNet(64, num_classes=size)
        yield (
            {"batch": size, "client": 0},
            partial(attack, Numbered(data), spec, Identity(), how, 0, size, True),
        )


def one_half(data: ImageFile, pictures: int) -> Runs:
    """The larger half of the entries, one picture, the label from the update: LeNet, U(-1/2, 1/2)."""
    knowing = IDLG(steps=150, history=600)
    for picture in range(pictures):
        for attacker, how in (("adaptive", knowing), ("naive", Naive(knowing))):
            run = partial(attack, data, LeNet(), TopK(0.5), how, picture, precise=True)
            yield {"attacker": attacker, "picture": picture}, run


def one_bit(data: ImageFile, pictures: int) -> Runs:
    """Signs alone, one picture, the label from the signs: ConvNets with GELU from narrow to wide."""
    for picture in range(pictures):
        for width in (8, 16, 32, 64, 128):
            attackers = {"adaptive": SIGNS} | ({"naive": Naive(SIGNS)} if width == 64 else {})
            for attacker, how in attackers.items():
                run = partial(attack, data, ConvNet(width), SignSGD(), how, picture)
                yield {"width": width, "attacker": attacker, "picture": picture}, run


def one_percent(data: ImageFile, pictures: int) -> Runs:
    """The largest hundredth of the entries, one picture, the label from the update: ConvNets with GELU."""
    for picture in range(pictures):
        for width in (16, 24, 32, 48, 64, 128):
            attackers: dict[str, Attack] = {"adaptive": SMOOTH}
            if width >= 64:
                attackers |= {"adaptive, no prior": MATCH, "naive": Naive(SMOOTH)}
            for attacker, how in attackers.items():
                run = partial(attack, data, ConvNet(width), TopK(0.01), how, picture)
                yield {"width": width, "attacker": attacker, "picture": picture}, run


PARTS = {part.__name__: part for part in (eight_bits, batches, distinct, one_half, one_bit, one_percent)}


def tabulate(rows: list[Case], part: str) -> str:
    """Markdown: one line per setting, with the scores and times of all its pictures."""
    settings: dict[str, list[Case]] = {}
    for row in (row for row in rows if row["part"] == part):
        case = {k: v for k, v in row["case"].items() if k not in ("picture", "client")}
        settings.setdefault(json.dumps(case), []).append(row)
    lines: list[Case] = []
    for case, runs in settings.items():
        values = sorted(value for run in runs for value in run["psnr"])
        lines.append(
            json.loads(case)
            | {
                "weights / pixel": runs[0]["weights per pixel"],
                "runs": len(runs),
                "above 20 dB": f"{sum(value > 20 for value in values)} of {len(values)}",
                "median dB": f"{statistics.median(values):.1f}",
                "min to max": f"{values[0]:.1f} to {values[-1]:.1f}",
                "labels right": f"{statistics.mean(run['labels right'] for run in runs):.0%}",
                "signs wrong": f"{statistics.median(run['signs wrong'] for run in runs):.1%}",
                "kbit sent": f"{runs[0]['bits'] / 1000:.0f}",
                "evaluations": f"{statistics.median(run['evaluations'] for run in runs):.0f}",
                "s a run": f"{statistics.median(run['seconds'] for run in runs):.1f}",
            }
        )
    return table(list(lines[0]), [list(line.values()) for line in lines]) if lines else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures_file", metavar="pictures.npz")
    parser.add_argument("runs", type=Path, help="one line of JSON per run")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; can be repeated")
    parser.add_argument(
        "--pictures", type=int, default=10, help="how many pictures, 10 unless said otherwise"
    )
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(arguments.runs)
    if arguments.table:
        for part in PARTS:
            print(f"\n{PARTS[part].__doc__}\n\n{tabulate(rows, part)}")
        return
    data = ImageFile(arguments.pictures_file)
    for part in arguments.only or list(PARTS):
        execute(part, PARTS[part](data, arguments.pictures), rows, arguments.runs)


if __name__ == "__main__":
    main()
