"""Figures: closed, with the pictures that were given, and readable without colour."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from leaklib.client import FedSGD
from leaklib.drawing import CSS, LIMIT
from leaklib.metrics import gray_floor, psnr
from leaklib.plots import (
    PAGE,
    PALETTE,
    SERIES,
    gray_line,
    loss_curve,
    panels,
    portrait,
    show_images,
    spread,
    svg,
    table,
    trade_off,
)
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
    assert np.abs(np.asarray(shown[1]) / 255 - some[1].permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
    assert [axis.get_xlabel() for axis in figure.axes[:3]] == ["a", "b", "c"]


def test_what_is_nearer_than_half_a_level_is_drawn_alike() -> None:
    """An exact copy is then the same file as its original, and a page loads it once."""
    exact = (pictures(1) * 255).round() / 255
    figure = show_images({"original": exact, "below": exact - 1e-3, "above": exact + 1e-3})
    original, *copies = re.findall(r"data:image/png;base64,[^\"]*", svg(figure))
    assert len(copies) == 2 and set(copies) == {original}


def test_a_long_row_goes_on_below_with_its_captions_and_stays_aligned() -> None:
    rows = {"original": pictures(8), "a reconstruction with a prior": pictures(8)}
    captions = {"original": [f"picture {i}" for i in range(8)]}
    figure = show_images(rows, captions=captions)
    names = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert [" ".join(name.split("\n")) for name in names] == [*rows, *rows]
    shown = [axis for axis in figure.axes if axis.get_images()]
    assert [axis.get_xlabel() for axis in shown[:4] + shown[8:12]] == captions["original"]
    figure.draw_without_rendering()
    lefts = [round(axis.get_position().x0, 6) for axis in shown]
    assert lefts == lefts[:4] * 4
    assert figure.get_size_inches()[0] <= PAGE
    few = show_images({"original": pictures(1)}, size=9)
    few.draw_without_rendering()
    assert few.axes[0].get_position().width * few.get_size_inches()[0] <= 1.6


def test_curves_hold_what_the_callback_collected() -> None:
    target = pictures(1)
    trace = [Progress(i, 10.0**-i, target + 10.0**-i) for i in range(1, 4)]
    figure = loss_curve({"one": trace, "two": trace[:2]}, target)
    assert not plt.get_fignums()
    loss, decibel = figure.axes
    assert list(loss.lines[0].get_ydata()) == [p.loss for p in trace] and loss.get_yscale() == "log"
    assert np.all(np.diff(decibel.lines[0].get_ydata()) > 0)
    assert loss.lines[0].get_linestyle() != loss.lines[1].get_linestyle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    assert set(decibel.lines[-1].get_ydata()) == {gray_floor(target).item()}
    assert len(loss_curve({"one": trace}).axes) == 1


def test_what_gray_scores_by_hand() -> None:
    black, gray = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)
    # Against black every value is off by a half: 10 log10(1 / 0.25).
    assert gray_floor(torch.cat([black, gray, 1 - black])).tolist() == pytest.approx(
        [6.0206, torch.inf, 6.0206]
    )


@pytest.mark.parametrize("along", ["x", "y"])
def test_the_gray_line_is_the_median_in_a_band_of_all(along) -> None:
    victims = pictures(5) * torch.linspace(0.2, 1, 5).view(-1, 1, 1, 1)
    floor = gray_floor(victims)
    assert torch.equal(floor, psnr(torch.full_like(victims, 0.5), victims))
    for gray in (victims, floor, floor.tolist()):
        _, ((axis,),) = panels(2)
        gray_line(axis, gray, along)
        (line,), (band,), (name,) = axis.lines, axis.patches, axis.texts
        assert set(line.get_data()["xy".index(along)]) == {floor.median().item()}
        low, high = getattr(band.get_bbox(), f"interval{along}")
        assert (low, high) == pytest.approx((floor.min().item(), floor.max().item()))
        assert name.get_text().split() == ["gray", "picture"]
    gray_line(axis, 12.5, along)
    assert set(axis.lines[1].get_data()["xy".index(along)]) == {12.5}
    with pytest.raises(ValueError, match="along"):
        gray_line(axis, 12.5, "z")


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
    (axis,) = spread(rows, label="PSNR in dB", gray=[9.0, 7.0, 8.0]).axes
    assert axis.lines[-1].get_xdata()[0] == 8


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
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    (axis,) = trade_off(series, xlabel="bits", ylabel="PSNR in dB", gray=9.0).axes
    assert set(axis.lines[-1].get_ydata()) == {9}


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


# Figures as SVG


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.text.append(data)


def everything():
    """A figure with all that the book draws: lines, dots, bars, text, formulas, arrows, hatches, pictures."""
    figure, axes = panels(5, 2, 2)
    for name, color in zip("abcd", SERIES, strict=True):
        axes[0, 0].plot([1, 2, 3], [1, 2, ord(name)], "o-", color=color, label=name)
    axes[0, 0].set(title="A title", xlabel="evaluations", ylabel="loss", yscale="log")
    axes[0, 0].legend()
    axes[0, 1].scatter([1, 2, 3], [1, 2, 1], color="gray", marker="s", alpha=0.5)
    axes[0, 1].annotate("here & <now>", (1, 1), (2, 2), arrowprops={"arrowstyle": "->"})
    axes[0, 1].grid()
    axes[1, 0].bar([1, 2], [3, 4], hatch="//", color=PALETTE["mechanisms"]["TopK"]["light"])
    axes[1, 0].text(1, 1, "two\nlines", ha="center", color="black")
    axes[1, 1].imshow(pictures(1)[0].permute(1, 2, 0).numpy(), interpolation="nearest")
    gray_line(axes[0, 0], 12.0)
    return figure


def test_a_figure_is_the_same_bytes_each_time_and_says_first_what_it_is() -> None:
    figure = everything()
    text = figure._repr_html_()
    assert re.sub("<style>.*?</style>", "", text, count=1) == svg(figure) == svg(everything())
    assert text.startswith('<svg class="leaky-figure" role="img" ') and text.endswith("</svg>")
    assert figure._repr_html_() == text, "drawing it changes nothing"
    (image,) = figure.axes[3].get_images()
    assert image.get_interpolation() == "nearest"


def test_no_id_stands_twice_on_a_page() -> None:
    one, other = svg(everything()), svg(show_images({"original": pictures(2)}))
    plain = [attributes["id"] for _, attributes in Tags(other + svg(panels(2)[0])).tags if "id" in attributes]
    assert plain == []
    # A hatch cannot do without one; it is the figure's own, even where another has the same hatch.
    hatched = []
    for height in (1, 2):
        figure, ((axis,),) = panels(2)
        axis.bar([1, 2], [height, 3], hatch="//")
        axis.bar([3, 4], [height, 3], hatch="xx")
        hatched.append(svg(figure))
    ids = [
        attributes["id"] for _, attributes in Tags(one + other + "".join(hatched)).tags if "id" in attributes
    ]
    assert len(ids) == len(set(ids)) == 5
    assert set(re.findall(r"url\(#(.*?)\)", one + "".join(hatched))) == set(ids)
    assert not re.search(r"<style|clip-path|<use|xmlns|<!|<\?", one)


def test_nothing_keeps_a_color_that_a_dark_page_would_swallow() -> None:
    text = svg(everything())
    fixed = re.sub(r"var\(--[\w-]+,#\w{6}\)", "", text)
    assert not re.search(r"#[0-9a-f]{6}\b", re.sub(r"url\(#.*?\)|base64,[^\"]*", "", fixed))
    assert "currentColor" in text and CSS[SERIES[0]] == f"var(--leaky-attacks-dlg,{SERIES[0]})"
    for color in (*SERIES, PALETTE["mechanisms"]["TopK"]["light"], "#808080"):
        assert CSS[color] in text
    shapes = [a.get("style", "") for tag, a in Tags(text).tags if tag in ("text", "tspan")]
    assert not any(re.search(r"fill:(?!currentColor|var)", style) for style in shapes)


def test_a_dark_notebook_has_the_dark_colors_of_what_is_drawn() -> None:
    figure, ((axis,),) = panels(2)
    axis.plot([1, 2], color=SERIES[0])
    (style,) = re.findall(r"<style>(.*?)</style>", figure._repr_html_())
    assert f"{{--leaky-attacks-dlg:{PALETTE['attacks']['DLG']['dark']};}}" in style, "and of nothing else"
    selectors = style.removeprefix("@media screen{").partition("{")[0].split(",")
    assert len(selectors) == 4 and all(selector.endswith("] .leaky-figure") for selector in selectors)


def test_text_stays_text_in_the_font_of_the_page() -> None:
    text = svg(everything())
    said = Tags(text).text
    assert {"A title", "evaluations", "loss", "here & <now>", "two", "lines", "a", "gray"} <= set(said)
    assert "DejaVu" not in text
    sizes = {float(size) for size in re.findall(r"font-size:([\d.]+)px", text)}
    assert min(sizes) >= 7 and 10 in sizes, "only exponents are smaller than 10"
    centered = re.findall(r"<text[^>]*text-anchor:middle[^>]*>(?:two|lines)<", text)
    assert len(centered) == 0 or len(centered) == 2


def test_pictures_keep_their_pixels() -> None:
    some = pictures(1)
    for figure in (show_images({"original": some}), everything()):
        (image,) = [a for tag, a in Tags(svg(figure)).tags if tag == "image"]
        assert image["style"] == "image-rendering:pixelated"
        data = base64.b64decode(image["href"].removeprefix("data:image/png;base64,"))
        stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert stored.shape == (8, 8, 3)
        assert np.abs(stored / 255 - some[0].permute(1, 2, 0).numpy()).max() <= 1 / 255


def test_it_is_as_wide_as_its_column_and_text_keeps_its_size() -> None:
    wide, narrow = svg(panels(2)[0]), svg(panels(2, width=PAGE / 2)[0])
    assert 'viewBox="0 0 388.8 144" style="width:100%;max-width:38.00rem;' in wide
    assert 'viewBox="0 0 194.4 144" style="width:100%;max-width:19.00rem;' in narrow


def test_very_many_dots_become_a_picture() -> None:
    figure, ((axis,),) = panels(2)
    axis.scatter(*torch.rand(2, 6000, generator=generator(0, "dots")), color=SERIES[0])
    text = svg(figure)
    assert "<image" in text and "<circle" not in text and len(text) <= LIMIT
    assert not axis.collections[0].get_rasterized()
    axis.plot(*torch.rand(2, 20000, generator=generator(1, "dots")))
    assert figure._repr_html_() is None, "the notebook shows the PNG"


def test_the_png_stands_on_white_and_the_svg_on_the_page() -> None:
    figure = everything()
    target = io.BytesIO()
    figure.savefig(target)
    assert Image.open(target).convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    grounds = [
        a for tag, a in Tags(svg(figure)).tags if tag in ("path", "rect") and "--leaky-ink-page" in str(a)
    ]
    assert len(grounds) == 1, "of the legend's frame alone"
