"""The attack family on one machine: what each switch is worth, with its spread and its failures.

    python benchmarks/family.py pictures.npz runs.jsonl                 # an hour; can be stopped and resumed
    python benchmarks/family.py pictures.npz runs.jsonl --only fedavg
    python benchmarks/family.py pictures.npz runs.jsonl --table         # the tables of what is there
    python benchmarks/family.py pictures.npz runs.jsonl --collect       # stores them for the book

`pictures.npz` holds `images` uint8 N×32×32×3 and `labels`, at least 500; the first 64 are victims, networks
are trained on the rest. One thread; run two parts beside each other, each with its own file of runs, to use
two cores. Every run is one line of the file, and one that is there already is not repeated.
"""

import argparse
import base64
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache, partial
from pathlib import Path

import torch
from runs import Case, Run, Runs, Witness, begun, execute, read
from torch import nn
from torch.nn.functional import cross_entropy

from leaklib.attacks.grad_inversion import GradInversion
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.unknown_order import UnknownOrder
from leaklib.client import FedAvg, FedSGD, Shuffled, share
from leaklib.data import ImageFile, Photos
from leaklib.metrics import psnr, score
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.resnet import ResNet
from leaklib.plots import table
from leaklib.rng import generator
from leaklib.types import Attack, Batch, ClientStep, Update

