"""The page's mechanisms against leaklib's: what is sent, in how many bits, and what distance it leaves."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from parts import weights_of

from leaklib.attacks.search.matching import fitted, misfit
from leaklib.attacks.search.objectives import squared_error
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.counting import counting_bounds
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.parts.base import MechanismBase
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.lenet import LeNet
from leaklib.named import flatten, unflatten
from leaklib.rng import generator
from leaklib.types import Batch, Update

CAT = 3
INITIALISATIONS = {"default": None, "uniform": 0.5}
# The clips: below and above the norm of the cat's gradient on either network.
PAIRS: list[tuple[dict[str, object], MechanismBase]] = [
    ({"kind": "full"}, Identity()),
    *(({"kind": "bits", "bits": bits}, Quantize(bits)) for bits in (1, 2, 3, 4, 5, 8, 16)),
    ({"kind": "signs"}, SignSGD()),
    *(({"kind": "top", "fraction": f}, TopK(f)) for f in (1e-6, 0.01, 0.1, 1.0)),
    *(
        (
            {"kind": "noise", "clip": c, "multiplier": 0.01},
            Chain((ClipNorm(c), GaussianNoise(0.01))),
        )
        for c in (0.5, 40.0)
    ),
]
IDS = [str(mechanism) for _, mechanism in PAIRS]

# Noise that leaklib drew, handed out tensor by tensor.
SEND = """
let drawn = 0;
const normal = count => Float32Array.from(noise.subarray(drawn, drawn += count));
return mechanisms.send(mechanism, gradient, network.layout(channels), {normal}, 1);
"""
DISTANCE = """
const layout = network.layout(12);
const distance = mechanisms.distance({sent, mechanism, examples: 1, bits: 0}, layout);
const direction = new Float64Array(layout.total);
return candidates.map(candidate => {
  const loss = distance(candidate, direction);
  return {distance: loss, direction: direction.slice()};
});
"""


@cache
def model(scale: float | None, channels: int = 12) -> torch.nn.Module:
    return LeNet(channels=channels, init_scale=scale).build(0)


@cache
def plain(scale: float | None, channels: int = 12) -> Update:
    return share(model(scale, channels), Photos().batch(CAT, 1), FedSGD())


def double(update: Update) -> Update:
    return replace(update, tensors={name: tensor.double() for name, tensor in update.tensors.items()})


def noise(update: Update) -> torch.Tensor:
    draw = generator(0, "mechanism")
    return torch.cat([torch.randn(t.shape, generator=draw).reshape(-1) for t in update.tensors.values()])


def sent(mechanism: MechanismBase, update: Update) -> Update:
    return mechanism(update, generator=generator(0, "mechanism"))


@pytest.mark.parametrize(("ours", "mechanism"), PAIRS, ids=IDS)
def test_what_is_sent_and_its_bits_are_those_of_the_package(deno, ours, mechanism) -> None:
    for scale, channels in ((None, 8), (0.5, 12)):
        update = plain(scale, channels)
        expected = sent(mechanism, update)
        arguments = {"mechanism": ours, "gradient": flatten(update.tensors), "channels": channels}
        answer = deno(SEND, noise=noise(update), **arguments)
        entries = flatten(expected.tensors).double().numpy()
        # The norm that clips is a sum of squares in float32: its last digit depends on the order.
        off = 1e-7 * np.linalg.norm(entries) if isinstance(mechanism, Chain) else 0
        assert np.linalg.norm(answer["sent"] - entries) <= off
        assert answer["bits"] == mechanism.bits_sent(update)
        assert answer["mechanism"] == ours and answer["examples"] == 1


def test_entries_of_equal_size_and_tensors_of_zeros_are_sent_as_the_package_does(deno) -> None:
    update = plain(None)
    flat = flatten(update.tensors)
    flat[:900] = 0
    flat[900:5000] = 0.25 * torch.where(torch.arange(4100) % 3 == 0, -1, 1)
    update = replace(update, tensors=unflatten(flat, update.tensors))
    for ours, mechanism in PAIRS[:-2]:
        answer = deno(SEND, mechanism=ours, gradient=flat, channels=12, noise=np.zeros(0))
        assert np.array_equal(answer["sent"], flatten(sent(mechanism, update).tensors).double()), mechanism


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
@pytest.mark.parametrize(("ours", "mechanism"), PAIRS, ids=IDS)
def test_distance_and_its_derivative_are_those_of_the_package(deno, ours, mechanism, scale) -> None:
    observed = double(sent(mechanism, plain(scale)))
    candidates = gradients(scale)
    answers = deno(DISTANCE, sent=flatten(observed.tensors), mechanism=ours, candidates=candidates)
    for candidate, answer in zip(candidates, answers, strict=True):
        point = candidate.clone().requires_grad_()
        expected = mechanism.distance(unflatten(point, observed.tensors), observed.tensors, squared_error)
        (direction,) = torch.autograd.grad(expected, point)
        assert answer["distance"] == pytest.approx(expected.item(), rel=1e-12, abs=0)
        assert np.linalg.norm(answer["direction"] - direction.numpy()) <= 1e-12 * direction.norm().item()


@cache
def guesses() -> list[torch.Tensor]:
    """The picture, its neighborhood, noise, and gray."""
    cat = Photos().batch(CAT, 1).inputs.double()
    draw = torch.randn(cat.shape, generator=generator(0, "guess"), dtype=torch.float64)
    return [cat, cat + 0.1 * draw, 0.5 + 0.3 * draw, torch.full_like(cat, 0.5)]


@cache
def exact(scale: float | None) -> torch.nn.Module:
    return LeNet(init_scale=scale).build(0).double()


@cache
def gradients(scale: float | None) -> list[torch.Tensor]:
    """Those of the picture and of noise on one network, of the neighborhood and of gray on the other."""
    chosen = guesses()[scale is None :: 2]
    return [flatten(share(exact(scale), Batch(x, torch.tensor([CAT])), FedSGD()).tensors) for x in chosen]


FLOOR = "return mechanisms.noiseFloor({sent, mechanism, examples: 1, bits: 0}, network.layout(12));"


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
def test_the_noise_floor_is_that_of_the_package(deno, scale) -> None:
    for ours, mechanism in PAIRS:
        observed = double(sent(mechanism, plain(scale)))
        floor = deno(FLOOR, sent=flatten(observed.tensors), mechanism=ours)
        assert floor == pytest.approx(mechanism.noise_floor(observed), rel=1e-12, abs=0), mechanism
    for numbers in (
        (0.1, 1.0, 3072, 15826),
        (0.1, 1e3, 3072, 15826),
        (1e-3, 1e3, 3072, 15826),
        (0.0, 1.0, 3072, 15826),
        (1.0, 1.0, 2, 1),
    ):
        assert deno("return search.fitted(...numbers)", numbers=list(numbers)) == pytest.approx(
            fitted(*numbers)
        )
    assert sum(mechanism.noise_floor(sent(mechanism, plain(scale))) > 0 for _, mechanism in PAIRS) == 5


SLOPE = """
const engine = compiled.compiledEngine(await compiled.compileKernel(wasm), 12, 1);
engine.weights.set(weights);
engine.targets[label] = 1;
const distance = mechanisms.distance({sent, mechanism, examples: 1, bits: 0}, engine.layout);
return pictures.map(picture => {
  engine.pictures.set(picture);
  engine.evaluate();
  const loss = distance(engine.gradient, engine.direction);
  engine.mixed();
  return {distance: loss, slope: engine.slope.slice()};
});
"""


@pytest.mark.parametrize("scale", INITIALISATIONS.values(), ids=INITIALISATIONS)
@pytest.mark.parametrize(("ours", "mechanism"), PAIRS, ids=IDS)
def test_the_slope_of_the_distance_in_the_picture_is_that_of_the_package(
    deno, ours, mechanism, scale
) -> None:
    observed = replace(double(sent(mechanism, plain(scale))), mechanism=mechanism)
    pictures = guesses()[1:3]
    arguments = {"weights": weights_of(exact(scale)), "label": CAT, "pictures": pictures}
    answers = deno(SLOPE, sent=flatten(observed.tensors), mechanism=ours, **arguments)
    for picture, answer in zip(pictures, answers, strict=True):
        point = picture.clone().requires_grad_()
        expected = misfit(exact(scale), observed, point, torch.tensor([CAT]), squared_error)
        (slope,) = torch.autograd.grad(expected, point)
        assert answer["distance"] == pytest.approx(expected.item(), rel=1e-12, abs=0)
        slope = slope.reshape(-1).numpy()
        assert np.linalg.norm(answer["slope"] - slope) <= 1e-12 * np.linalg.norm(slope)


@pytest.mark.parametrize("examples", [1, 2])
def test_the_forecast_is_the_counting_bound_of_the_package(deno, examples: int) -> None:
    for channels in range(1, 17):
        network = model(None, channels)
        update = share(network, Photos().batch(0, examples), FedSGD())
        bound = counting_bounds(network, update)[-1]
        forecast = deno("return counting.forecast(channels, examples)", channels=channels, examples=examples)
        assert forecast == {"equations": bound.rank, "unknowns": bound.unknowns}
