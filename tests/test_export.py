"""Updates as text for the page: what is in it, and the sentence for each that the page cannot attack."""

import base64
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from leaklib import (
    Average,
    Chain,
    ClipNorm,
    FedAvg,
    FedSGD,
    GaussianNoise,
    Identity,
    LeNet,
    LeNet5,
    Photos,
    Quantize,
    SignSGD,
    TopK,
    Update,
    share,
)
from leaklib.named import flatten
from leaklib.widgets import export_update

NOISY = Chain((ClipNorm(0.5), GaussianNoise(0.01)))


def shared(mechanism=None, size=1, model=None, step=FedSGD(), **revealed):  # noqa: B008, it is frozen
    model = model or LeNet().build(0)
    update = share(model, Photos().batch(0, size), step, **revealed)
    return model, mechanism(update) if mechanism else update


def numbers(content: dict, name: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(content[name]), "<f8" if content["type"] == "float64" else "<f4")


@pytest.mark.parametrize(
    ("mechanism", "settings"),
    [
        (None, {"kind": "full"}),
        (Identity(), {"kind": "full"}),
        (Chain(()), {"kind": "full"}),
        (Quantize(1), {"kind": "bits", "bits": 1}),
        (Quantize(16), {"kind": "bits", "bits": 16}),
        (Chain((Identity(), Quantize(8))), {"kind": "bits", "bits": 8}),
        (SignSGD(), {"kind": "signs"}),
        (TopK(0.01), {"kind": "top", "fraction": 0.01}),
        (TopK(1), {"kind": "top", "fraction": 1.0}),
        (NOISY, {"kind": "noise", "clip": 0.5, "multiplier": 0.01}),
        (Chain((NOISY,)), {"kind": "noise", "clip": 0.5, "multiplier": 0.01}),
    ],
)
def test_the_text_says_what_was_sent_and_how(mechanism, settings) -> None:
    model, update = shared(mechanism)
    content = json.loads(export_update(model, update))
    assert content["mechanism"] == settings
    assert content["bits"] == (update.mechanism or Identity()).bits_sent(update)
    assert {name: content[name] for name in ("format", "version", "channels", "num_examples", "type")} == {
        "format": "leaklib update",
        "version": 1,
        "channels": 12,
        "num_examples": 1,
        "type": "float32",
    }
    np.testing.assert_array_equal(numbers(content, "update"), flatten(update.tensors).numpy())
    np.testing.assert_array_equal(
        numbers(content, "weights"), flatten(dict(model.named_parameters())).detach()
    )
    assert "labels" not in content


@pytest.mark.parametrize("channels", [8, 16])
def test_every_size_of_the_network_and_two_pictures(channels) -> None:
    model, update = shared(
        size=2, model=LeNet(channels=channels, init_scale=None).build(1), reveal_labels=True
    )
    content = json.loads(export_update(model, update))
    assert (content["channels"], content["num_examples"]) == (channels, 2)
    assert content["labels"] == Photos().batch(0, 2).labels.tolist()


def test_float64_is_kept_wherever_it_is() -> None:
    model, update = shared(model=LeNet(channels=16).build(0).double())
    text = export_update(model, update)
    assert len(text) < 1e6  # as much as the page reads
    content = json.loads(text)
    np.testing.assert_array_equal(numbers(content, "update"), flatten(update.tensors).numpy())
    single = LeNet().build(0)
    gradients = [torch.full(w.shape, 1 / 3, dtype=torch.float64) for w in single.parameters()]
    mixed = Update.from_gradients(single, gradients, input_shape=(3, 32, 32))
    content = json.loads(export_update(single, mixed))
    assert content["type"] == "float64" and (numbers(content, "update") == 1 / 3).all()


def test_the_order_of_the_gradients_does_not_matter() -> None:
    model, update = shared()
    turned = replace(update, tensors=dict(reversed(update.tensors.items())))
    assert export_update(model, turned) == export_update(model, update)


@dataclass(frozen=True)
class OwnNoise(GaussianNoise):
    """Someone else's."""


def changed(**changes):
    model, update = shared()
    return model, replace(update, **changes)


def entries(value: float):
    """An update whose first entry has this value, and which nobody took the model's fingerprint for."""
    model, update = shared()
    update.tensors["conv1.weight"][0, 0, 0, 0] = value
    return model, update


