"""Draws the film strips of the live figures: what stands in their place on paper and where no script runs.

    .venv/bin/python scripts/strips.py [NAME ...]

Each strip is the run that its figure shows at the settings in the page, computed by leaklib: the same
pictures, weights, seed, mechanism and search, in float64. Under each guess stand its evaluation and its PSNR,
which the file also holds as text, with the settings, so that tests can tell whether it is current.
"""

import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.plots import portrait, show_images
from leaklib.rng import generator
from leaklib.types import Batch, Progress, Update
from leaklib.widgets.inpage import SAMPLES

ROOT = Path(__file__).parents[1]
STRIPS = ROOT / "chapters" / "_static" / "live"
DIRECTIVE = re.compile(r"^:::\{live\} (\S+)\n((?::\w+:[^\n]*\n)+)(.*?)^:::$", re.DOTALL | re.MULTILINE)
NO_SETTING = ("alt", "class", "address")
FRAMES = 8
CLEAR = 40  # dB: what comes behind looks the same
CLIP = 1.0
STANDARD = {"sample": "cat", "weights": "default", "channels": "12", "batch": "1", "sent": "full"}
STANDARD |= {"method": "matching", "seed": "0"}


@dataclass(frozen=True)
class Figure:
    """A live figure of a page."""

    name: str
    settings: dict[str, str]
    alt: str
    caption: str


def figures(text: str) -> Iterator[Figure]:
    for name, options, caption in DIRECTIVE.findall(text):
        given = dict(re.findall(r"^:(\w+): ?(.*)$", options, re.MULTILINE))
        settings = {key: value.strip() for key, value in given.items() if key not in NO_SETTING}
        yield Figure(name, settings, given.get("alt", ""), " ".join(caption.split()))


def pages() -> Iterator[tuple[Path, str]]:
    """Every page and its Markdown."""
    for path in sorted((ROOT / "chapters").glob("*.*")):
        if path.suffix == ".md":
            yield path, path.read_text(encoding="utf8")
        elif path.suffix == ".ipynb":
            cells = json.loads(path.read_text(encoding="utf8"))["cells"]
            yield path, "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


@dataclass(frozen=True)
class Run:
    """What the server received, and how its guesses came nearer, the best so far at each evaluation."""

    truth: Batch
    update: Update
    guesses: list[Tensor]  # of all pictures
    scores: list[list[float]]  # dB of each
    closed: tuple[Tensor, float] | None

    @property
    def lowest(self) -> list[float]:
        return [min(scores) for scores in self.scores]


def mechanism_of(sent: str):
    if found := re.fullmatch(r"(\d+)bits", sent):
        return Quantize(int(found[1]))
    if found := re.fullmatch(r"top([\d.]+)", sent):
        return TopK(float(found[1]) / 100)
    if found := re.fullmatch(r"noise([\d.]+)", sent):
        return Chain((ClipNorm(CLIP), GaussianNoise(float(found[1]))))
    return {"full": Identity(), "signs": SignSGD()}[sent]


def run(settings: dict[str, str], most: int | None = None) -> Run:
    """The run at these settings, or its first ``most`` evaluations."""
    given = STANDARD | settings
    seed, truth = int(given["seed"]), victims(given["sample"], int(given["batch"]))
    scale = {"default": None, "uniform": 0.5}[given["weights"]]
    model = LeNet(channels=int(given["channels"]), init_scale=scale).build(seed).double()
    update = send(model, truth, mechanism_of(given["sent"]), seed)
    lowest, guesses, scores = math.inf, [], []

    def watch(progress: Progress) -> bool:
        nonlocal lowest
        if progress.loss < lowest:
            lowest = progress.loss
            guesses.append(progress.inputs.clamp(0, 1))
            scores.append(psnr(guesses[-1], truth.inputs).tolist())
        else:
            guesses.append(guesses[-1])
            scores.append(scores[-1])
        return min(scores[-1]) >= CLEAR or len(scores) == most

    # The labels of several, which all differ, can be read off as well: they order the pictures.
    attack = IDLG(stop_at_noise=True) if len(truth) == 1 else DLG(known_labels=True, stop_at_noise=True)
    attack(model, update, generator=generator(seed, "attack"), callback=watch)
    closed = None
    if given["method"] != "matching":
        found = Recursive()(model, update).inputs
        closed = found[0], psnr(found, truth.inputs).item()
    return Run(truth, update, guesses, scores, closed)


def victims(sample: str, count: int) -> Batch:
    """The picture of this name, and for two another one, in the order of their labels."""
    names = [sample, "cat" if sample == "astronaut" else "astronaut"][:count]
    photos = sorted(
        (Photos().batch(SAMPLES[name], 1) for name in names), key=lambda photo: photo.labels.item()
    )
    inputs = torch.cat([photo.inputs for photo in photos]).double()
    return Batch(inputs, torch.cat([photo.labels for photo in photos]))


def send(model: nn.Module, truth: Batch, mechanism, seed: int) -> Update:
    """Computed in float64, sent in float32, as the page does."""
    update = share(model, truth, FedSGD(), reveal_labels=len(truth) > 1)
    update = replace(update, tensors={name: tensor.float() for name, tensor in update.tensors.items()})
    update = mechanism(update, generator=generator(seed, "mechanism"))
    return replace(update, tensors={name: tensor.double() for name, tensor in update.tensors.items()})


def chosen(scores: list[float], frames: int = FRAMES) -> list[int]:
    """Evaluations, from 1, that climb from the first score to the best in equal steps, as far as they can."""
    first, best = scores[0], max(scores)
    levels = [first + (best - first) * step / (frames - 1) for step in range(frames)]
    return sorted({next(i for i, score in enumerate(scores, 1) if score >= level) for level in levels})


def read(path: Path) -> dict[str, object]:
    """The settings and numbers that ``draw`` put into a strip."""
    with Image.open(path) as picture:
        return json.loads(picture.text["Description"])


def draw(figure: Figure) -> None:
    found = run(figure.settings)
    several = len(found.truth) > 1
    at = chosen(found.lowest, FRAMES // len(found.truth) - bool(found.closed))
    rows, captions = {}, {}
    for k, (original, label) in enumerate(zip(found.truth.inputs, found.truth.labels, strict=True)):
        name = Photos.class_names[label] if several else ""
        pictures = [original, *(found.guesses[i - 1][k] for i in at)]
        captions[name] = ["the picture", *(f"{i:,}: {found.scores[i - 1][k]:.0f} dB" for i in at)]
        if not several:
            pictures.insert(1, portrait(found.update, 32).expand(3, -1, -1))
            captions[name].insert(1, "what is sent")
        if found.closed:
            pictures.append(found.closed[0])
            captions[name].append(f"closed: {found.closed[1]:.0f} dB")
        rows[name] = torch.stack([picture.float() for picture in pictures])
    text = json.dumps({"settings": figure.settings, "evaluations": at, "psnr": scores_at(found, at)})
    STRIPS.mkdir(exist_ok=True)
    strip = show_images(rows, captions=captions)
    strip.savefig(STRIPS / f"{figure.name}.png", dpi=150, metadata={"Software": None, "Description": text})
    print(figure.name, captions)


def scores_at(found: Run, at: list[int]) -> list[list[float]]:
    return [[round(score, 2) for score in found.scores[i - 1]] for i in at]


if __name__ == "__main__":
    for _, text in pages():
        for figure in figures(text):
            if not sys.argv[1:] or figure.name in sys.argv[1:]:
                draw(figure)
