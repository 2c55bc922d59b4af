"""The residual network: its shape, and the weights that come with the package."""

import io
from importlib.resources import files

import numpy as np
import pytest
import torch
from torch import nn

from leaklib.data import Photos
from leaklib.models.resnet import WEIGHTS, ResNet
from leaklib.rng import generator


def test_three_stages_halve_the_picture_and_double_the_channels() -> None:
    model, shapes = ResNet(width=8, blocks=2, num_classes=5).build(0), []
    for module in model.children():
        module.register_forward_hook(lambda module, _, out: shapes.append(tuple(out.shape[1:])))
    assert model(torch.rand(2, 3, 32, 32, generator=generator(0, "x"))).shape == (2, 5)
    assert shapes[4:10] == [(8, 32, 32)] * 2 + [(16, 16, 16)] * 2 + [(32, 8, 8)] * 2


def test_trained_weights_tell_the_photographs_apart() -> None:
    model = ResNet(trained=True).build(0).eval()
    batch = Photos().crops(200, generator=generator(2, "crops"))
    right = (model(batch.inputs).argmax(1) == batch.labels).float().mean()
    assert right >= 0.95
    untrained = ResNet().build(0).eval()
    assert (untrained(batch.inputs).argmax(1) == batch.labels).float().mean() < 0.5


def test_trained_weights_do_not_depend_on_the_seed_and_bring_their_statistics() -> None:
    a, b = (ResNet(trained=True).build(seed) for seed in (0, 1))
    assert all(
        torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )
    norms = [module for module in a.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 9 and all(norm.running_var.min() >= 0 and norm.running_mean.any() for norm in norms)
    assert a.training


def test_the_file_is_small_and_needs_no_pickle() -> None:
    data = files("leaklib.models").joinpath(WEIGHTS).read_bytes()
    assert len(data) < 250_000
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        assert set(stored) == set(ResNet().build(0).state_dict())


def test_trained_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="default shape only, got width 8"):
        ResNet(width=8, trained=True)
    with pytest.raises(ValueError, match="blocks must be at least 1, got 0"):
        ResNet(blocks=0)


@pytest.mark.slow
def test_the_script_makes_the_same_weights_again() -> None:
    """Its first steps: the loss falls as it did when the file was made."""
    import importlib.util
    from pathlib import Path

    path = Path(__file__).parents[2] / "scripts" / "train_resnet.py"
    spec = importlib.util.spec_from_file_location("train_resnet", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    once, again = script.train(3), script.train(3)
    assert all(
        torch.equal(p, q)
        for p, q in zip(once.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert script.accuracy(script.train(40)) > 0.5
