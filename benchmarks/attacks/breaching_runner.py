"""One attack of the package ``breaching`` on one victim: called by run.py, with the Python that has it.

    python breaching_runner.py victim.npz invertinggradients --evaluations 2400 --seed 0 --out result.json

The attack is the package's own code with its shipped configuration, except for the number of iterations, to
which its step-size schedules adapt. As its own loaders do, it gets pictures normalised and searches among
normalised ones; the network undoes that first where the victim's does not normalise, so that both tools see
one and the same function. Nothing of the package is changed; its objective is wrapped to be counted.
"""

import argparse
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import breaching
import torch
from measure import Meter, Victim, Watch, write
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

INNER = 20  # evaluations in one step of PyTorch's L-BFGS


class Denormalize(nn.Module):
    """From normalised pictures to [0, 1]."""

    mean: Tensor
    std: Tensor

    def __init__(self, victim: Victim) -> None:
        super().__init__()
        self.register_buffer("mean", victim.mean)
        self.register_buffer("std", victim.std)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.std[:, None, None] + self.mean[:, None, None]


def build(victim: Victim) -> nn.Sequential:
    """The victim's network, for normalised pictures. The layers have the names of leaklib's."""
    weights = victim.weights
    act = {"LeNet": nn.Sigmoid, "ConvNet ReLU": nn.ReLU, "ConvNet": nn.GELU}
    activation = next(layer for name, layer in act.items() if victim.network.startswith(name))

    def conv(name: str, stride: int) -> nn.Conv2d:
        out, into = weights[f"{name}.weight"].shape[:2]
        return nn.Conv2d(into, out, 5, stride=stride, padding=2)

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if not victim.normalizes:
        layers["denormalize"] = Denormalize(victim)
    for index, stride in ((1, 2), (2, 2), (3, 1)):
        layers[f"conv{index}"] = conv(f"conv{index}", stride)
        layers[f"act{index}"] = activation()
    layers["flatten"] = nn.Flatten()
    classes, features = weights["fc.weight"].shape
    layers["fc"] = nn.Linear(features, classes)
    model = nn.Sequential(layers)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(weights[name])
    return model


def check(model: nn.Module, inputs: Tensor, victim: Victim) -> None:
    """Raise unless the network gives the gradient that the client shared."""
    names = [name for name, _ in model.named_parameters()]
    gradient = torch.autograd.grad(cross_entropy(model(inputs), victim.labels), list(model.parameters()))
    for name, ours in zip(names, gradient, strict=True):
        shared = victim.gradient[name]
        if (ours - shared).norm() > 1e-4 * shared.norm():
            raise RuntimeError(f"{name}: the network rebuilt here has another gradient than the victim's")


class Watched:
    """The attack's objective, looked at whenever it is evaluated."""

    def __init__(self, objective: Any, victim: Victim, watch: Watch) -> None:
        self.objective, self.watch = objective, watch
        self.mean, self.std = victim.mean[:, None, None], victim.std[:, None, None]

    def initialize(self, *arguments: Any) -> None:
        self.objective.initialize(*arguments)

    def __call__(self, model: nn.Module, gradient: Any, candidate: Tensor, labels: Tensor) -> Any:
        self.watch.look(candidate.detach() * self.std + self.mean)
        return self.objective(model, gradient, candidate, labels)


def configuration(name: str, evaluations: int, total_variation: float | None = None) -> Any:
    """The shipped one; ", label known" after its name gives the label where the shipped one optimises it.

    ``total_variation`` takes the place of the shipped weight of that prior.
    """
    plain = name.removesuffix(", label known")
    outer = evaluations // INNER if plain == "deepleakage" else evaluations
    overrides = [f"optim.max_iterations={outer}"]
    if plain != name:
        overrides.append("attack_type=optimization")  # as the package's own error message says
    if total_variation is not None:
        overrides.append(f"regularization.total_variation.scale={total_variation}")
    return breaching.get_attack_config(plain, overrides=overrides)


def attack(victim: Victim, config: Any) -> dict[str, Any]:
    """One run, as it is written down."""
    model = build(victim)
    inputs = (victim.pictures - victim.mean[:, None, None]) / victim.std[:, None, None]
    check(model, inputs, victim)
    facts = {"modality": "vision", "task": "classification", "shape": [3, 32, 32], "classes": 10}
    # Readable as a dict and by attribute: attacks that optimise the label need both.
    metadata = OmegaConf.create(facts | {"mean": victim.mean.tolist(), "std": victim.std.tolist()})
    known = None if config.attack_type == "joint-optimization" else victim.labels
    about = {"num_data_points": len(victim.labels), "labels": known, "local_hyperparams": None}
    gradient = [victim.gradient[name] for name, _ in model.named_parameters()]
    payload = {"parameters": list(model.parameters()), "buffers": list(model.buffers()), "metadata": metadata}
    shared = {"gradients": gradient, "buffers": None, "metadata": about}

    watch = Watch(victim.pictures)
    attacker = breaching.attacks.prepare_attack(model, nn.CrossEntropyLoss(), config)
    attacker.objective = Watched(attacker.objective, victim, watch)
    meter = Meter(model, inputs, victim.labels, watch)
    found, _ = attacker.reconstruct([payload], [shared], server_secrets={})
    result = meter.finish(found["data"] * victim.std[:, None, None] + victim.mean[:, None, None])
    return result | {"breaching": version("breaching")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("victim", type=Path)
    parser.add_argument("config")
    parser.add_argument("--evaluations", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    config = configuration(arguments.config, arguments.evaluations)
    write(arguments.out, attack(Victim.load(arguments.victim), config))


if __name__ == "__main__":
    main()
