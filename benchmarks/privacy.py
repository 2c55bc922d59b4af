"""Differential privacy against reconstruction: what noise takes from attackers, and from accuracy.

    python benchmarks/privacy.py runs.jsonl                  # about 10 minutes; can be stopped and resumed
    python benchmarks/privacy.py runs.jsonl --only training
    python benchmarks/privacy.py runs.jsonl --table          # the tables of what is there
    python benchmarks/privacy.py runs.jsonl --collect        # stores them for the book

Victims are the photographs that come with the package, and scikit-learn's digits. One thread. Every run is
one line of the file, and one that is there already is not repeated.
"""

import base64
import json
import time
import zlib
from datetime import date
from functools import partial
from pathlib import Path

import torch
from runs import Case, Runs, command_line, ends, execute, numbers, read, weights
from torch import nn

from leaklib.accounting import noise_multiplier_for, reconstruction_bound
from leaklib.aggregation.central import CentralDP
from leaklib.aggregation.plain import Plain
from leaklib.attacks.candidates import Candidates
from leaklib.attacks.dlg import IDLG
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.client import FedSGD, share
from leaklib.data import Digits, Photos
from leaklib.experiment import Experiment, run
from leaklib.identifiability.spectrum import identifiability
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.models.convnet import ConvNet
from leaklib.models.mlp import Mlp
from leaklib.plots import table
from leaklib.rng import add_noise, generator
from leaklib.sweep.witness import witness
from leaklib.training import Training, train
from leaklib.types import Batch, Inputs, Update

TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "privacy.json"
DELTA = 1e-5
NOISES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0)
PICTURES = (0, 3, 4)
PRIOR = 0.25  # standard deviation of a pixel around mid-gray
STEP = FedSGD(max_grad_norm=1.0)
ATTACKS = {"IDLG": IDLG(steps=20), "InvertingGradients": InvertingGradients(steps=600)}
STRENGTHS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
BUDGETS = (0.5, 1, 2, 4, 8, 16)
TRIALS, FEW, CANDIDATES, BY_HAND = 2000, 200, 1000, 3


def bounds() -> Runs:
    """What no attack of its class can beat, from the Jacobian of the clipped step."""
    for picture in PICTURES:
        case = {"picture": picture}
        yield case, lambda p=picture: bound(*clipped(p)), lambda p=picture: ends(*clipped(p))


def clipped(picture: int) -> tuple[nn.Module, Update, Batch]:
    model, batch = ConvNet(16).build(picture), Photos().batch(picture, 1)
    return model, share(model, batch, STEP), batch


def bound(model: nn.Module, update: Update, batch: Batch) -> Case:
    start = time.process_time()
    found = identifiability(model, update, batch.inputs, batch.labels)
    return {
        "rank": found.rank,
        "unbiased": [found.predicted_psnr(z) for z in NOISES],
        "prior": [found.predicted_psnr(z, prior_std=PRIOR) for z in NOISES],
        "seconds": time.process_time() - start,
    }


def noise() -> Runs:
    """One clipped gradient of one photograph, noise of growing size, two attacks."""
    for picture in PICTURES:
        for multiplier in NOISES:
            for name in ATTACKS:
                case = {"picture": picture, "noise multiplier": multiplier, "attack": name}
                experiment = Experiment(
                    Photos(),
                    ConvNet(16),
                    STEP,
                    ATTACKS[name],
                    GaussianNoise(multiplier),
                    first_client=picture,
                    seed=picture,
                )
                yield case, partial(noisy, experiment), lambda e=experiment: list(witness(e))


def noisy(experiment: Experiment) -> Case:
    start = time.process_time()
    result = run(experiment)
    found = result.reconstruction
    return {
        "psnr": result.score.psnr.item(),
        "error": (found.inputs - result.batch.inputs).square().mean().item(),
        "label": bool(found.labels[0] == result.batch.labels[0]),
        "seconds": time.process_time() - start,
        "picture": packed(found.inputs),
    }


def packed(inputs: Inputs) -> str:
    """One picture as base64 of its compressed bytes, C×H×W."""
    values = (255 * inputs[0].clamp(0, 1)).round().to(torch.uint8)
    return base64.b64encode(zlib.compress(values.numpy().tobytes(), 9)).decode()


def candidates() -> Runs:
    """How often the best attacker picks the victim among 1,000 digits, at the strength μ of one release."""
    strengths = {f"mu {mu:g}": mu for mu in STRENGTHS}
    strengths |= {f"epsilon {e:g}": 1 / noise_multiplier_for(e, delta=DELTA) for e in BUDGETS}
    for name, mu in strengths.items():
        yield {"strength": name}, partial(pick, name, mu), lambda n=name, mu=mu: numbers(pick(n, mu, FEW))


