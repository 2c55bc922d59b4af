"""Figures of the book: pictures side by side, and how an attack approached them.

Every function returns a closed figure, so that a notebook shows it exactly once, as the value of its cell.
Colours come from palette.json, which the website's stylesheet uses too; on a page they follow its theme.
"""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from leaklib.drawing import DPI, INK, MUTED, PAGE, PALETTE, Drawing, svg
from leaklib.metrics import gray_floor, psnr
from leaklib.types import Inputs, Progress, Update

__all__ = (
    "PAGE",
    "PALETTE",
    "SERIES",
    "gray_line",
    "loss_curve",
    "panels",
    "portrait",
    "show_images",
    "spread",
    "svg",
    "table",
    "trade_off",
)

# Of the series of one figure, in their order. The light ones, which a page exchanges where it is dark.
SERIES = [PALETTE["attacks"][name]["light"] for name in ("DLG", "Recursive", "GradInversion", "LinearLayer")]

Real = int | float
Gray = Tensor | Sequence[Real] | Real

TEXT = 10  # points
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": TEXT,
    "font.size": TEXT,
    "grid.alpha": 0.25,
    "grid.color": MUTED,
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": TEXT,
    "ytick.color": INK,
    "ytick.labelsize": TEXT,
}
DASHES, MARKERS = ("-", "--", "-.", ":"), "oDs^vP"
FEW_PICTURES, MANY_PICTURES = 5, 6  # in a row, with captions and without
FEW = 10  # different places on an axis, each of which gets its own tick


