"""When can a gradient be inverted? Ranks, spectra, twins and noise, each against what the theory says.

    python benchmarks/identifiability.py runs.jsonl                  # two hours; can be stopped and resumed
    python benchmarks/identifiability.py runs.jsonl --only noise
    python benchmarks/identifiability.py runs.jsonl --table          # the tables of what is there
    python benchmarks/identifiability.py runs.jsonl --collect        # stores them for the book

Victims are the photographs that come with the package: 3 is the cat, 5 the rocket. One thread; run two parts
beside each other, each with its own file of runs, to use two cores. Every run is one line of it, and one
that is there already is not repeated.
"""

import base64
import json
import math
import resource
import time
import zlib
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

import torch
from runs import Case, Run, Runs, Witness, begun, command_line, ends, execute, read
from torch import nn

from leaklib.attacks.dlg import IDLG
from leaklib.attacks.gauss_newton import GaussNewton
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.search.jacobian import GradientMap
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.spectrum import identifiability
from leaklib.identifiability.twin import twin
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.models.lenet5 import LeNet5
from leaklib.plots import table
from leaklib.rng import generator
from leaklib.sweep.rows import png
from leaklib.types import Attack, Batch, Update

CAT, ROCKET = 3, 5
TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "identifiability.json"
SIGMAS = (1e-4, 1e-3, 1e-2, 1e-1)
SMOOTH = 1e-3  # weight of total variation, in units of what mid-gray pictures score
PRIOR = 0.25  # standard deviation of a pixel around mid-gray


def analyzed(case: Case, spec, picture: int, seed: int, batch_size: int = 1) -> Run:
    """The analysis of the gradient of one batch of photographs."""

    def ready() -> tuple[nn.Module, Update, Batch]:
        model, batch = spec.build(seed), Photos().batch(picture, batch_size)
        return model, share(model, batch, FedSGD()), batch

    return case, lambda: analyze(*ready()), lambda: ends(*ready())


