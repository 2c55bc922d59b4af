"""Fishing: how well one picture of a batch of 64 comes back, and what is left of the others.

    python benchmarks/fishing.py pictures.npz runs.jsonl           # at least 448, as for imprint.py
    python benchmarks/fishing.py pictures.npz runs.jsonl --table   # prints what the file holds, runs nothing

The base is a ConvNet of width 64, a new one for every run; batches of CIFAR-10 have the labels that come. The
client answers every round from the same batch, with a plain FedSGD gradient. The rest is what the difference
of the two rounds holds below the last layer beside the one picture, as a share of what that sent. Searches
have 400 evaluations. Can be stopped and resumed. One thread.
"""

import statistics
import time

import torch
from runs import Case, on_pictures
from torch import Tensor, nn

from leaklib.attacks.fishing import Fishing, bait_of, fish
from leaklib.client import FedSGD, share
from leaklib.data import Data
from leaklib.metrics import gray_floor, psnr
from leaklib.models.baited import Baited
from leaklib.models.convnet import ConvNet
from leaklib.rng import generator
from leaklib.types import Update

SIZE, WIDTH = 64, 64
CLIENTS = {"CIFAR-10": 7, "photographs": 3}  # batches of 64 that there are
RUNS = {"CIFAR-10": 10, "photographs": 3}


def rest(model: nn.Module, update: Update, picture: Tensor) -> float:
    """What the update holds below the last layer beside what the picture alone sends, relative to that."""
    name, label = bait_of(model)
    weights = {n: w for n, w in model.named_parameters() if not n.startswith(name)}
    logit = model(picture)[0, label] / update.num_examples
    alone = dict(zip(weights, torch.autograd.grad(logit, list(weights.values())), strict=True))
    misses = sum((update.tensors[n] - g).square().sum() for n, g in alone.items())
    return (misses / sum(g.square().sum() for g in alone.values())).sqrt().item()


def run(case: Case, data: dict[str, Data]) -> Case:
    """One batch of one client, fished for its picture with the highest logit of one class."""
    seed = case["seed"]
    batch = data[case["pictures"]].batch(seed % CLIENTS[case["pictures"]], SIZE)
    bait = Baited(ConvNet(WIDTH), label=int(batch.labels[seed]))
    catch = fish(lambda model: share(model, batch, FedSGD()), bait, seed)
    with torch.no_grad():
        logits = catch.model(batch.inputs)[:, bait.label]
        losses = torch.nn.functional.cross_entropy(catch.model(batch.inputs), batch.labels)
    victim = int(logits.argmax())
    picture = batch.inputs[victim : victim + 1]
    start = time.process_time()
    found = Fishing(steps=20)(catch.model, catch.update, generator=generator(seed, "attack"))
    return {
        "psnr": psnr(found.inputs, picture).item(),
        "gray": gray_floor(picture).item(),
        "rest": rest(catch.model, catch.update, picture),
        "rounds": catch.rounds,
        "of the class": int((batch.labels == bait.label).sum()),
        "client's loss": losses.item(),
        "loss": found.loss,
        "baseline": found.baseline,
        "evaluations": found.evaluations,
        "stop": found.stop,
        "seconds": round(time.process_time() - start, 2),
    }


def table(rows: list[Case]) -> str:
    """Each run in a line, and how many were above 30 dB."""
    lines = [
        "| pictures | run | PSNR (gray) | rounds | rest of the other 63 | loss / gray's | evaluations | "
        "stop | CPU s |\n|---|---|---|---|---|---|---|---|---|"
    ]
    for row in rows:
        case = row["case"]
        lines.append(
            f"| {case['pictures']} | {case['seed']} | {row['psnr']:.1f} ({row['gray']:.1f}) | "
            f"{row['rounds']} | {row['rest']:.0e} | {row['loss'] / row['baseline']:.0e} | "
            f"{row['evaluations']} | {row['stop']} | {row['seconds']:.0f} |"
        )
    for pictures in CLIENTS:
        if decibels := [row["psnr"] for row in rows if row["case"]["pictures"] == pictures]:
            lines.append(
                f"\n{pictures}: {sum(value > 30 for value in decibels)} of {len(decibels)} above 30 dB, "
                f"median {statistics.median(decibels):.1f}, min {min(decibels):.1f}"
            )
    return "\n".join(lines)


def cases() -> list[Case]:
    return [{"pictures": name, "seed": seed} for name in RUNS for seed in range(RUNS[name])]


if __name__ == "__main__":
    on_pictures(__doc__, "fishing", cases(), run, table)
