"""Networks that have learned: the same for the same seed, on any machine, and kept."""

from pathlib import Path

import pytest
import torch
from torch import nn

from leaklib.data import Photos
from leaklib.models import pretrained
from leaklib.models.convnet import ConvNet
from leaklib.models.pretrained import Pretrained, learn
from leaklib.named import flatten

TINY = ConvNet(4)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, with nothing in memory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pretrained._state.cache_clear()
    return tmp_path / "leaklib" / "networks"


def weights(model: nn.Module) -> torch.Tensor:
    return flatten(dict(model.named_parameters())).detach()


def test_no_steps_are_the_network_itself(folder: Path) -> None:
    assert torch.equal(weights(Pretrained(TINY, 0).build(3)), weights(TINY.build(3)))
    assert not folder.exists()


def test_training_learns_what_it_is_shown() -> None:
    batch = Photos(side="left").batch(0, 64)
    right = [
        (Pretrained(TINY, steps).build(0)(batch.inputs).argmax(1) == batch.labels).float().mean()
        for steps in (0, 60)
    ]
    assert right[1] > right[0] + 0.2


def test_what_was_kept_on_the_way_is_what_fewer_steps_give(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "KEPT", (3, 6))
    Pretrained(TINY, 7).build(1)
    assert len(list(folder.iterdir())) == 3
    monkeypatch.setattr(pretrained, "learn", None)  # nothing is trained any more
    kept = weights(Pretrained(TINY, 3).build(1))
    monkeypatch.undo()
    assert torch.equal(kept, weights(learn(TINY.build(1), 3, 1)).float())


def test_seeds_steps_and_networks_have_files_of_their_own() -> None:
    relu = ConvNet(4, activation=nn.ReLU)
    files = {
        pretrained._file(network, steps, seed)
        for network in (TINY, relu, ConvNet(5))
        for steps in (1, 2)
        for seed in (0, 1)
    }
    assert len(files) == 12


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no archive"], ids=["empty", "cut", "other"])
def test_a_damaged_file_is_trained_anew(folder: Path, damage: bytes) -> None:
    first = weights(Pretrained(TINY, 2).build(0))
    (path,) = folder.iterdir()
    path.write_bytes(damage)
    pretrained._state.cache_clear()
    assert torch.equal(weights(Pretrained(TINY, 2).build(0)), first)
    assert pretrained._read(path) is not None


def test_what_a_caller_does_to_a_network_stays_with_it() -> None:
    with torch.no_grad():
        next(Pretrained(TINY, 2).build(0).parameters()).zero_()
    assert next(Pretrained(TINY, 2).build(0).parameters()).any()


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_another_arithmetic_gives_the_same_network_in_float32() -> None:
    here = learn(TINY.build(0), 30, 0)
    with torch.backends.mkldnn.flags(enabled=False):
        there = learn(TINY.build(0), 30, 0)
    assert (weights(here) - weights(there)).abs().max() < 1e-10


def test_training_can_be_watched_and_stopped() -> None:
    seen: list[int] = []

    def stop(number: int, model: nn.Module) -> bool:
        seen.append(number)
        return number == 2

    learn(TINY.build(0), 5, 0, callback=stop)
    assert seen == [1, 2]
