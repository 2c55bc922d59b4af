"""SPEAR: how often whole batches come back exactly, and what that takes, against their size.

    python benchmarks/exact.py pictures.npz runs.jsonl           # at least 240, as for imprint.py
    python benchmarks/exact.py pictures.npz runs.jsonl --table   # prints what the file holds, runs nothing

Can be stopped and resumed. Networks are fully connected, 3072-200-10 with ReLU,
a new one for every run, and labels are not revealed. Exact means that every picture is above 100 dB. One
thread; seconds are processor time of the attack alone.
"""

import statistics
import time

import torch
from runs import Case, on_pictures
from torch import nn

from leaklib.attacks.spear import Spear
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import Data
from leaklib.metrics import gray_floor, score
from leaklib.models.mlp import Mlp
from leaklib.rng import generator

HIDDEN = 200
SAMPLES = {2: 10**6, 4: 10**6, 8: 10**6, 12: 10**7, 16: 10**7}
RUNS = {2: 20, 4: 20, 8: 20, 12: 20, 16: 5}
STEPS = {"FedSGD": FedSGD(), "FedAvg, one step": FedAvg(lr=0.1)}


def run(case: Case, data: dict[str, Data]) -> Case:
    """One batch of one client, attacked once."""
    seed, size, dtype = case["seed"], case["batch"], getattr(torch, case["dtype"])
    network = Mlp((3, 32, 32), case["hidden"], activation=nn.ReLU, normalize=case["normalized"])
    model, batch = network.build(seed).to(dtype), data[case["pictures"]].batch(seed, size).to("cpu", dtype)
    update = share(model, batch, STEPS[case["step"]])
    start = time.process_time()
    found = Spear(SAMPLES[size])(model, update, generator=generator(seed, "attack"))
    seconds = time.process_time() - start
    result = score(found, batch)
    return {
        "psnr": [round(value, 2) for value in result.psnr.tolist()],
        "gray": [round(value, 2) for value in gray_floor(batch.inputs).tolist()],
        "labels": result.label_accuracy,
        "samples": found.evaluations,
        "stop": found.stop,
        "loss": found.loss,
        "baseline": found.baseline,
        "seconds": round(seconds, 3),
    }


def cases() -> list[Case]:
    plain = {"hidden": HIDDEN, "normalized": True, "dtype": "float32", "step": "FedSGD"}
    rows = [("CIFAR-10", size, plain) for size in (2, 4, 8)] + [
        ("photographs", size, plain) for size in (2, 4, 8)
    ]
    rows += [
        ("CIFAR-10", 8, plain | change) for change in ({"dtype": "float64"}, {"step": "FedAvg, one step"})
    ]
    rows += [("CIFAR-10", size, plain | {"normalized": False}) for size in (2, 4, 8)]
    rows += [("CIFAR-10", 8, plain | {"hidden": 50}), ("CIFAR-10", 12, plain), ("CIFAR-10", 16, plain)]
    return [
        {"pictures": pictures, "batch": size} | options | {"seed": seed}
        for pictures, size, options in rows
        for seed in range(RUNS[size])
    ]


def table(rows: list[Case]) -> str:
    """All runs that differ by their seed alone in one line, failures included."""
    lines = [
        "| pictures | batch | network, update | exact | labels right | median, min dB (gray) | "
        "samples: median, max | CPU s: median, max |\n|---|---|---|---|---|---|---|---|"
    ]
    groups: dict[str, list[Case]] = {}
    for row in rows:
        case = row["case"]
        about = f"{case['hidden']} units, " + ("normalized" if case["normalized"] else "pixels in [0, 1]")
        about += f", {case['dtype']}" if case["dtype"] != "float32" else ""
        about += f", {case['step']}" if case["step"] != "FedSGD" else ""
        groups.setdefault(f"| {case['pictures']} | {case['batch']} | {about} |", []).append(row)
    for name, group in groups.items():
        every = [value for row in group for value in row["psnr"]]
        exact = sum(min(row["psnr"]) > 100 for row in group)
        samples, seconds = ([row[key] for row in group] for key in ("samples", "seconds"))
        gray = statistics.median(value for row in group for value in row["gray"])
        lines.append(
            f"{name} {exact} of {len(group)} | {statistics.mean(row['labels'] for row in group):.0%} | "
            f"{statistics.median(every):.0f}, {min(every):.0f} ({gray:.0f}) | "
            f"{statistics.median(samples):,.0f}, {max(samples):,} | "
            f"{statistics.median(seconds):.2f}, {max(seconds):.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    on_pictures(__doc__, "exact", cases(), run, table)
