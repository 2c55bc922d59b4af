"""DLG, iDLG and Recursive on one machine: how often, how well, how fast, each against its bound.

    python benchmarks/dlg.py pictures.npz        # arrays `images` uint8 N×32×32×3 and `labels`, at least 50
    python benchmarks/dlg.py pictures.npz --only recursive --device cuda

One thread. Prints every run as it ends, then the table. Times are CPU time, compared only within the run.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from attacks.published import as_published
from torch import nn
from torch.nn.functional import cross_entropy

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.data import ImageFile, Photos
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Attack, Batch, Progress, Update


@dataclass(frozen=True)
class Run:
    """One attack on one picture."""

    decibel: float
    label_right: bool
    evaluations: int
    seconds: float


class Bench:
    def __init__(self, path: str, device: str) -> None:
        self.data, self.device = ImageFile(path), device
        self.rows: list[tuple[str, str, str, bool]] = []

    def picture(self, index: int) -> Batch:
        return self.data.batch(index, 1).to(self.device)

    def attack(
        self, attack: Attack, init_scale: float | None, index: int, seed: int, dtype=torch.float32
    ) -> Run:
        model, batch = LeNet(init_scale=init_scale).build(seed).to(self.device, dtype), self.picture(index)
        update = share(model, batch, FedSGD(), reveal_labels=True)
        start = time.process_time()
        found = attack(model, update, generator=generator(seed, "attack"))
        seconds = time.process_time() - start
        decibel = psnr(found.inputs.double(), batch.inputs.double()).item()
        run = Run(decibel, torch.equal(found.labels, batch.labels), found.evaluations, seconds)
        print(f"  picture {index} seed {seed}: {run}", flush=True)
        return run

    def row(self, what: str, bound: str, measured: str, met: bool) -> None:
        self.rows.append((what, bound, measured, met))
        print(f"{what} | {bound} | {measured} | {'met' if met else 'NOT MET'}", flush=True)


def spread(runs: list[Run]) -> str:
    scores = sorted(run.decibel for run in runs)
    return f"min {scores[0]:.1f}, median {statistics.median(scores):.1f}, max {scores[-1]:.1f} dB"


def optimisation(bench: Bench) -> None:
    """Success and quality of the attacks by matching, 10 pictures × 2 seeds."""
    cases = [(index, 1000 * seed + index) for seed in (0, 1) for index in range(10)]
    for name, attack, init_scale in (
        ("DLG, label joint, U(-1/2, 1/2), 150 outer steps", DLG(150), 0.5),
        ("DLG, label known, U(-1/2, 1/2), 150 outer steps", DLG(150, known_labels=True), 0.5),
        ("IDLG, default init, 800 evaluations", IDLG(40), None),
    ):
        runs = [bench.attack(attack, init_scale, index, seed) for index, seed in cases]
        good, median = sum(run.decibel > 30 for run in runs), statistics.median(run.decibel for run in runs)
        bound = "18 of 20 above 30 dB" + (", median 45 dB" if init_scale else "")
        met = good >= 18 and (init_scale is None or median >= 45)
        bench.row(name, bound, f"{good} of 20; {spread(runs)}", met)


def joint(bench: Bench) -> None:
    """How often DLG with a joint label passes 30 dB within 3,000 evaluations, 10 pictures × 2 seeds each."""
    for name, data in (("CIFAR-10 test pictures", bench.data), ("photographs", Photos())):
        reached, stuck = [], 0
        for index, seed in [(index, 1000 * seed + index) for seed in (0, 1) for index in range(10)]:
            model, batch = LeNet().build(seed).to(bench.device), data.batch(index, 1).to(bench.device)
            passed: list[int] = []

            def look(progress: Progress, batch: Batch = batch, passed: list[int] = passed) -> bool:
                if psnr(progress.inputs.nan_to_num(0.5).clamp(0, 1), batch.inputs).item() > 30:
                    passed.append(progress.evaluation)
                return bool(passed)

            update = share(model, batch, FedSGD())
            found = DLG(150)(model, update, generator=generator(seed, "attack"), callback=look)
            reached += passed
            stuck += found.restarts > 0
            print(f"  {name} {index} seed {seed}: {passed}, {found.stop}, {found.restarts}", flush=True)
        measured = (
            f"{len(reached)} of 20, at evaluation {statistics.median(reached):.0f}, {stuck} begun again"
        )
        row = f"DLG, label joint, U(-1/2, 1/2), above 30 dB within 3,000 evaluations: {name}"
        bench.row(row, "18 of 20", measured, len(reached) >= 18)


def closed_form(bench: Bench) -> None:
    """Exactness of Recursive, a new network for each of 50 pictures."""
    for name, init_scale, dtype, minimum, median in (
        ("Recursive, float32, U(-1/2, 1/2)", 0.5, torch.float32, 40, 75),
        ("Recursive, float64, U(-1/2, 1/2)", 0.5, torch.float64, 150, 150),
        ("Recursive, float32, default init", None, torch.float32, 75, 75),
    ):
        runs = [bench.attack(Recursive(), init_scale, index, index, dtype) for index in range(50)]
        labels = sum(run.label_right for run in runs)
        lowest, middle = min(r.decibel for r in runs), statistics.median(r.decibel for r in runs)
        seconds = statistics.median(run.seconds for run in runs)
        met = lowest >= minimum and middle >= median and labels == 50 and seconds <= 1
        bound = f"min {minimum}, median {median} dB, label 50/50, 1 s"
        bench.row(name, bound, f"{spread(runs)}, label {labels}/50, {seconds:.2f} s", met)


class Stopwatch:
    """CPU time until a guess reaches 30 dB, less the time spent on looking at it."""

    def __init__(self, target: Batch) -> None:
        self.target, self.looking, self.start = target, 0.0, time.process_time()
        self.seconds = math.nan  # if it never does

    def reached(self, inputs: torch.Tensor) -> bool:
        now = time.process_time()
        good = (inputs.detach().clamp(0, 1) - self.target.inputs).square().mean().item() < 1e-3
        if good:
            self.seconds = now - self.start - self.looking
        self.looking += time.process_time() - now
        return good


def speed(bench: Bench) -> None:
    """Recursive against DLG's way to 30 dB, and one evaluation against one training step, in turns."""
    Recursive()(*warm_up(bench), generator=generator(0, "attack"))
    ratios: dict[str, list[float]] = {"as published, label known": [], "DLG(), label joint": []}
    for index in range(10):
        model, batch = LeNet().build(index).to(bench.device), bench.picture(index)
        update = share(model, batch, FedSGD(), reveal_labels=True)
        start = time.process_time()
        Recursive()(model, update, generator=generator(index, "attack"))
        direct = time.process_time() - start
        published = Stopwatch(batch)
        as_published(model, update, generator=generator(index, "published"), look=published.reached)
        ours = Stopwatch(batch)
        DLG(300)(
            model,
            update,
            generator=generator(index, "attack"),
            callback=lambda progress, ours=ours: ours.reached(progress.inputs),
        )
        for name, watch in zip(ratios, (published, ours), strict=True):
            ratios[name].append(watch.seconds / direct)
        print(
            f"  picture {index}: Recursive {direct:.2f} s, published {published.seconds:.2f} s, "
            f"DLG {ours.seconds:.2f} s to 30 dB (nan: never)",
            flush=True,
        )
    for name, values in ratios.items():
        reached = [value for value in values if not math.isnan(value)]
        middle = statistics.median(reached)
        measured = f"median {middle:.0f}, {min(reached):.0f} to {max(reached):.0f}, over {len(reached)} of 10"
        bench.row(f"CPU time to 30 dB / Recursive's: {name}", "20", measured, middle >= 20)

    model, batch = LeNet().build(0).to(bench.device), bench.picture(0)
    update = share(model, batch, FedSGD(), reveal_labels=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)

    def train() -> None:
        optimizer.zero_grad()
        cross_entropy(model(batch.inputs), batch.labels).backward()
        optimizer.step()

    def evaluate() -> None:
        DLG(10, known_labels=True)(model, update, generator=generator(0, "attack"))

    ratios = [per_call(evaluate, 1) / 200 / per_call(train, 200) for _ in range(15)]
    for weight in model.parameters():
        weight.grad = None
    middle = statistics.median(ratios)
    bench.row(
        "one evaluation / one training step",
        "3.5",
        f"median {middle:.2f} of 15, {min(ratios):.2f} to {max(ratios):.2f}",
        middle <= 3.5,
    )


def warm_up(bench: Bench) -> tuple[nn.Module, Update]:
    model = LeNet().build(0).to(bench.device)
    return model, share(model, bench.picture(0), FedSGD())


def per_call(function: Callable[[], None], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - start) / times


def main() -> None:
    parts = {"optimisation": optimisation, "joint": joint, "closed_form": closed_form, "speed": speed}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=parts, help="one part of the table")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(arguments.pictures, arguments.device)
    for name, part in parts.items():
        if arguments.only in (None, name):
            part(bench)
    print(f"\ntorch {torch.__version__}, {bench.device}\n\n| what | bound | measured | |\n|---|---|---|---|")
    for what, bound, measured, met in bench.rows:
        print(f"| {what} | {bound} | {measured} | {'met' if met else '**not met**'} |")


if __name__ == "__main__":
    main()
