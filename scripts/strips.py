"""Draws the film strips of the live figures: what stands in their place on paper and where no script runs.

    .venv/bin/python scripts/strips.py [NAME ...]

Each strip is the run that its figure shows at the settings in the page, computed by leaklib: the same
pictures, weights, seed, mechanism and search, in float64. Under each guess stand its evaluation and its PSNR,
which the file also holds as text, with the settings, so that tests can tell whether it is current.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from leaklib.attacks.dlg import IDLG
from leaklib.attacks.recursive import Recursive
from leaklib.attacks.search.matching import misfit
from leaklib.attacks.search.objectives import squared_error
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
    guesses: list[Tensor]
    scores: list[float]  # dB
    closed: tuple[Tensor, float] | None


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
    given = {"sample": "cat", "weights": "default", "channels": "12", "sent": "full", "seed": "0"} | settings
    seed = int(given["seed"])
    photo = Photos().batch(SAMPLES[given["sample"]], 1)
    truth = Batch(photo.inputs.double(), photo.labels)
    scale = {"default": None, "uniform": 0.5}[given["weights"]]
    model = LeNet(channels=int(given["channels"]), init_scale=scale).build(seed).double()
    update = send(model, truth, mechanism_of(given["sent"]), seed)
    # What explains a noisy update better than the truth does fits the noise. The distances for signs and for
    # the largest entries are lower elsewhere, without any noise.
    noisy = re.match(r"noise|\d+bits", given["sent"])
    floor = misfit(model, update, truth.inputs, truth.labels, squared_error).item() if noisy else 0.0
    lowest, guesses, scores = float("inf"), [], []

    def watch(progress: Progress) -> bool:
        nonlocal lowest
        if progress.loss < lowest:
            lowest = progress.loss
            guesses.append(progress.inputs[0].clamp(0, 1))
            scores.append(psnr(guesses[-1][None], truth.inputs).item())
        else:
            guesses.append(guesses[-1])
            scores.append(scores[-1])
        return lowest <= floor or scores[-1] >= CLEAR or len(scores) == most

    IDLG()(model, update, generator=generator(seed, "attack"), callback=watch)
    closed = None
    if given.get("method") in ("closed", "race"):
        found = Recursive()(model, update).inputs
        closed = found[0], psnr(found, truth.inputs).item()
    return Run(truth, update, guesses, scores, closed)


def send(model: nn.Module, truth: Batch, mechanism, seed: int) -> Update:
    """Computed in float64, sent in float32, as the page does."""
    update = share(model, truth, FedSGD())
    update = replace(update, tensors={name: tensor.float() for name, tensor in update.tensors.items()})
    update = mechanism(update, generator=generator(seed, "mechanism"))
    return replace(update, tensors={name: tensor.double() for name, tensor in update.tensors.items()})


def chosen(scores: list[float]) -> list[int]:
    """Evaluations, from 1, that climb from the first score to the last in equal steps, as far as they can."""
    first, last = scores[0], max(scores)
    levels = [first + (last - first) * step / (FRAMES - 1) for step in range(FRAMES)]
    return sorted({next(i for i, score in enumerate(scores, 1) if score >= level) for level in levels})


def witness(settings: dict[str, str], found: Run, at: list[int]) -> dict[str, object]:
    scores = [round(found.scores[i - 1], 2) for i in at]
    return {"settings": settings, "evaluations": at, "psnr": scores}


def read(path: Path) -> dict[str, object]:
    """What ``witness`` put into a strip."""
    with Image.open(path) as picture:
        return json.loads(picture.text["Description"])


def draw(figure: Figure) -> None:
    found = run(figure.settings)
    at = chosen(found.scores)
    pictures = [found.truth.inputs[0], portrait(found.update, 32).expand(3, -1, -1)]
    pictures += [found.guesses[i - 1] for i in at]
    captions = ["the picture", "is sent"] + [f"{i:,}: {found.scores[i - 1]:.0f} dB" for i in at]
    if found.closed:
        pictures.append(found.closed[0])
        captions.append(f"closed form: {found.closed[1]:.0f} dB")
    pictures = torch.stack([picture.float() for picture in pictures])
    strip = show_images({"": pictures}, captions={"": captions})
    text = json.dumps(witness(figure.settings, found, at))
    STRIPS.mkdir(exist_ok=True)
    strip.savefig(STRIPS / f"{figure.name}.png", dpi=150, metadata={"Software": None, "Description": text})
    print(f"{figure.name}: {', '.join(captions[2:])}")


if __name__ == "__main__":
    for _, text in pages():
        for figure in figures(text):
            if not sys.argv[1:] or figure.name in sys.argv[1:]:
                draw(figure)