def weight_of(value: float):
    model, update = shared()
    with torch.no_grad():
        model.conv1.weight[0, 0, 0, 0] = value
    return model, replace(update, model=None)


def another():
    return LeNet().build(1), shared()[1]


def frozen():
    model = LeNet().build(0)
    model.conv1.requires_grad_(False)
    return shared(model=model)


def half():
    model = LeNet().build(0).bfloat16()
    gradients = [torch.ones_like(weight) for weight in model.parameters()]
    return model, Update.from_gradients(model, gradients, input_shape=(3, 32, 32))


def relu():
    model = LeNet().build(0)
    model.act2 = nn.ReLU()
    return shared(model=model)


def averaged():
    model = LeNet().build(0)
    clients = [share(model, Photos().batch(c, 1), FedSGD(), client=c) for c in (0, 1)]
    mean = {n: (t + clients[1].tensors[n]) / 2 for n, t in clients[0].tensors.items()}
    return model, replace(clients[0], tensors=mean, num_examples=2, others=(1,))


REFUSED = {
    "another network": (lambda: shared(model=LeNet5().build(0)), "got Sequential|got 6 channels"),
    "no convolution": (
        lambda: shared(model=nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))),
        "got a Sequential: build it with LeNet",
    ),
    "too few channels": (
        lambda: shared(model=LeNet(channels=7).build(0)),
        "8 to 16 channels .* got 7 channels",
    ),
    "too many channels": (lambda: shared(model=LeNet(channels=17).build(0)), "got 17 channels"),
    "100 classes": (lambda: shared(model=LeNet(num_classes=100).build(0)), "out_features=100"),
    "another activation": (relu, r"got \(act2\): ReLU"),
    "another model": (another, "computed on other weights"),
    "FedAvg": (lambda: shared(step=FedAvg()), r"FedSGD\(\) with cross-entropy, got FedAvg"),
    "clipped examples": (
        lambda: shared(step=FedSGD(max_grad_norm=1.0)),
        r"got FedSGD\(max_grad_norm=1.0\): share",
    ),
    "another loss": (lambda: changed(step=FedSGD(loss=mse_loss)), r"got FedSGD.* with another loss: share"),
    "an average": (lambda: changed(step=Average(FedSGD())), "got Average"),
    "several clients": (averaged, "the mean of 2: export one before"),
    "three pictures": (lambda: shared(size=3), "1 or 2 examples, got 3"),
    "other bounds": (lambda: changed(bounds=(-1, 1)), r"in \[0, 1\], got 3×32×32 in \(-1, 1\)"),
    "another shape": (lambda: changed(input_shape=(3, 28, 28)), r"3×32×32 in \[0, 1\], got 3×28×28"),
    "frozen weights": (frozen, "another for conv1.bias, conv1.weight: freeze nothing"),
    "bfloat16": (half, r"float32 or float64, got bfloat16: share from model.float\(\)"),
    "NaN": (lambda: entries(float("nan")), "others in the update"),
    "infinity": (lambda: entries(-float("inf")), "others in the update"),
    "infinite weight": (lambda: weight_of(float("inf")), "others in the model"),
    "zeros": (
        lambda: shared(lambda u: replace(u, tensors={n: t * 0 for n, t in u.tensors.items()})),
        "got 0",
    ),
    "stochastic rounding": (
        lambda: shared(Quantize(8, stochastic=True)),
        "stochastic=True.*through one of these",
    ),
    "bare clipping": (lambda: shared(ClipNorm()), "got ClipNorm"),
    "two compressors": (lambda: shared(Chain((TopK(), Quantize()))), "got Chain"),
    "someone's own": (lambda: shared(Chain((ClipNorm(), OwnNoise()))), "OwnNoise"),
    "a label too large": (lambda: changed(labels=torch.tensor([10])), r"1 labels from 0 to 9, got \[10\]"),
    "a label too many": (lambda: changed(labels=torch.tensor([1, 2])), r"got \[1, 2\]"),
    "signs that are none": (lambda: changed(mechanism=SignSGD()), "1 and −1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_page_cannot_attack_is_answered_with_a_sentence(name) -> None:
    make, sentence = REFUSED[name]
    model, update = make()
    with pytest.raises(ValueError, match=sentence):
        export_update(model, update)
