"""A network that has learned something before the attack: how far, is what decides.

Trained by the server on public pictures with Adam, as any network is before clients get to see it: random
crops of the left halves of the photographs, which photograph is this from? Victims come from the right halves
(``Photos(side="right")``), so that no pixel was learned from.

Training amplifies rounding, and what rounds differs from machine to machine. So it runs in float64: what is
left of these differences after a thousand steps lies far below float32, in which the network is then used.

Source: Kingma, Ba, "Adam", ICLR 2015.
Chapters: 6, 8, 9.
"""

import copy
import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.data import Photos
from leaklib.fields import Checked, Natural
from leaklib.models.convnet import ConvNet
from leaklib.models.parts.build import Architecture
from leaklib.rng import generator

CROPS, BATCH, LR = 2000, 32, 1e-3
KEPT = (10, 30, 100, 300, 1000)  # on the way to more steps these are kept, too
RECIPE = 1  # counts up when anything above or in ``learn`` changes, so that no older network is taken for it

State = dict[str, Tensor]
Watch = Callable[[int, nn.Module], bool | None]


@dataclass(frozen=True)
class Pretrained(Checked):
    """``network`` after ``steps`` of Adam, for N×3×32×32 pictures of the photographs' 8 classes.

    A thousand steps of ``ConvNet(64)`` take a core about three minutes, once: networks are kept in memory and
    in the user's cache folder.
    """

    network: Architecture = ConvNet()
    steps: Natural = 1000

    def build(self, seed: int) -> nn.Module:
        """The trained network in training mode, the same for the same seed."""
        model = self.network.build(seed)
        if self.steps:
            model.load_state_dict(_state(self.network, self.steps, seed))
        return model


@torch.enable_grad()
def learn(
    model: nn.Module,
    steps: int,
    seed: int,
    *,
    callback: Watch | None = None,
) -> nn.Module:
    """A float64 copy of ``model`` after ``steps`` of Adam on crops that ``seed`` draws.

    ``callback`` is called after each step with its number, from 1 on, and the network; True stops.
    """
    model, draw = copy.deepcopy(model).double(), generator(seed, "pretraining")
    crops = Photos(side="left").crops(CROPS, generator=draw)
    inputs, mover = crops.inputs.double(), torch.optim.Adam(model.parameters(), lr=LR)
    for number in range(1, steps + 1):
        some = torch.randint(CROPS, (BATCH,), generator=draw)
        mover.zero_grad()
        cross_entropy(model(inputs[some]), crops.labels[some]).backward()
        mover.step()
        if callback is not None and callback(number, model):
            break
    return model


@lru_cache(maxsize=16)
def _state(network: Architecture, steps: int, seed: int) -> State:
    """Weights after ``steps`` steps, in float32: from the cache folder, or trained and kept there."""
    stored = _read(_file(network, steps, seed))
    if stored is not None:
        return stored

    def keep(number: int, model: nn.Module) -> None:
        if number in KEPT or number == steps:
            _write(_file(network, number, seed), _single(model))

    return _single(learn(network.build(seed), steps, seed, callback=keep))


def _single(model: nn.Module) -> State:
    return {
        name: tensor.detach().float() if tensor.is_floating_point() else tensor.detach().clone()
        for name, tensor in model.state_dict().items()
    }


def _file(network: Architecture, steps: int, seed: int) -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "leaklib" / "networks"
    name = hashlib.sha256(f"{RECIPE}/{network!r}/{steps}/{seed}".encode()).hexdigest()[:16]
    return folder / f"{name}.npz"


def _read(path: Path) -> State | None:
    """What the file holds, None if there is none or it is damaged: then the network is trained again."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: torch.from_numpy(stored[name]) for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, state: State) -> None:
    """Under its final name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})  # pyright: ignore[reportArgumentType]
    os.replace(file.name, path)
