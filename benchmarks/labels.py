"""Label counts of a batch, read off one gradient: how often right, on which networks, and how far off.

    python benchmarks/labels.py pictures.npz     # arrays `images` uint8 N×32×32×3 and `labels`, at least 500
    python benchmarks/labels.py pictures.npz --batches 100

Victims are drawn from pictures 0–249, networks are trained on pictures 250–499, and batches take turns on
five networks of their kind. Rules: ours with the model and without it; that of Ma et al. (ICLR 2023) as their
code has it; and GradInversion's (Yin et al., CVPR 2021), the classes whose weight rows hold the most negative
entries, which needs labels that are distinct. A cell is the percentage of batches whose counts are all right,
then the mean percentage of labels that are.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.attacks.parts.labels import infer_label_counts
from leaklib.client import FedSGD, share
from leaklib.data import ImageFile
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Batch, Update

SIZES = (2, 4, 8, 16, 32, 64)
CLASSES = 10
MODELS = 5
Rule = Callable[[Update, nn.Module], Tensor]


@dataclass(frozen=True)
class Network:
    """A victim and how it is trained: Adam, mini-batches of 50."""

    name: str
    make: LeNet | ConvNet
    epochs: int
    lr: float


NETWORKS = (
    Network("LeNet U(-1/2, 1/2)", LeNet(), 60, 3e-3),
    Network("LeNet default", LeNet(init_scale=None), 400, 3e-3),
    Network("ConvNet GELU default", ConvNet(), 12, 1e-3),
)


def column_min(update: Update, model: nn.Module) -> Tensor:
    """GradInversion: the classes whose weight rows have the lowest minimum, once each."""
    lowest = update.tensors["fc.weight"].amin(1).argsort()[: update.num_examples]
    return torch.bincount(lowest, minlength=CLASSES)


def class_embeddings(update: Update, model: nn.Module) -> Tensor:
    """Ma et al.: each weight row over its bias entry as the class's feature, then a pseudoinverse."""
    rows, signal = (update.tensors[name].double() for name in ("fc.weight", "fc.bias"))
    features = rows / signal.where(signal != 0, 1e-64)[:, None]
    last = model.get_submodule("fc")
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        probabilities = (features @ last.weight.double().T + last.bias).softmax(1).nan_to_num()
    equations = torch.cat([torch.ones(1, CLASSES), probabilities.T - torch.eye(CLASSES)])
    size = update.num_examples
    exact = (torch.linalg.pinv(equations) @ torch.cat([signal.new_tensor([size]), size * signal])).clamp_min(
        0
    )
    counts = exact.round()
    counts[counts > size] = 0
    for _ in range(abs(size - int(counts.sum()))):  # to the right sum, the worst rounding first
        up = int(counts.sum()) < size
        worst = (counts - exact).argmin() if up else (counts - exact).where(counts > 0, -torch.inf).argmax()
        counts[worst] += 1 if up else -1
    return counts.long()


RULES: dict[str, Rule] = {
    "with the model": lambda update, model: infer_label_counts(update, model),
    "without": lambda update, model: infer_label_counts(update),
    "Ma et al.": class_embeddings,
    "GradInversion": column_min,
}


def distinct(labels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """One picture each of ``size`` classes."""
    order = torch.randperm(len(labels), generator=draw)
    first = [int(order[labels[order] == c][0]) for c in torch.randperm(CLASSES, generator=draw)[:size]]
    return torch.tensor(first)


def as_they_come(labels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    return torch.randperm(len(labels), generator=draw)[:size]


def repeated(labels: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """Pictures of one class in four of the batch, at most 3 classes."""
    classes = torch.randperm(CLASSES, generator=draw)[: max(1, min(3, size // 4))]
    pool = torch.isin(labels, classes).nonzero()[:, 0]
    return pool[torch.randperm(len(pool), generator=draw)[:size]]


DRAWS = {"distinct": distinct, "as they come": as_they_come, "heavily repeated": repeated}


def train(network: Network, model: nn.Module, pictures: Batch) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=network.lr)
    draw = generator(0, "train")
    for _ in range(network.epochs):
        for some in torch.randperm(len(pictures), generator=draw).split(50):
            optimizer.zero_grad()
            cross_entropy(model(pictures.inputs[some]), pictures.labels[some]).backward()
            optimizer.step()
    optimizer.zero_grad()


def accuracy(model: nn.Module, pictures: Batch) -> float:
    with torch.no_grad():
        return (model(pictures.inputs).argmax(1) == pictures.labels).double().mean().item()


def measure(models: list[nn.Module], victims: Batch, batches: int) -> None:
    """Print one line for each way to draw and each rule, one cell for each size of the batch."""
    for name, pick in DRAWS.items():
        sizes = [size for size in SIZES if name != "distinct" or size <= CLASSES]
        cells: dict[str, list[str]] = {rule: [] for rule in RULES}
        for size in sizes:
            scores: dict[str, list[tuple[bool, float]]] = {rule: [] for rule in RULES}
            for seed in range(batches):
                some = pick(victims.labels, size, generator(seed, f"{name} {size}"))
                batch = Batch(victims.inputs[some], victims.labels[some])
                truth = torch.bincount(batch.labels, minlength=CLASSES)
                model = models[seed % len(models)]
                update = share(model, batch, FedSGD())
                for rule, infer in RULES.items():
                    found = infer(update, model)
                    overlap = torch.minimum(found, truth).sum().item() / size
                    scores[rule].append((torch.equal(found, truth), overlap))
            for rule, pairs in scores.items():
                right, overlap = (100 * sum(column) / batches for column in zip(*pairs, strict=True))
                cells[rule].append(f"{right:.0f} / {overlap:.1f}")
        for rule in RULES:
            if rule == "GradInversion" and name != "distinct":
                continue
            print(f"| {name} | {rule} | {' | '.join(cells[rule] + [''] * (len(SIZES) - len(sizes)))} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures")
    parser.add_argument("--batches", type=int, default=25, help="per cell")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = ImageFile(arguments.pictures)
    victims, train_set = data.batch(0, 250), data.batch(1, 250)
    print(f"torch {torch.__version__}, {arguments.batches} batches per cell, percent exact / overlap")
    for network in NETWORKS:
        for trained in (False, True):
            models: list[nn.Module] = [network.make.build(seed) for seed in range(MODELS)]
            for model in models if trained else ():
                train(network, model, train_set)
            seen, unseen = ([accuracy(model, some) for model in models] for some in (train_set, victims))
            state = "trained" if trained else "untrained"
            print(f"\n{network.name}, {state}. Accuracy on training pictures ", end="")
            print(f"{min(seen):.0%} to {max(seen):.0%}, victims {min(unseen):.0%} to {max(unseen):.0%}\n")
            print(f"| labels | rule | {' | '.join(map(str, SIZES))} |\n|---|---|{'---|' * len(SIZES)}")
            measure(models, victims, arguments.batches)


if __name__ == "__main__":
    main()
