"""Figures: closed, with the pictures that were given, and readable without colour."""

import matplotlib.pyplot as plt
import numpy as np
import torch

from leaklib.plots import loss_curve, show_images
from leaklib.rng import generator
from leaklib.types import Progress


def pictures(count: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 8, 8, generator=generator(0, "pictures"))


def test_pictures_are_shown_as_they_are() -> None:
    some = pictures(3)
    figure = show_images({"original": some, "grey": pictures(2, 1)}, captions={"original": ["a", "b", "c"]})
    assert not plt.get_fignums()
    shown = [axis.get_images()[0].get_array() for axis in figure.axes if axis.get_images()]
    assert len(shown) == 5 and len(figure.axes) == 6
    assert np.array_equal(np.asarray(shown[1]), some[1].permute(1, 2, 0).numpy())
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["a", "b", "c"]


def test_curves_hold_what_the_callback_collected() -> None:
    target = pictures(1)
    trace = [Progress(i, 10.0**-i, target + 10.0**-i) for i in range(1, 4)]
    figure = loss_curve({"one": trace, "two": trace[:2]}, target)
    assert not plt.get_fignums()
    loss, decibel = figure.axes
    assert list(loss.lines[0].get_ydata()) == [p.loss for p in trace] and loss.get_yscale() == "log"
    assert np.all(np.diff(decibel.lines[0].get_ydata()) > 0)
    assert loss.lines[0].get_linestyle() != loss.lines[1].get_linestyle()
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["one", "two"]
    assert len(loss_curve({"one": trace}).axes) == 1
