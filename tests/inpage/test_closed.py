"""The page's closed form against the package's: the same picture, or refused for the same reason."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from parts import ENGINES, weights_of
from torch import Tensor, nn

from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.models.lenet import LeNet
from leaklib.named import flatten
from leaklib.rng import generator
from leaklib.types import Batch, Update
from leaklib.widgets.inpage import SAMPLES

PEEL = """
engine.weights.set(weights);
const update = {sent, mechanism: {kind: "full"}, examples: 1, bits: 64 * sent.length};
const [steps, pictures] = [[], []];
for (const {layer, iteration, picture} of closed.peel(engine, update)) {
  steps.push([layer, iteration]);
  if (picture) pictures.push(pictures.length % 100 ? picture : picture.slice());
}
return {steps, first: pictures[0], hundredth: pictures[100], picture: pictures.at(-1)};
"""
REFUSE = """
const engine = network.plainEngine(channels, 1);
engine.weights.set(weights);
try {
  return [...closed.peel(engine, {sent, mechanism, examples, bits: 0})].length;
} catch (error) {
  return error.message;
}
"""


@dataclass
class Seen:
    """What the server has, flat as the page wants it and as the package does, and the truth."""

    model: nn.Module
    update: Update
    truth: Tensor
    arguments: dict[str, object]


def see(
    batch: Batch, init_scale: float | None = 0.5, channels: int = 12, dtype: torch.dtype = torch.float32
) -> Seen:
    model = LeNet(channels=channels, init_scale=init_scale).build(0).to(dtype)
    update = share(model, Batch(batch.inputs.to(dtype), batch.labels), FedSGD())
    sent = flatten(update.tensors).double()
    arguments = {"channels": channels, "weights": weights_of(model), "sent": sent}
    return Seen(model, update, batch.inputs.double().flatten(), arguments)


def sample(name: str) -> Batch:
    return Photos().batch(SAMPLES[name], 1)


def peel(deno, seen: Seen, engine: str = "wasm") -> dict:
    return deno(f"const examples = 1, engine = {ENGINES[engine]};{PEEL}", **seen.arguments)


def decibel(picture: np.ndarray, truth: Tensor) -> float:
    return -10 * np.log10(np.square(picture - truth.numpy()).mean())


@pytest.mark.parametrize(
    ("name", "init_scale"),
    [
        pytest.param(name, scale, marks=[] if (name, scale) in quick else pytest.mark.slow)
        for quick in [{("cat", 0.5), ("rocket", None)}]
        for name in SAMPLES
        for scale in (0.5, None)
    ],
)
def test_it_finds_what_recursive_finds(deno, name: str, init_scale: float | None) -> None:
    seen = see(sample(name), init_scale)
    found = peel(deno, seen)["picture"]
    known = Recursive()(seen.model, seen.update, generator=generator(0, "attack")).inputs.flatten().numpy()
    assert decibel(found, seen.truth) > 95
    assert abs(decibel(found, seen.truth) - decibel(known, seen.truth)) < 1
    assert np.square(found - known).mean() < 0.2 * np.square(known - seen.truth.numpy()).mean()


def test_in_double_precision_nothing_is_lost(deno) -> None:
    seen = see(sample("rocket"), None, dtype=torch.float64)
    assert decibel(peel(deno, seen)["picture"], seen.truth) > 200


def test_the_picture_emerges_in_the_first_layer(deno) -> None:
    seen = see(sample("galaxies"), None)
    found = peel(deno, seen, "js")
    layers = [layer for layer, _ in found["steps"]]
    assert layers == sorted(layers, reverse=True) and set(layers) == {"conv1", "conv2", "conv3"}
    assert len(layers) < 2500
    quality = [decibel(found[at], seen.truth) for at in ("first", "hundredth", "picture")]
    assert 0 < quality[0] < 15 and 30 < quality[1] < 80 and quality[2] > 95
    assert found["picture"].min() >= 0 and found["picture"].max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("init_scale", [0.5, None])
@pytest.mark.parametrize("kind", ["black", "white", "gray", "noise", "text"])
def test_no_picture_is_special(deno, kind: str, init_scale: float | None) -> None:
    draw = generator(0, "picture")
    lines = (torch.arange(32) % 4 < 2).float().expand(3, 32, 32) * (torch.arange(32) % 5 > 0)[:, None]
    inputs = {
        "black": torch.zeros(3, 32, 32),
        "white": torch.ones(3, 32, 32),
        "gray": torch.full((3, 32, 32), 0.5),
        "noise": torch.rand(3, 32, 32, generator=draw),
        "text": lines,
    }[kind]
    seen = see(Batch(inputs[None], torch.tensor([3])), init_scale)
    assert decibel(peel(deno, seen)["picture"], seen.truth) > 90


@pytest.mark.slow
@pytest.mark.parametrize("init_scale", [0.5, None])
@pytest.mark.parametrize("channels", [10, 11, 16])
def test_ten_channels_suffice(deno, channels: int, init_scale: float | None) -> None:
    seen = see(sample("cat"), init_scale, channels)
    assert decibel(peel(deno, seen)["picture"], seen.truth) > 80


@pytest.mark.parametrize("channels", [8, 9])
def test_below_ten_channels_it_refuses_as_recursive_does(deno, channels: int) -> None:
    seen = see(sample("cat"), channels=channels)
    with pytest.raises(ValueError, match="determine at most") as refusal:
        Recursive()(seen.model, seen.update, generator=generator(0, "attack"))
    said = deno(REFUSE, **seen.arguments, mechanism={"kind": "full"}, examples=1)
    assert said == f"{refusal.value}.".replace("Recursive", "The closed form")


@pytest.mark.parametrize(
    ("mechanism", "examples", "why"),
    [
        ({"kind": "full"}, 2, "needs the gradient of one picture: this is the mean of 2."),
        ({"kind": "bits", "bits": 8}, 1, "needs the gradient as it is: this one was rounded."),
        ({"kind": "signs"}, 1, "needs the gradient as it is: this one was reduced to its signs."),
        ({"kind": "top", "fraction": 0.01}, 1, "needs the gradient as it is: this one was thinned out."),
        (
            {"kind": "noise", "clip": 1.0, "multiplier": 0.01},
            1,
            "needs the gradient as it is: this one was clipped and made noisy.",
        ),
    ],
)
def test_what_it_asks_of_the_update(deno, mechanism: dict, examples: int, why: str) -> None:
    arguments = see(sample("cat")).arguments
    assert deno(REFUSE, **arguments, mechanism=mechanism, examples=examples) == f"The closed form {why}"


def test_it_says_what_it_cannot_undo(deno) -> None:
    seen = see(sample("cat"))
    sent = torch.zeros_like(seen.arguments["sent"])
    said = deno(REFUSE, **seen.arguments | {"sent": sent}, mechanism={"kind": "full"}, examples=1)
    assert said == "The closed form cannot undo fc: the gradient in its output is zero."
