"""Whatever is combined, an attack gets no more than the server has, and noise comes only after clipping."""

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.ccesa import CCESA
from leaklib.aggregation.central import CentralDP
from leaklib.aggregation.enclave import Enclave
from leaklib.aggregation.plain import Plain
from leaklib.aggregation.secagg import SecAgg
from leaklib.attacks.search.matching import explain
from leaklib.client import FedAvg, FedSGD
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.discrete import Skellam
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.lenet import LeNet
from leaklib.types import Aggregation, ClientStep, Mechanism, Reconstruction, Update

MECHANISMS = [
    Identity(),
    Quantize(8),
    SignSGD(),
    TopK(0.1),
    ClipNorm(1.0),
    Chain((ClipNorm(1.0), GaussianNoise(0.5))),
    Chain((ClipNorm(1.0), Skellam(0.5, 8, 14))),
    Chain((TopK(0.1), Quantize(4), ClipNorm(1.0))),
]
AGGREGATIONS = [Plain(), SecAgg(), CCESA(), ByzSecAgg(), Enclave(), CentralDP()]
PAIRS = [
    *((mechanism, aggregation) for mechanism in MECHANISMS for aggregation in (Plain(), CentralDP())),
    *(
        (mechanism, aggregation)
        for mechanism in (Identity(), MECHANISMS[-2])
        for aggregation in AGGREGATIONS[1:5]
    ),
]


def reachable(thing: object, seen: set[int]) -> Iterator[Tensor]:
    """Every tensor that can be got at from ``thing``."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, nn.Module):
        yield from thing.state_dict().values()
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from reachable(value, seen)
    elif isinstance(thing, tuple | list):
        for value in thing:
            yield from reachable(value, seen)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        for field in dataclasses.fields(thing):
            yield from reachable(getattr(thing, field.name), seen)


def shows(thing: object, pictures: Tensor) -> bool:
    """Whether some tensor within ``thing`` holds one of the pictures, in whatever shape."""
    size = pictures[0].numel()
    return any(
        (row == picture.flatten()).all()
        for tensor in reachable(thing, set())
        if tensor.numel() and tensor.numel() % size == 0
        for row in tensor.detach().float().reshape(-1, size)
        for picture in pictures
    )


@dataclasses.dataclass
class Spy:
    """An attack that keeps all it was given."""

    got: list = dataclasses.field(default_factory=list)

    def __call__(self, model, update, *, generator, callback=None) -> Reconstruction:
        self.got.append((model, update, callback))
        return explain(
            model,
            update,
            torch.rand(update.num_examples, *update.input_shape, generator=generator),
            torch.zeros(update.num_examples, dtype=torch.int64),
        )


@pytest.mark.parametrize(("mechanism", "aggregation"), PAIRS, ids=str)
def test_no_combination_hands_an_attack_the_batch(mechanism: Mechanism, aggregation: Aggregation) -> None:
    spy = Spy()
    line = Experiment(Photos(), LeNet(), FedSGD(), spy, mechanism, aggregation, clients=8, reveal_labels=True)
    if isinstance(aggregation, CentralDP) and not isinstance(mechanism, ClipNorm):
        if not isinstance(mechanism, Chain) or not isinstance(mechanism.mechanisms[-1], ClipNorm):
            with pytest.raises(ValueError, match="CentralDP needs updates of bounded sensitivity"):
                run(line)
            assert not spy.got
            return
    result = run(line)
    ((model, update, callback),) = spy.got
    assert update is result.update and update in result.view.updates and callback is None
    pictures = torch.cat([Photos().batch(c, 1).inputs for c in range(8)])
    assert not shows((model, update), pictures)
    # The update is what the view says, and no client's own if the view is of a sum.
    if len(update.clients) > 1:
        alone = run(dataclasses.replace(line, clients=1, aggregation=Plain(), mechanism=Identity()))
        assert not any(
            torch.allclose(update.tensors[n], alone.update.tensors[n]) for n in ("conv1.weight", "fc.weight")
        )


STEPS = [FedSGD(), FedAvg(lr=0.1, epochs=2)]
UNCLIPPED = [
    GaussianNoise(1.0),
    Skellam(1.0),
    Chain((GaussianNoise(1.0),)),
    Chain((ClipNorm(1.0), Quantize(4), GaussianNoise(1.0))),
    Chain((ClipNorm(1.0), GaussianNoise(1.0), GaussianNoise(1.0))),
    Chain((ClipNorm(1.0), TopK(0.1), Skellam(1.0))),
    Chain((Quantize(8), SignSGD(), GaussianNoise(1.0))),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("mechanism", UNCLIPPED, ids=str)
def test_no_noise_without_clipping_right_before_it(step: ClientStep, mechanism: Mechanism) -> None:
    spy = Spy()
    with pytest.raises(ValueError, match="bounded sensitivity"):
        run(Experiment(Photos(), LeNet(), step, spy, mechanism))
    assert not spy.got


@pytest.mark.parametrize("step", STEPS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("mechanism", [Identity(), Quantize(8), Chain((ClipNorm(1.0), Quantize(8)))], ids=str)
def test_no_central_noise_without_clipping_right_before_it(step: ClientStep, mechanism: Mechanism) -> None:
    spy = Spy()
    with pytest.raises(ValueError, match="bounded sensitivity"):
        run(Experiment(Photos(), LeNet(), step, spy, mechanism, CentralDP(1.0), clients=2))
    assert not spy.got


@pytest.mark.parametrize(
    ("step", "mechanism"),
    [
        (FedSGD(max_grad_norm=1.0), GaussianNoise(1.0)),
        (FedSGD(max_grad_norm=1.0), Skellam(1.0, 2, 14)),
        (FedSGD(), Chain((ClipNorm(1.0), GaussianNoise(1.0)))),
        (FedAvg(lr=0.1), Chain((ClipNorm(1.0), Skellam(1.0, 2, 14)))),
    ],
    ids=str,
)
def test_after_clipping_noise_is_added_and_the_bound_is_used_up(
    step: ClientStep, mechanism: Mechanism
) -> None:
    spy = Spy()
    exact = run(Experiment(Photos(), LeNet(), step, spy)).update.tensors
    noisy: Update = run(Experiment(Photos(), LeNet(), step, spy, mechanism)).update
    assert noisy.sensitivity is None
    assert all((noisy.tensors[n] - exact[n]).abs().mean() > 0.1 for n in exact)


def test_labels_and_statistics_are_the_only_other_things_that_travel() -> None:
    """What an update holds besides tensors: names, numbers, roles, and what the client chose to reveal."""
    names = {field.name for field in dataclasses.fields(Update)}
    assert names == {
        "tensors",
        "step",
        "num_examples",
        "input_shape",
        "labels",
        "client",
        "statistics",
        "mechanism",
        "sensitivity",
        "bounds",
        "others",
        "model",  # a fingerprint of what the server sent
    }
    for mechanism in (GaussianNoise(1.0), Skellam(1.0)):
        line = Experiment(Photos(), LeNet(), FedSGD(max_grad_norm=1.0), Spy(), mechanism)
        assert run(line).update.labels is None


def test_the_spy_would_notice() -> None:
    picture = Photos().batch(0, 1).inputs
    honest = run(Experiment(Photos(), LeNet(), FedSGD(), Spy())).update
    for hidden in (picture.clone(), torch.cat([torch.zeros(3072), picture.flatten()])):
        assert shows(dataclasses.replace(honest, tensors={"x": hidden}), picture)
    assert not shows(honest, picture)
