"""An update as text for the page "Try it on your own picture", which attacks it in the reader's browser.

The text is JSON: what the protocol makes public, then weights and update as base64 of their numbers in
little-endian order, parameter after parameter. The page trusts none of it: its reader of this format is
``live/pasted.js``.

Chapters: 3, 9, 10.
"""

import base64
import json

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.client import FedSGD
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.models.lenet import LeNet
from leaklib.named import Tensors, fingerprint, flatten, listed
from leaklib.types import Labels, Mechanism, Update

FORMAT, VERSION = "leaklib update", 1
CHANNELS = range(8, 17)
KNOWN = {Quantize, SignSGD, TopK, ClipNorm, GaussianNoise}
LARGEST = torch.finfo(torch.float32).max  # so that the page's sums of squares stay within float64


def export_update(model: nn.Module, update: Update) -> str:
    """The weights and the update as text, to be printed or saved and pasted into the page.

        print(export_update(model, update))

    The text holds all that is needed to rebuild the examples: treat it as you treat them. Labels are in it if
    the client revealed them. Numbers are float32, or float64 where the model or the update has that.

    ValueError for what the page cannot attack. It takes ``LeNet`` with 8 to 16 channels and 10 classes, the
    ``FedSGD()`` of one client on 1 or 2 pictures of 3×32×32 in [0, 1], and what was sent in full, through
    ``Quantize`` to the nearest level, ``SignSGD``, ``TopK``, or ``ClipNorm`` and ``GaussianNoise`` in a
    ``Chain``.
    """
    channels = _channels(model)
    _check(update)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    _check_tensors(weights, update)
    if update.model not in (None, fingerprint(model)):
        raise ValueError("the update was computed on other weights: export it with the model as it was sent")
    types = {tensor.dtype for tensors in (weights, update.tensors) for tensor in tensors.values()}
    if not types <= {torch.float32, torch.float64}:
        got = listed(str(kind).removeprefix("torch.") for kind in types)
        raise ValueError(f"expected numbers in float32 or float64, got {got}: share from model.float()")
    kind = torch.float64 if torch.float64 in types else torch.float32
    content = {
        "format": FORMAT,
        "version": VERSION,
        "channels": channels,
        "num_examples": update.num_examples,
        "mechanism": _settings(update.mechanism),
        "bits": (update.mechanism or Identity()).bits_sent(update),
        "type": str(kind).removeprefix("torch."),
    }
    if update.labels is not None:
        content["labels"] = _listed_labels(update.labels, update.num_examples)
    sent = {name: update.tensors[name] for name in weights}
    content |= {"weights": _numbers(weights, kind), "update": _numbers(sent, kind)}
    return json.dumps(content, indent=1)


def _channels(model: nn.Module) -> int:
    """Of every convolution, if the model is the page's network."""
    channels = getattr(getattr(model, "conv1", None), "out_channels", 0)
    got = f"{channels} channels" if channels else f"a {type(model).__name__}"
    if channels in CHANNELS:
        # A module's text says what it computes: sizes, strides, paddings, activations.
        wanted, found = repr(LeNet(channels=channels).build(0)), repr(model)
        if found == wanted:
            return channels
        got = next((line.strip() for line in found.splitlines() if line not in wanted.splitlines()), found)
    raise ValueError(
        f"expected DLG's LeNet with 8 to 16 channels and 10 classes, got {got}: build it with "
        "LeNet(channels=12).build(seed), or attack this one with leaklib"
    )


def _check(update: Update) -> None:
    """ValueError unless the page knows how the update was made, apart from its numbers."""
    if update.step != FedSGD():
        other = " with another loss" * (getattr(update.step, "loss", cross_entropy) is not cross_entropy)
        raise ValueError(
            f"expected an update of FedSGD() with cross-entropy, got {update.step}{other}: "
            "share(model, batch, FedSGD())"
        )
    if update.others:
        raise ValueError(
            f"expected the update of one client, got the mean of {len(update.clients)}: export one before it "
            "is aggregated"
        )
    if update.num_examples not in (1, 2):
        raise ValueError(f"expected 1 or 2 examples, got {update.num_examples}: share a smaller batch")
    if update.input_shape != (3, 32, 32) or update.bounds != (0, 1):
        raise ValueError(
            f"expected pictures of 3×32×32 in [0, 1], got {'×'.join(map(str, update.input_shape))} "
            f"in {update.bounds}: shrink them, and normalize inside the model"
        )


def _check_tensors(weights: Tensors, update: Update) -> None:
    """ValueError unless there is a finite gradient for each of the weights, and one of them is not 0."""
    shapes = [{name: tensor.shape for name, tensor in t.items()} for t in (weights, update.tensors)]
    if shapes[0] != shapes[1]:
        odd = [name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name)]
        raise ValueError(
            f"expected a gradient of each parameter in its shape, got another for {listed(odd)}: "
            "freeze nothing, and share from this model"
        )
    for what, tensors in {"model": weights, "update": update.tensors}.items():
        if not (flatten(tensors).abs() <= LARGEST).all():  # NaN is not, either
            raise ValueError(
                f"expected finite numbers in float32's range, got others in the {what}: look at its weights"
            )
    entries = flatten(update.tensors)
    if isinstance(update.mechanism, SignSGD) and not (entries.abs() == 1).all():
        raise ValueError("expected nothing but 1 and −1 from SignSGD(), got others: let it make the update")
    if not entries.any():
        raise ValueError("expected a gradient, got 0 everywhere: there is nothing to attack")


def _settings(mechanism: Mechanism | None) -> dict[str, object]:
    """What was done to the update, in the words of the page."""
    parts = _parts(mechanism)
    match parts if {type(part) for part in parts} <= KNOWN else None:
        case []:
            return {"kind": "full"}
        case [Quantize(bits, stochastic=False)]:
            return {"kind": "bits", "bits": bits}
        case [SignSGD()]:
            return {"kind": "signs"}
        case [TopK(fraction)]:
            return {"kind": "top", "fraction": float(fraction)}
        case [ClipNorm(max_norm), GaussianNoise(noise_multiplier)]:
            return {"kind": "noise", "clip": float(max_norm), "multiplier": float(noise_multiplier)}
    raise ValueError(
        "expected no mechanism, Quantize to the nearest level, SignSGD, TopK, or "
        f"Chain((ClipNorm(...), GaussianNoise(...))), got {mechanism}: share the update through one of these"
    )


def _parts(mechanism: Mechanism | None) -> list[Mechanism]:
    """The mechanisms one after the other, without those that do nothing."""
    if isinstance(mechanism, Chain):
        return [part for inner in mechanism.mechanisms for part in _parts(inner)]
    return [] if mechanism is None or isinstance(mechanism, Identity) else [mechanism]


def _listed_labels(labels: Labels, num_examples: int) -> list[int]:
    found = labels.tolist()
    if len(found) != num_examples or not all(0 <= label < 10 for label in found):
        raise ValueError(
            f"expected {num_examples} labels from 0 to 9, got {found}: reveal those of the batch"
        )
    return found


def _numbers(tensors: Tensors, kind: torch.dtype) -> str:
    """All entries in a row as base64."""
    values: Tensor = flatten(tensors).to("cpu", kind)
    letter = "<f8" if kind == torch.float64 else "<f4"
    return base64.b64encode(values.numpy().astype(letter).tobytes()).decode()