def panels(height: Real, rows: int = 1, columns: int = 1, *, width: Real = PAGE) -> tuple[Figure, Any]:
    """A closed figure of so many inches, and its axes, rows×columns.

    At the width of a page, text of 10 points can be read on a phone. The figure is the value of a cell: a
    notebook stores it as SVG, which follows the page's theme, and as PNG.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(width, height),
            dpi=DPI,
            squeeze=False,
            layout="constrained",
            # White for the PNG; the SVG has no ground.
            facecolor="white",
            FigureClass=Drawing,
        )
    plt.close(figure)
    return figure, axes


def gray_line(axis: Axes, gray: Gray, along: str = "y") -> None:
    """A thin line where a mid-gray picture would stand, with its name; ``along`` is the axis of the PSNR.

    ``gray`` holds the victims, or what gray scores on each of them in dB: of several, the line is the median
    and a band goes from the lowest to the highest.
    """
    levels = _levels(gray)
    middle = median(levels)
    name = {"color": MUTED, "fontsize": TEXT}
    if along == "y":
        axis.axhspan(min(levels), max(levels), color="gray", alpha=0.15, linewidth=0, zorder=0)
        axis.axhline(middle, color="gray", linewidth=1, zorder=1)
        place = axis.get_yaxis_transform()
        axis.text(1.01, middle, "gray\npicture", transform=place, ha="left", va="center", **name)
    elif along == "x":
        axis.axvspan(min(levels), max(levels), color="gray", alpha=0.15, linewidth=0, zorder=0)
        axis.axvline(middle, color="gray", linewidth=1, zorder=1)
        place = axis.get_xaxis_transform()
        axis.text(middle, 1.01, "gray picture", transform=place, ha="center", va="bottom", **name)
    else:
        raise ValueError(f'along must be "x" or "y", got {along!r}')


def _levels(gray: Gray) -> list[float]:
    if isinstance(gray, Tensor) and gray.ndim > 1:
        return gray_floor(gray).tolist()
    if isinstance(gray, Real):
        return [float(gray)]
    return [float(level) for level in gray]


def _legend(figure: Figure, axis: Axes) -> None:
    """Above the data, in as many columns as fit."""
    handles, names = axis.get_legend_handles_labels()
    widest = sorted(map(len, names), reverse=True)
    columns = max(n for n in range(1, len(names) + 1) if n == 1 or sum(widest[:n]) + 8 * n <= 70)
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False, fontsize=TEXT)


def show_images(
    rows: Mapping[str, Inputs], *, captions: Mapping[str, Sequence[str]] | None = None, size: Real = 1.3
) -> Figure:
    """Rows of N×C×H×W pictures in [0, 1] under each other, the key at the left of each.

    ``captions`` holds, for some of the rows, a few words under each picture. ``size`` is inches per picture,
    at most 1.6, and less where a row would be wider than a page. Rows that are too long to be seen well
    continue below, all of them at the same place.
    """
    captions = captions or {}
    most = max(len(pictures) for pictures in rows.values())
    columns = math.ceil(most / math.ceil(most / (FEW_PICTURES if captions else MANY_PICTURES)))
    names = {name: textwrap.fill(name, 12, break_long_words=False) for name in rows}
    margin = 0.15 + 0.08 * max(len(line) for name in names.values() for line in name.split("\n"))
    size = min(size, 1.6, (PAGE - margin) / columns)
    letters = max(6, int(size / 0.08))
    lines: list[tuple[str, Inputs, list[str]]] = []
    for start in range(0, most, columns):
        for name, pictures in rows.items():
            shown = slice(start, start + columns)
            if len(pictures[shown]):
                words = captions.get(name, ())[start : start + columns]
                wrapped = [textwrap.fill(text, letters, break_long_words=False) for text in words]
                lines.append((name, pictures[shown], wrapped))
    deep = [max((caption.count("\n") + 1 for caption in wrapped), default=0) for _, _, wrapped in lines]
    height = sum(size + 0.04 + 0.17 * deepest + (0.07 if deepest else 0) for deepest in deep) + 0.04
    figure, axes = panels(height, len(lines), columns, width=size * columns + margin)
    for row, (name, pictures, wrapped) in zip(axes, lines, strict=True):
        for axis in row:
            axis.set(xticks=[], yticks=[], frame_on=False)
        for axis, picture in zip(row, pictures, strict=False):
            # matplotlib cuts off instead of rounding: a copy may then differ from its original by a level.
            pixels = (picture.detach().cpu().float().clamp(0, 1) * 255).round().byte()
            axis.imshow(
                pixels.permute(1, 2, 0).squeeze(-1).numpy(),
                cmap="gray",
                vmin=0,
                vmax=255,
                interpolation="none",
            )
        for axis, caption in zip(row, wrapped, strict=False):
            axis.set_xlabel(caption)
        row[0].set_ylabel(names[name], rotation=0, ha="right", va="center")
    return figure


def portrait(update: Update, side: int = 64) -> Tensor:
    """The first side² entries of an update as a gray picture, 1×side×side in [0, 1]: mid-gray is zero.

    White and black are three times their root mean square. ValueError if the update has fewer entries.
    """
    entries = torch.cat([tensor.detach().cpu().double().flatten() for tensor in update.tensors.values()])
    if len(entries) < side * side:
        raise ValueError(f"side must be at most {math.isqrt(len(entries))} for this update, got {side}")
    some = entries[: side * side]
    scale = some.square().mean().sqrt().clamp_min(torch.finfo(some.dtype).tiny)
    return (0.5 + some / (6 * scale)).clamp(0, 1).float().view(1, side, side)


def loss_curve(traces: Mapping[str, Sequence[Progress]], target: Inputs | None = None) -> Figure:
    """Matching loss over evaluations, one line per named trace; with ``target``, PSNR in a second panel.

    A trace is what ``trace.append`` collected as an attack's callback. Lines differ in dash and in colour,
    and the second panel says what a gray picture would score.
    """
    figure, axes = panels(2.8 if target is None else 4.4, rows=1 if target is None else 2)
    for (name, trace), color, dash in zip(traces.items(), cycle(SERIES), cycle(DASHES), strict=False):
        style = {"color": color, "linestyle": dash, "label": name}
        evaluations = [progress.evaluation for progress in trace]
        axes[0, 0].semilogy(evaluations, [progress.loss for progress in trace], **style)
        if target is not None:
            scores = [psnr(progress.inputs.clamp(0, 1), target).mean().item() for progress in trace]
            axes[1, 0].plot(evaluations, scores, **style)
    for axis, label in zip(axes.flat, ("relative matching loss", "PSNR in dB"), strict=False):
        axis.set(ylabel=label)
        axis.grid(alpha=0.25)
    axes[-1, 0].set_xlabel("evaluations")
    if target is not None:
        axes[0, 0].sharex(axes[1, 0])
        axes[0, 0].tick_params(labelbottom=False)
        gray_line(axes[1, 0], target)
    _legend(figure, axes[0, 0])
    return figure


def spread(
    rows: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    label: str,
    mark: Real | None = None,
    gray: Gray | None = None,
) -> Figure:
    """Every value as a dot and the median as a bar, one line per row; series differ in marker and color.

    ``rows`` maps a row's name to the values of each of its series, so that failures are seen and not averaged
    away. ``label`` names the axis, ``mark`` draws a line across all rows, ``gray`` that of ``gray_line``.
    """
    names = list(dict.fromkeys(name for series in rows.values() for name in series))
    height = 0.24 + 0.18 * len(names)  # of one row, in inches
    figure, ((axis,),) = panels(0.75 + height * len(rows) + (0.2 if gray is not None else 0))
    for name, color, marker in zip(names, SERIES, MARKERS, strict=False):
        axis.scatter([], [], s=26, color=color, marker=marker, linewidths=0, label=name)
    for i, series in enumerate(rows.values()):
        for j, name in enumerate(name for name in names if name in series):
            k, y, values = names.index(name), i + 0.7 * ((j + 0.5) / len(series) - 0.5), list(series[name])
            style = {"s": 26, "color": SERIES[k], "marker": MARKERS[k], "linewidths": 0}
            axis.scatter(values, [y] * len(values), alpha=0.75, **style)
            axis.plot([median(values)] * 2, [y - 0.12, y + 0.12], color=SERIES[k], linewidth=2.5)
    if mark is not None:
        axis.axvline(mark, color="gray", linewidth=1, linestyle="--")
    if gray is not None:
        gray_line(axis, gray, along="x")
    axis.set(yticks=range(len(rows)), yticklabels=rows, xlabel=label, ylim=(len(rows) - 0.5, -0.5))
    axis.grid(axis="x", alpha=0.25)
    if len(names) > 1:
        _legend(figure, axis)
    return figure


def trade_off(
    series: Mapping[str, Mapping[Real, Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    mark: Real | None = None,
    gray: Gray | None = None,
    joined: bool = True,
) -> Figure:
    """What one gains over what one gives: every value as a dot, a line through the medians at each x.

    ``series`` maps a name to the values at each x; lines differ in dash, marker and color. ``log`` gives x a
    logarithmic scale, ``mark`` draws a level across, ``gray`` the line of ``gray_line``, and ``joined`` False
    leaves the lines out.
    """
    figure, ((axis,),) = panels(3.6)
    styles = zip(cycle(SERIES), cycle(MARKERS), cycle(DASHES if joined else [""]), strict=False)
    for (name, values), (color, marker, line) in zip(series.items(), styles, strict=False):
        points = [(x, y) for x, ys in values.items() for y in ys]
        axis.scatter(*zip(*points, strict=True), s=14, alpha=0.35, linewidths=0, color=color, marker=marker)
        xs = sorted(values)
        medians = [median(values[x]) for x in xs]
        axis.plot(xs, medians, linestyle=line, color=color, marker=marker, label=name)
    if mark is not None:
        axis.axhline(mark, color="gray", linewidth=1, linestyle="--")
    if gray is not None:
        gray_line(axis, gray)
    if log:
        axis.set_xscale("log")
    if len(xs := sorted({x for values in series.values() for x in values})) <= FEW:
        axis.set_xticks(xs, [f"{x:g}" for x in xs])
        axis.minorticks_off()
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(alpha=0.25)
    _legend(figure, axis)
    return figure


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a Markdown table: what a page shows as a table, and a terminal as it is."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