def analyze(model: nn.Module, update: Update, batch: Batch) -> Case:
    """Rank and spectrum of the gradient, and what they cost."""
    start = time.process_time()
    found = identifiability(model, update, batch.inputs, batch.labels)
    seconds, spectrum = time.process_time() - start, found.singular_values
    places = torch.linspace(0, len(spectrum) - 1, 65).long()
    return {
        "rank": found.rank,
        "unknowns": found.unknowns,
        "equations": found.equations,
        "counting bound": found.counting_bound,
        "bounds": [[b.layer, b.rank, b.unknowns] for b in found.bounds],
        "gap": found.gap,
        "tolerance": found.tolerance,
        "places": places.tolist(),
        "spectrum": spectrum[places].tolist(),
        "least": spectrum[found.rank - 1].item(),
        "predicted": {str(s): found.predicted_psnr(s) for s in SIGMAS} if found.identifiable else None,
        "with prior": {str(s): found.predicted_psnr(s, prior_std=PRIOR) for s in SIGMAS},
        "seconds": seconds,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def ranks() -> Runs:
    """The rank of DLG's LeNet around its phase transition: two networks, two pictures."""
    for channels in (8, 9, 10, 12):
        for seed in (0, 1):
            for picture in (CAT, ROCKET):
                case = {"channels": channels, "seed": seed, "picture": picture}
                yield analyzed(case, LeNet(channels=channels), picture, seed)


def channels() -> Runs:
    """DLG's LeNet with 1 to 16 channels: the cat, and what the closed form says."""
    for count in range(1, 17):
        case, analysis, witness = analyzed({"channels": count}, LeNet(channels=count), CAT, 0)
        yield case, lambda c=count, a=analysis: a() | closed_form(c), witness


def closed_form(count: int) -> Case:
    """What ``Recursive`` makes of the cat's gradient: decibels, or its refusal."""
    model, batch = LeNet(channels=count).build(0).double(), Photos().batch(CAT, 1)
    try:
        found = Recursive()(model, share(model, batch, FedSGD()), generator=generator(0, "attack"))
    except ValueError as refusal:
        return {"refusal": str(refusal)}
    return {"recursive": psnr(found.inputs, batch.inputs).item()}


def lenet5() -> Runs:
    """The classic LeNet-5 on 32×32×3 pictures."""
    for activation, pool in ((nn.Sigmoid, nn.AvgPool2d), (nn.ReLU, nn.MaxPool2d), (nn.Tanh, nn.AvgPool2d)):
        for seed, picture in ((0, CAT), (1, ROCKET)):
            spec = LeNet5(activation=activation, pool=pool)
            names = {"activation": activation.__name__, "pool": pool.__name__}
            case = names | {"seed": seed, "picture": picture}
            yield analyzed(case, spec, picture, seed)


def batches() -> Runs:
    """Two pictures at once, on DLG's LeNet with 12 channels."""
    yield analyzed({"batch": 2}, LeNet(), 0, 0, batch_size=2)


def twins() -> Runs:
    """Two pictures with one gradient, where the rank is too low."""
    networks = {"LeNet-5": LeNet5()} | {f"LeNet({count})": LeNet(channels=count) for count in range(1, 10)}
    for name, spec in networks.items():
        case, _, witness = analyzed({"network": name}, spec, CAT, 0)
        yield case, partial(walk, spec), witness  # the tests hold the stored twins against the gradient


def walk(spec) -> Case:
    """From the cat as far towards the rocket as its gradient lets it."""
    model, cat, goal = spec.build(0).double(), Photos().batch(CAT, 1), Photos().batch(ROCKET, 1)
    start, update = time.process_time(), share(model, cat, FedSGD())
    found = twin(model, update, cat.inputs, cat.labels, toward=goal.inputs, steps=3)
    gradient = GradientMap(model, update, cat.labels)
    observed = gradient.vector(update.tensors)
    miss = (gradient.at(found).detach() - observed).square().sum()
    return {
        "mismatch": miss.item(),
        "relative mismatch": (miss / observed.square().sum()).item(),
        "psnr": psnr(found, cat.inputs.double()).item(),
        "float64": base64.b64encode(zlib.compress(found.numpy().tobytes())).decode(),
        "seconds": time.process_time() - start,
    }


def priors() -> Runs:
    """iDLG with a weak prior on smooth pictures, five photographs, whether the rank is full or not."""
    attack = IDLG(steps=40, total_variation=SMOOTH)
    for count in range(1, 17):
        for picture in range(2, 7):
            setting = attack, count, picture
            case = {"channels": count, "picture": picture, "total variation": SMOOTH}
            yield case, partial(attack_smooth, *setting), partial(smooth_begun, *setting)


def lenet(count: int, picture: int) -> tuple[nn.Module, Batch, Update]:
    """DLG's LeNet with so many channels, a photograph, and its gradient in 32-bit numbers."""
    model, batch = LeNet(channels=count).build(0), Photos().batch(picture, 1)
    return model, batch, share(model, batch, FedSGD())


def smooth_begun(attack: Attack, count: int, picture: int) -> Witness:
    model, _, update = lenet(count, picture)
    return begun(attack, model, update, picture)


def attack_smooth(attack: Attack, count: int, picture: int) -> Case:
    """Decibels of one attack, and of the cat the picture itself."""
    model, batch, update = lenet(count, picture)
    start = time.process_time()
    guess = attack(model, update, generator=generator(picture, "attack"))
    shown = {"png": base64.b64encode(png(guess.inputs[0])).decode()} if picture == CAT else {}
    return {
        "psnr": psnr(guess.inputs, batch.inputs).item(),
        "loss over gray": guess.loss / guess.baseline,
        "label": torch.equal(guess.labels, batch.labels),
        "seconds": time.process_time() - start,
    } | shown


def noise() -> Runs:
    """Attacks on noisy gradients of the small problem, against the bound: five pictures, three draws each."""
    for sigma in SIGMAS:
        attacks = {
            "GaussNewton": GaussNewton(noise_std=sigma),
            "GaussNewton, prior": GaussNewton(noise_std=sigma, prior_std=PRIOR),
            "IDLG": IDLG(steps=40),
            "InvertingGradients": InvertingGradients(steps=1200),
            "Recursive": Recursive(),
        }
        for name, attack in attacks.items():
            for picture in range(2, 7):
                for draw in range(3):
                    case = {"sigma": sigma, "attack": name, "picture": picture, "draw": draw}
                    setting = attack, sigma, picture, draw
                    yield case, partial(attack_noisy, *setting), partial(attack_begun, *setting)


def noised(sigma: float, picture: int, draw: int) -> tuple[nn.Module, Batch, Update, Update]:
    """The small problem's network and picture, its exact update, and the noisy one."""
    model, batch = small(picture)
    update, random = share(model, batch, FedSGD()), generator(draw, "noise")
    noisy = {
        name: tensor + sigma * torch.randn(tensor.shape, generator=random, dtype=tensor.dtype)
        for name, tensor in update.tensors.items()
    }
    return model, batch, update, replace(update, tensors=noisy)


def attack_begun(attack: Attack, sigma: float, picture: int, draw: int) -> Witness:
    model, _, _, noisy = noised(sigma, picture, draw)
    return begun(attack, model, noisy, draw)


def attack_noisy(attack: Attack, sigma: float, picture: int, draw: int) -> Case:
    """Squared error of one attack on one noisy gradient, and both bounds there."""
    model, batch, update, noisy = noised(sigma, picture, draw)
    found = identifiability(model, update, batch.inputs, batch.labels)
    start = time.process_time()
    guess = attack(model, noisy, generator=generator(draw, "attack"))
    return {
        "error": (guess.inputs - batch.inputs).square().mean().item(),
        "bound": 10 ** (-found.predicted_psnr(sigma) / 10),
        "linear-Gaussian": 10 ** (-found.predicted_psnr(sigma, prior_std=PRIOR) / 10),
        "seconds": time.process_time() - start,
    }


def small(picture: int) -> tuple[nn.Module, Batch]:
    """The small problem: a gray 16×16 photograph on DLG's LeNet cut to that size, in float64."""
    model = LeNet(num_classes=8, input_shape=(1, 16, 16)).build(picture).double()
    return model, Photos(size=16, gray=True).batch(picture, 1).to("cpu", torch.float64)


PARTS = {part.__name__: part for part in (ranks, channels, lenet5, batches, twins, priors, noise)}


def decibel(errors: list[float]) -> float:
    return -10 * math.log10(sum(errors) / len(errors))


def tabulate(rows: list[Case], part: str) -> str:
    """Markdown: one line per case; of the noise, one per attack and level."""
    rows = [row for row in rows if row["part"] == part]
    if part == "twins":
        return table(
            ["network", "PSNR of the two", "squared mismatch", "relative", "CPU s"],
            [
                [
                    row["case"]["network"],
                    f"{row['psnr']:.1f} dB",
                    f"{row['mismatch']:.0e}",
                    f"{row['relative mismatch']:.0e}",
                    f"{row.get('seconds', math.nan):.0f}",
                ]
                for row in rows
            ],
        )
    if part == "priors":
        lines = {}
        for row in rows:
            lines.setdefault(row["case"]["channels"], []).append(row["psnr"])
        return table(
            ["channels", "runs", "lowest, dB", "median, dB", "highest, dB"],
            [[c, len(v), *(f"{x:.1f}" for x in (min(v), median(v), max(v)))] for c, v in lines.items()],
        )
    if part == "noise":
        heads = ["sigma", "attack", "runs", "attack, dB", "bound, dB", "linear-Gaussian, dB"]
        return table(heads, noisy(rows))
    return table(
        ["case", "rank", "bound", "unknowns", "gap", "σ₁ / least σ", "CPU s", "GB"],
        [
            [
                ", ".join(f"{k} {v}" for k, v in row["case"].items()),
                row["rank"],
                row["counting bound"],
                row["unknowns"],
                f"{row['gap']:.0e}",
                f"{row['spectrum'][0] / row['least']:,.0f}",
                f"{row['seconds']:.0f}",
                f"{row['gigabytes']:.1f}",
            ]
            for row in rows
        ],
    )


def noisy(rows: list[Case]) -> list[list[object]]:
    """For each level and attack: the mean squared errors over pictures and draws, in decibels."""
    lines = []
    for sigma in SIGMAS:
        for name in dict.fromkeys(row["case"]["attack"] for row in rows):
            some = [r for r in rows if (r["case"]["sigma"], r["case"]["attack"]) == (sigma, name)]
            if some:
                columns = [[r[key] for r in some] for key in ("error", "bound", "linear-Gaussian")]
                lines.append([f"{sigma:g}", name, len(some), *(f"{decibel(c):.1f}" for c in columns)])
    return lines


def collect(rows: list[Case]) -> None:
    """Store what the book shows, with the version and the date of the runs."""
    made = {"torch": torch.__version__.split("+")[0], "date": date.today().isoformat()}
    parts = {
        part: [{k: v for k, v in row.items() if k != "part"} for row in rows if row["part"] == part]
        for part in PARTS
    }
    TARGET.write_text(json.dumps({"made": made} | parts, indent=None, separators=(",", ":")) + "\n")


def main() -> None:
    parser = command_line(__doc__, PARTS, TARGET)
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.table:
        for part in PARTS:
            print(f"\n{PARTS[part].__doc__}\n\n{tabulate(rows, part)}")
    elif arguments.collect:
        collect(rows)
    else:
        for part in arguments.only or list(PARTS):
            execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
