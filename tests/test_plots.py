"""Figures: closed, with the pictures that were given, and readable without colour."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from leaklib.client import FedSGD
from leaklib.plots import loss_curve, portrait, show_images, spread, table, trade_off
from leaklib.rng import generator
from leaklib.types import Progress, Update


def pictures(count: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 8, 8, generator=generator(0, "pictures"))


def test_pictures_are_shown_as_they_are() -> None:
    some = pictures(3)
    figure = show_images({"original": some, "gray": pictures(2, 1)}, captions={"original": ["a", "b", "c"]})
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


def test_every_value_is_a_dot_and_the_median_a_bar() -> None:
    rows = {"first": {"a": [1.0, 5.0, 3.0], "b": [2.0]}, "second": {"a": [4.0, 6.0]}}
    figure = spread(rows, label="PSNR in dB", mark=30.0)
    assert not plt.get_fignums()
    (axis,) = figure.axes
    drawn = [dot for dot in axis.collections if len(dot.get_offsets())]
    assert [sorted(dot.get_offsets()[:, 0].tolist()) for dot in drawn] == [[1, 3, 5], [2], [4, 6]]
    assert [line.get_xdata()[0] for line in axis.lines] == [3, 2, 5, 30]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["first", "second"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1], "the first row is on top"
    shapes = {tuple(dot.get_paths()[0].vertices.shape) for dot in drawn[:2]}
    assert len(shapes) == 2, "series differ in marker, not in color alone"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert not spread({"only": {"a": [1.0]}}, label="x").legends


def test_a_trade_off_shows_every_value_and_joins_the_medians() -> None:
    series = {"one": {100.0: [3.0, 9.0, 4.0], 1.0: [1.0, 2.0], 10.0: [7.0]}, "two": {2.0: [5.0], 5.0: [6.0]}}
    figure = trade_off(series, xlabel="bits", ylabel="PSNR in dB", mark=20.0)
    assert not plt.get_fignums()
    (axis,) = figure.axes
    dots = [sorted(map(tuple, dot.get_offsets().tolist())) for dot in axis.collections]
    assert dots == [sorted((x, y) for x, ys in values.items() for y in ys) for values in series.values()]
    one, two, level = axis.lines
    assert one.get_xydata().tolist() == [[1, 1.5], [10, 7], [100, 4]]
    assert two.get_xydata().tolist() == [[2, 5], [5, 6]]
    assert set(level.get_ydata()) == {20}
    assert len({(line.get_linestyle(), line.get_marker()) for line in (one, two)}) == 2
    assert one.get_linestyle() != two.get_linestyle() and one.get_marker() != two.get_marker()
    shapes = {dot.get_paths()[0].vertices.shape for dot in axis.collections}
    assert len(shapes) == 2, "series differ in marker, not in color alone"
    assert axis.get_xscale() == "log" and (axis.get_xlabel(), axis.get_ylabel()) == ("bits", "PSNR in dB")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["one", "two"]


def test_a_trade_off_without_line_mark_and_logarithm() -> None:
    (axis,) = trade_off({"a": {0.0: [1.0], 1.0: [2.0]}}, xlabel="x", ylabel="y", log=False, joined=False).axes
    assert axis.get_xscale() == "linear" and len(axis.lines) == 1
    assert axis.lines[0].get_linestyle() == "None" and axis.lines[0].get_ydata().tolist() == [1, 2]


def test_as_many_series_as_a_trade_off_may_have_are_told_apart() -> None:
    series = {str(i): {1.0: [float(i)], 2.0: [float(i)]} for i in range(6)}
    (axis,) = trade_off(series, xlabel="x", ylabel="y").axes
    styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axis.lines}
    assert len(styles) == 6


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [[1, "x"], [2.5, "y"]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2.5 | y |"


def test_a_portrait_shows_signs_and_sizes_of_the_first_entries() -> None:
    update = Update({"a": torch.tensor([[1.0, -1.0], [0.0, 1e9]]), "b": torch.ones(3)}, FedSGD(), 1, (1,))
    picture = portrait(replace(update, tensors={"a": torch.tensor([1.0, -1.0]), "b": torch.zeros(3)}), side=2)
    # Two of four entries are ±1, so the root mean square is √½ and a one lies at 1/(3·√½) of the half range.
    assert torch.allclose(picture.flatten(), 0.5 + torch.tensor([1, -1, 0, 0]) / (6 * 0.5**0.5))
    assert portrait(update, side=2).flatten().tolist()[:3] == pytest.approx([0.5] * 3, abs=1e-6)
    assert portrait(replace(update, tensors={"a": torch.zeros(4)}), side=2).eq(0.5).all()
    with pytest.raises(ValueError, match="side must be at most 2 for this update, got 3"):
        portrait(update, side=3)
