"""Figures of the book: pictures side by side, and how an attack approached them.

Every function returns a closed matplotlib figure, so that a notebook shows it exactly once, as the value of
its cell. Colours come from palette.json, which the website's stylesheet uses too.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from itertools import cycle
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from leaklib.metrics import psnr
from leaklib.types import Inputs, Progress, Update

PALETTE: dict[str, dict[str, dict[str, str]]] = json.loads(
    files("leaklib").joinpath("palette.json").read_text()
)

# Of the series of one figure, in their order. The light ones on every page: a figure keeps its white plate.
SERIES = [PALETTE["attacks"][name]["light"] for name in ("DLG", "Recursive", "GradInversion", "LinearLayer")]

Real = int | float

PAGE = 7.2  # inches: what fits a page of the website without being scaled down
DPI = 144
DASHES, MARKERS = ("-", "--", "-.", ":"), "oDs^vP"
FEW = 10  # different places on an axis, each of which gets its own tick


def _panels(height: float, rows: int = 1, columns: int = 1, *, width: float = PAGE) -> tuple[Figure, Any]:
    """A closed figure of so many inches, and its axes, rows×columns."""
    size = width, height
    figure, axes = plt.subplots(rows, columns, figsize=size, dpi=DPI, squeeze=False, layout="constrained")
    plt.close(figure)
    return figure, axes


def show_images(
    rows: Mapping[str, Inputs], *, captions: Mapping[str, Sequence[str]] | None = None, size: float = 1.3
) -> Figure:
    """Rows of N×C×H×W pictures in [0, 1] under each other, the key at the left of each.

    ``captions`` holds, for some of the rows, one line under each picture. ``size`` is inches per picture,
    less where a row would be wider than a page.
    """
    captions = captions or {}
    columns = max(len(pictures) for pictures in rows.values())
    margin = 0.1 + 0.085 * max(map(len, rows))
    size = min(size, (PAGE - margin) / columns)
    height = (size + 0.06) * len(rows) + 0.24 * len(captions) + 0.05
    figure, axes = _panels(height, len(rows), columns, width=size * columns + margin)
    for row, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis in row:
            axis.set(xticks=[], yticks=[], frame_on=False)
        for axis, picture in zip(row, pictures, strict=False):
            pixels = picture.detach().cpu().clamp(0, 1).permute(1, 2, 0).squeeze(-1).float().numpy()
            axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        for axis, caption in zip(row, captions.get(name, ()), strict=False):
            axis.set_xlabel(caption, fontsize=10)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
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

    A trace is what ``trace.append`` collected as an attack's callback. Lines differ in dash and in colour.
    """
    figure, axes = _panels(2.9, columns=1 if target is None else 2)
    for (name, trace), color, dash in zip(traces.items(), cycle(SERIES), cycle(DASHES), strict=False):
        style = {"color": color, "linestyle": dash, "label": name}
        evaluations = [progress.evaluation for progress in trace]
        axes[0, 0].semilogy(evaluations, [progress.loss for progress in trace], **style)
        if target is not None:
            scores = [psnr(progress.inputs.clamp(0, 1), target).mean().item() for progress in trace]
            axes[0, 1].plot(evaluations, scores, **style)
    for axis, label in zip(axes.flat, ("relative matching loss", "PSNR in dB"), strict=False):
        axis.set(xlabel="evaluations", ylabel=label)
        axis.grid(alpha=0.25)
    axes[0, 0].legend(frameon=False, fontsize=8)
    return figure


def spread(
    rows: Mapping[str, Mapping[str, Sequence[float]]], *, label: str, mark: float | None = None
) -> Figure:
    """Every value as a dot and the median as a bar, one line per row; series differ in marker and color.

    ``rows`` maps a row's name to the values of each of its series, so that failures are seen and not averaged
    away. ``label`` names the axis, ``mark`` draws a line across all rows.
    """
    names = list(dict.fromkeys(name for series in rows.values() for name in series))
    height = 0.24 + 0.18 * len(names)  # of one row, in inches
    figure, ((axis,),) = _panels(0.75 + height * len(rows))
    for name, color, marker in zip(names, SERIES, MARKERS, strict=False):
        axis.scatter([], [], s=26, color=color, marker=marker, linewidths=0, label=name)
    for i, series in enumerate(rows.values()):
        for j, name in enumerate(name for name in names if name in series):
            k, y, values = names.index(name), i + 0.7 * ((j + 0.5) / len(series) - 0.5), list(series[name])
            style = {"s": 26, "color": SERIES[k], "marker": MARKERS[k], "linewidths": 0}
            axis.scatter(values, [y] * len(values), alpha=0.75, **style)
            axis.plot([median(values)] * 2, [y - 0.12, y + 0.12], color=SERIES[k], linewidth=2.5)
    if mark is not None:
        axis.axvline(mark, color="gray", linewidth=1)
    axis.set(yticks=range(len(rows)), yticklabels=rows, xlabel=label, ylim=(len(rows) - 0.5, -0.5))
    axis.grid(axis="x", alpha=0.25)
    if len(names) > 1:
        figure.legend(loc="outside upper right", ncols=len(names), frameon=False, fontsize=9)
    return figure


def trade_off(
    series: Mapping[str, Mapping[Real, Sequence[float]]],
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    mark: Real | None = None,
    joined: bool = True,
) -> Figure:
    """What one gains over what one gives: every value as a dot, a line through the medians at each x.

    ``series`` maps a name to the values at each x; lines differ in dash, marker and color. ``log`` gives x a
    logarithmic scale, ``mark`` draws a level across, and ``joined`` False leaves the lines out.
    """
    figure, ((axis,),) = _panels(3.6)
    styles = zip(cycle(SERIES), cycle(MARKERS), cycle(DASHES if joined else [""]), strict=False)
    for (name, values), (color, marker, line) in zip(series.items(), styles, strict=False):
        points = [(x, y) for x, ys in values.items() for y in ys]
        axis.scatter(*zip(*points, strict=True), s=14, alpha=0.35, linewidths=0, color=color, marker=marker)
        xs = sorted(values)
        medians = [median(values[x]) for x in xs]
        axis.plot(xs, medians, linestyle=line, color=color, marker=marker, label=name)
    if mark is not None:
        axis.axhline(mark, color="gray", linewidth=1)
    if log:
        axis.set_xscale("log")
    if len(xs := sorted({x for values in series.values() for x in values})) <= FEW:
        axis.set_xticks(xs, [f"{x:g}" for x in xs])
        axis.minorticks_off()
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(alpha=0.25)
    axis.legend(frameon=False, fontsize=8)
    return figure


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as a Markdown table: what a page shows as a table, and a terminal as it is."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
