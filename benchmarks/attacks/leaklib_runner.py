"""One attack of this book, or DLG as published, on one victim: called by run.py, one process a run.

python leaklib_runner.py victim.npz "DLG, label joint" --evaluations 2400 --seed 0 --out result.json
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from measure import Meter, Victim, Watch, write
from published import as_published
from torch import nn

from leaklib.attacks.dlg import DLG, IDLG, INNER
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import Normalize
from leaklib.rng import generator
from leaklib.sweep.witness import FIRST, FirstLosses
from leaklib.types import Attack, Batch, Update

NETWORKS = {
    "LeNet U(-1/2, 1/2)": LeNet(),
    "LeNet default": LeNet(init_scale=None),
    "ConvNet ReLU": ConvNet(activation=nn.ReLU),
}
# Of batches.py.
BATCH_NETWORKS = {"ConvNet": ConvNet(), "LeNet default": LeNet(init_scale=None)}
PUBLISHED = "DLG as published, label known"


def attacks(evaluations: int) -> dict[str, Attack | None]:
    """By the name that stands in the table; None is the published recipe."""
    outer = evaluations // INNER
    return {
        "DLG, label joint": DLG(outer),
        "DLG, label known": DLG(outer, known_labels=True),
        "IDLG": IDLG(outer),
        "InvertingGradients": InvertingGradients(steps=evaluations),
        "InvertingGradients, unsigned": InvertingGradients(steps=evaluations, signed=False),
        "Recursive": Recursive(),
        PUBLISHED: None,
    }


def export(batch: Batch, network: str, seed: int, path: Path) -> None:
    """The batch, a network of that seed, and the gradient that a client would share."""
    model = (NETWORKS | BATCH_NETWORKS)[network].build(seed)
    inside = [module for module in model.modules() if isinstance(module, Normalize)]
    statistics = inside[0] if inside else Normalize()
    Victim(
        network,
        batch.inputs,
        batch.labels,
        {name: weight.detach() for name, weight in model.named_parameters()},
        share(model, batch, FedSGD()).tensors,
        statistics.mean.flatten(),
        statistics.std.flatten(),
        bool(inside),
    ).save(path)


def model_of(victim: Victim) -> nn.Module:
    model = (NETWORKS | BATCH_NETWORKS)[victim.network].build(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(victim.weights[name])
    return model


def update_of(victim: Victim) -> Update:
    return Update(
        victim.gradient, FedSGD(), len(victim.labels), tuple(victim.pictures.shape[1:]), victim.labels
    )


def witness(model: nn.Module, update: Update, name: str, evaluations: int, seed: int) -> list[float]:
    """The first losses of an attack; of the published recipe, the mean size of the first guesses' pixels."""
    attack, draw = attacks(evaluations)[name], generator(seed, "attack")
    if attack is not None:
        first = FirstLosses(stop=True)
        return list(first.witness(attack(model, update, generator=draw, callback=first)))
    sizes: list[float] = []

    def look(inputs: torch.Tensor) -> bool:
        sizes.append(float(f"{inputs.detach().abs().mean().item():.7g}"))
        return len(sizes) >= FIRST

    as_published(model, update, generator=draw, look=look, steps=1)
    return sizes[:FIRST]


def attack(victim: Victim, chosen: Attack | None, evaluations: int, seed: int) -> dict[str, Any]:
    """One run, as it is written down; None is the published recipe."""
    model, update, draw = model_of(victim), update_of(victim), generator(seed, "attack")
    watch = Watch(victim.pictures)
    meter = Meter(model, victim.pictures, victim.labels, watch)
    if chosen is None:
        steps = evaluations // INNER
        return meter.finish(as_published(model, update, generator=draw, look=watch.look, steps=steps))
    try:
        found = chosen(model, update, generator=draw, callback=lambda p: watch.look(p.inputs))
    except ValueError as refusal:
        return {"refused": str(refusal)}
    return meter.finish(found.inputs) | {"stop": found.stop}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("victim", type=Path)
    parser.add_argument("attack")
    parser.add_argument("--evaluations", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    victim, asked, seed = Victim.load(arguments.victim), arguments.evaluations, arguments.seed
    result = attack(victim, attacks(asked)[arguments.attack], asked, seed)
    if "refused" in result:
        result |= {"witness": None, "why": "refused"}
    else:
        model, update = model_of(victim), update_of(victim)
        result |= {"witness": witness(model, update, arguments.attack, asked, seed)}
    write(arguments.out, result)


if __name__ == "__main__":
    main()
