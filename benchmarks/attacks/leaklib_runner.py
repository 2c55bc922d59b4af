"""One attack of this book, or DLG as published, on one victim: called by run.py, one process a run.

python leaklib_runner.py victim.npz "DLG, label joint" --evaluations 2400 --seed 0 --out result.json
"""

import argparse
from pathlib import Path

import torch
from measure import Meter, Victim, Watch, write
from published import as_published
from torch import nn

from leaklib.attacks.dlg import DLG, IDLG, INNER
from leaklib.attacks.inverting_gradients import InvertingGradients
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.sweep.witness import FIRST, FirstLosses
from leaklib.types import Attack, Update

NETWORKS = {
    "LeNet U(-1/2, 1/2)": LeNet(),
    "LeNet default": LeNet(init_scale=None),
    "ConvNet ReLU": ConvNet(activation=nn.ReLU),
}
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


def update_of(victim: Victim) -> Update:
    return Update(victim.gradient, FedSGD(), 1, tuple(victim.picture.shape[1:]), victim.label)


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
    victim = Victim.load(arguments.victim)
    model = NETWORKS[victim.network].build(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(victim.weights[name])
    update = update_of(victim)
    attack, draw = attacks(arguments.evaluations)[arguments.attack], generator(arguments.seed, "attack")
    watch = Watch(victim.picture)
    meter = Meter(model, victim.picture, victim.label, watch)
    try:
        if attack is None:
            steps = arguments.evaluations // INNER
            inputs = as_published(model, update, generator=draw, look=watch.look, steps=steps)
        else:
            found = attack(model, update, generator=draw, callback=lambda p: watch.look(p.inputs))
            inputs = found.inputs
    except ValueError as refusal:
        write(arguments.out, {"refused": str(refusal), "witness": None, "why": "refused"})
    else:
        first = witness(model, update, arguments.attack, arguments.evaluations, arguments.seed)
        write(arguments.out, meter.finish(inputs) | {"witness": first})


if __name__ == "__main__":
    main()