VICTIMS = 64
ACTIVATIONS = {"ReLU": nn.ReLU, "GELU": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
TARGET = Path(__file__).parent.parent / "leaklib" / "results" / "family.json"


@dataclass(frozen=True)
class Victim:
    """Whom an attack is run on; ``believed`` is the client step that it assumes, if not the true one."""

    model: nn.Module
    batch: Batch
    step: ClientStep
    also: Case = field(default_factory=dict)
    believed: ClientStep | None = None

    def update(self) -> Update:
        update = share(self.model, self.batch, self.step, reveal_labels=True, reveal_statistics=True)
        return replace(update, step=self.believed or self.step)


class Lab:
    """The pictures, and networks that are trained once per process."""

    def __init__(self, path: str) -> None:
        self.data = ImageFile(path)
        self.trained = lru_cache(self._trained)

    def _trained(self, spec, steps: int) -> tuple[nn.Module, float]:
        """``spec`` after Adam on the pictures that are no victims, and the share of them it gets right."""
        model, count = spec.build(0), len(self.data) - VICTIMS
        everything = self.data.batch(0, len(self.data))
        inputs, labels = everything.inputs[VICTIMS:], everything.labels[VICTIMS:]
        optimizer, draw = torch.optim.Adam(model.parameters(), lr=1e-3), generator(0, "train")
        for _ in range(steps):
            some = torch.randint(count, (64,), generator=draw)
            flipped = inputs[some].flip(3) if torch.rand((), generator=draw) < 0.5 else inputs[some]
            optimizer.zero_grad()
            cross_entropy(model(flipped), labels[some]).backward()
            optimizer.step()
        for weight in model.parameters():
            weight.grad = None
        with torch.no_grad():
            right = (model.eval()(inputs).argmax(1) == labels).float().mean().item()
        return model.train(), right

    def victim(self, spec, training: int, batch: Batch) -> Callable[[], Victim]:
        """FedSGD of ``batch`` on ``spec`` after so many training steps, with the accuracy these reached."""

        def ready() -> Victim:
            model, accuracy = self.trained(spec, training)
            return Victim(model, batch, FedSGD(), {"accuracy": accuracy})

        return ready


def attacked(case: Case, ready: Callable[[], Victim], attack: Attack, pictures: bool = False) -> Run:
    """One attack, on a victim that is made when it is needed."""

    def witness() -> Witness:
        victim = ready()
        return begun(attack, victim.model, victim.update(), 0)

    return case, lambda: scored(ready(), attack, pictures), witness


def scored(victim: Victim, attack: Attack, pictures: bool) -> Case:
    update, start = victim.update(), time.process_time()
    found = attack(victim.model, update, generator=generator(0, "attack"))
    seconds, result = time.process_time() - start, score(found, victim.batch)
    shown = (found.inputs[result.order] * 255).round().to(torch.uint8).numpy().tobytes()
    return {
        "psnr": [round(value, 2) for value in result.psnr.tolist()],
        "ssim": round(result.ssim.mean().item(), 3),
        "loss": found.loss,
        "baseline": found.baseline,
        "evaluations": found.evaluations,
        "seconds": round(seconds, 2),
    } | ({"pictures": base64.b64encode(shown).decode()} if pictures else {}) | victim.also  # fmt: skip


def single(lab: Lab) -> Runs:
    """InvertingGradients on DLG's LeNet, and on a wide ReLU network before and after training."""
    attack = InvertingGradients()
    specs = {
        "LeNet U(-1/2, 1/2)": LeNet(),
        "LeNet default init": LeNet(init_scale=None),
        "ConvNet 64 ReLU": ConvNet(64, activation=nn.ReLU),
    }
    for picture in range(10):
        batch = lab.data.batch(picture, 1)
        for name, spec in specs.items():
            case = {"network": name, "training": "none", "picture": picture}
            fresh = partial(Victim, spec.build(picture), batch, FedSGD())
            yield attacked(case, fresh, attack)
        case = {"network": "ConvNet 64 ReLU", "training": "300 steps", "picture": picture}
        yield attacked(case, lab.victim(specs["ConvNet 64 ReLU"], 300, batch), attack)


def switches(lab: Lab) -> Runs:
    """Activation, training and prior, one at a time, on a narrow network."""
    for picture in range(3):
        for name, activation in ACTIVATIONS.items():
            spec = ConvNet(16, activation=activation)
            for training in (0, 100, 1000):
                for prior in ("annealed", "none"):
                    attack = InvertingGradients(
                        steps=1200, total_variation=1.0 if prior == "annealed" else 0.0
                    )
                    case = {"activation": name, "training": training, "prior": prior, "picture": picture}
                    yield attacked(case, lab.victim(spec, training, lab.data.batch(picture, 1)), attack)


def restarts(lab: Lab) -> Runs:
    """CPU time of k starts evaluated together over that of k runs, in turns."""
    for name, spec in (("LeNet", LeNet()), ("ConvNet 16", ConvNet(16)), ("ConvNet 64", ConvNet(64))):
        for starts in (1, 2, 4, 8):
            case, victim = (
                {"network": name, "starts": starts},
                Victim(spec.build(0), lab.data.batch(0, 1), FedSGD()),
            )
            _, _, witness = attacked(
                case, lambda v=victim: v, InvertingGradients(steps=40, restarts=starts - 1)
            )
            yield case, partial(_restarts, victim, starts), witness


def _restarts(victim: Victim, starts: int) -> Case:
    model, update, ratios = victim.model, victim.update(), []
    for extra in {0, starts - 1}:  # what is only slow the first time
        InvertingGradients(steps=5, restarts=extra)(model, update, generator=generator(0, "attack"))
    for _ in range(5):
        seconds = []
        for extra, times in ((starts - 1, 1), (0, starts)):
            start = time.process_time()
            for _ in range(times):
                InvertingGradients(steps=40, restarts=extra)(model, update, generator=generator(0, "attack"))
            seconds.append(time.process_time() - start)
        ratios.append(seconds[0] / seconds[1])
    return {"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def batch_norm(lab: Lab) -> Runs:
    """GradInversion on a trained network with BatchNorm: what the statistics are worth."""
    spec = ResNet(num_classes=10)
    for size, batches, steps in ((4, 4, 1200), (8, 2, 1200), (48, 1, 300)):
        for client in range(batches):
            for kind in ("none", "running", "exact"):
                attack = GradInversion(steps=steps, statistics=kind)
                case = {"batch": size, "statistics": kind, "client": client, "steps": steps}
                yield attacked(case, lab.victim(spec, 300, lab.data.batch(client, size)), attack)


def photographs(lab: Lab | None = None) -> Runs:
    """The same on the ResNet and the photographs that come with the package, with what it looks like."""
    for client in range(3):
        for kind in ("none", "running", "exact"):
            case = {"statistics": kind, "client": client}

            def ready(client: int = client) -> Victim:
                return Victim(ResNet(trained=True).build(0), Photos().batch(client, 2), FedSGD())

            yield attacked(case, ready, GradInversion(steps=1200, statistics=kind), pictures=True)


def fedavg(lab: Lab) -> Runs:
    """Local steps: the attacker who unrolls them, and the one who takes the difference for a gradient."""
    attack = InvertingGradients(steps=1200)
    for picture in range(5):
        for steps in (1, 2, 5, 10):
            for believed in (None, FedSGD()):
                attacker = "one gradient" if believed else "unrolled"
                case = {"local steps": steps, "attacker": attacker, "picture": picture}
                model, step = ConvNet(16).build(picture), FedAvg(lr=0.1, epochs=steps)
                ready = partial(Victim, model, lab.data.batch(picture, 1), step, believed=believed)
                yield attacked(case, ready, attack)


def orders(lab: Lab) -> Runs:
    """Four pictures in mini-batches of two, twice: who knows the order, ignores it, or allows for any."""
    step = FedAvg(lr=0.1, epochs=2, batch_size=2)
    gradient, any_order = InvertingGradients(steps=800), UnknownOrder(steps=800)
    for client in range(4):
        model, shuffled = ConvNet(16).build(client), Shuffled(step, seed=client)
        for attacker, believed, attack in (
            ("told the order", shuffled, gradient),
            ("takes the order given", step, gradient),
            ("allows for any order", step, any_order),
        ):
            case = {"attacker": attacker, "client": client}
            batch = lab.data.batch(client, 4)
            yield attacked(case, partial(Victim, model, batch, shuffled, believed=believed), attack)


PARTS = {
    part.__name__: part for part in (single, switches, restarts, batch_norm, photographs, fedavg, orders)
}


def settings(rows: list[Case], part: str) -> list[Case]:
    """One entry per setting, with the scores and times of all its pictures or batches."""
    found: dict[str, Case] = {}
    for row in (row for row in rows if row["part"] == part):
        own = {k: v for k, v in row["case"].items() if k in ("picture", "client")}
        case = {k: v for k, v in row["case"].items() if k not in own}
        entry = found.setdefault(json.dumps(case), {"case": case, "runs": []})
        entry["runs"].append(own | {k: v for k, v in row.items() if k not in ("part", "case")})
    return list(found.values())


def tabulate(rows: list[Case], part: str) -> str:
    """Markdown: one line per setting."""
    lines: list[Case] = []
    for entry in settings(rows, part):
        runs = entry["runs"]
        if part == "restarts":
            measured = {
                "time together / one by one": "{ratio:.2f} ({least:.2f} to {most:.2f})".format(**runs[0])
            }
        else:
            values = [value for run in runs for value in run["psnr"]]
            measured = {
                "runs": len(runs),
                "above 30 dB": f"{sum(value > 30 for value in values)} of {len(values)}",
                "median dB": f"{statistics.median(values):.1f}",
                "min to max": f"{min(values):.1f} to {max(values):.1f}",
                "s a run": f"{statistics.median(run['seconds'] for run in runs):.0f}",
                "right in training": f"{runs[0]['accuracy']:.0%}" if "accuracy" in runs[0] else "",
            }
        lines.append(entry["case"] | measured)
    return table(list(lines[0]), [list(line.values()) for line in lines]) if lines else ""


def gray(pictures: str) -> Case:
    """What a mid-gray picture scores on each of the victims."""
    inputs = ImageFile(pictures).batch(0, VICTIMS).inputs
    return {"psnr": [round(value, 2) for value in psnr(torch.full_like(inputs, 0.5), inputs).tolist()]}


def collect(rows: list[Case], pictures: str) -> None:
    """Store what the book shows, with the version and the date; a part without runs here stays as it is."""
    made = {"torch": torch.__version__.split("+")[0], "date": date.today().isoformat()}
    TARGET.parent.mkdir(exist_ok=True)
    stored = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    parts = {part: settings(rows, part) or stored.get(part, []) for part in PARTS}
    text = json.dumps({"made": made, "gray": gray(pictures)} | parts, indent=1)
    TARGET.write_text(text + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures")
    parser.add_argument("runs", type=Path, help="one line of JSON per run")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; can be repeated")
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    parser.add_argument("--collect", action="store_true", help=f"write {TARGET.name} and run nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(arguments.runs)
    if arguments.table:
        for part in PARTS:
            print(f"\n{PARTS[part].__doc__}\n\n{tabulate(rows, part)}")
    elif arguments.collect:
        collect(rows, arguments.pictures)
    else:
        lab = Lab(arguments.pictures)
        for part in arguments.only or list(PARTS):
            execute(part, PARTS[part](lab), rows, arguments.runs)


if __name__ == "__main__":
    main()