def pick(name: str, mu: float, trials: int = TRIALS) -> Case:
    """2,000 victims. ``Candidates`` itself decides the first few; for the rest all gradients are kept."""
    model, step = Mlp().build(0).double(), FedSGD(max_grad_norm=0.1)
    attack = Candidates(Digits(), count=CANDIDATES)
    pictures = attack.pictures()
    inputs, labels = pictures.inputs.double()[:, None], pictures.labels[:, None]
    each = step(model, inputs, labels, lanes=True)
    sent = torch.cat([tensor.detach().flatten(1) for tensor in each.values()], 1)
    lengths = sent.square().sum(1)
    draw = generator(0, f"candidates, {name}")
    right = agreed = 0
    for trial, victim in enumerate(torch.randint(CANDIDATES, (TRIALS,), generator=draw).tolist()[:trials]):
        clean = {name: tensor[victim].detach() for name, tensor in each.items()}
        noisy = add_noise(clean, 0.1 / mu, generator=draw)
        seen = torch.cat([tensor.flatten() for tensor in noisy.values()])
        guess = int((lengths - 2 * sent @ seen).argmin())  # the square of what was seen is the same for all
        right += guess == victim
        if trial < BY_HAND:
            update = Update(noisy, step, 1, (1, 8, 8))
            agreed += int(attack.distances(model, update).argmin()) == guess
    return {
        "mu": mu,
        "trials": trials,
        "right": right,
        "bound": reconstruction_bound(1 / CANDIDATES, 1 / mu),
        "clipped": (sent.norm(dim=1) > 0.0999).double().mean().item(),
        "agreed": f"{agreed} of {BY_HAND}",
    }


def training() -> Runs:
    """300 clients with 5 digits each, all in every round; the unit is a client, neighbors are zero out."""
    for budget in (*BUDGETS, None):
        for seed in range(3):
            case = {"epsilon": budget, "seed": seed}
            yield case, lambda c=case: learn(lesson(**c)), lambda c=case: weights(lesson(**c))


def lesson(epsilon: float | None, seed: int) -> Training:
    rounds, clip = 40, 0.5
    return Training(
        Digits(),
        Mlp(),
        FedSGD(),
        ClipNorm(clip),
        Plain() if epsilon is None else CentralDP(noise_multiplier_for(epsilon, delta=DELTA, rounds=rounds)),
        clients=300,
        batch_size=5,
        rounds=rounds,
        lr=0.6 / clip,
        seed=seed,
    )


def learn(training: Training) -> Case:
    start = time.process_time()
    trained = train(training)
    return {
        "noise multiplier": getattr(training.aggregation, "noise_multiplier", None),
        "rounds": training.rounds,
        "accuracy": [round(value, 4) for value in trained.accuracy],
        "seconds": time.process_time() - start,
    }


PARTS = {"candidates": candidates, "bounds": bounds, "training": training, "noise": noise}


def tabulate(rows: list[Case]) -> str:
    """What the README shows."""
    of = {part: [row for row in rows if row["part"] == part] for part in PARTS}
    picked = [
        [r["case"]["strength"], f"{r['mu']:.3f}", f"{r['right']} of {r['trials']}", f"{r['bound']:.4f}"]
        for r in of["candidates"]
    ]
    learned: dict[str, list[str]] = {}
    for r in of["training"]:
        learned.setdefault(str(r["case"]["epsilon"]), []).append(f"{100 * r['accuracy'][-1]:.1f}")
    taken = []
    for i, z in enumerate(NOISES):
        line = [f"{z:g}"]
        for name in ATTACKS:
            keys = {"noise multiplier": z, "attack": name}
            found = [r["psnr"] for r in of["noise"] if keys.items() <= r["case"].items()]
            line.append(", ".join(f"{value:.1f}" for value in found))
        line += [", ".join(f"{r[kind][i]:.1f}" for r in of["bounds"]) for kind in ("unbiased", "prior")]
        taken.append(line)
    return "\n\n".join(
        [
            table(["noise multiplier", *ATTACKS, "bound, unbiased", "bound, with prior"], taken),
            table(["strength", "μ", "picked", "bound"], picked),
            table(["ε", "accuracy in %"], [[e, ", ".join(a)] for e, a in learned.items()]),
        ]
    )


def collect(rows: list[Case]) -> None:
    made = {"torch": torch.__version__.split("+")[0], "date": date.today().isoformat()}
    parts = {
        part: [{k: v for k, v in row.items() if k != "part"} for row in rows if row["part"] == part]
        for part in PARTS
    }
    TARGET.write_text(json.dumps({"made": made} | parts, indent=None, separators=(",", ":")) + "\n")


def main() -> None:
    parser = command_line(__doc__, PARTS, TARGET)
    parser.add_argument("--table", action="store_true", help="print what is there and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(*arguments.runs)
    if arguments.table:
        print(tabulate(rows))
    elif arguments.collect:
        collect(rows)
    else:
        for part in arguments.only or PARTS:
            execute(part, PARTS[part](), rows, arguments.runs[0])


if __name__ == "__main__":
    main()
