"""What a million experiments cost by the stored rows, and what a task costs a scheduler."""

import json
from importlib.resources import files
from statistics import mean

from leaklib.results import batch_sizes
from leaklib.sweep import points, runs

GIVEN = [
    "A million of them, on paper",
    "three deaths are forgiven by default, and above a hundred",  # Dask's default, and the setting above
]
SHOWN = [
    ("LeNet", 1, "DLG"),
    ("ConvNet 64", 1, "DLG, smooth"),
    ("ConvNet 64", 1, "InvertingGradients"),
    ("ConvNet 64", 4, "InvertingGradients"),
    ("ConvNet 64", 16, "InvertingGradients"),
    ("ConvNet 64", 64, "DLG"),
]


def sentences(page):
    sweep = batch_sizes()
    rows = {setting: points({setting: sweep[setting]}, progress=False)[setting].rows for setting in SHOWN}
    seconds = {setting: mean(row.seconds for row in some) for setting, some in rows.items()}
    for setting, each in seconds.items():
        network, size, attack = setting
        hours = round(each * 1e6 / 3600, -2)
        yield "| {} | {} | {} | {:.1f} | {:,.0f} |", network, attack, size, each, hours
    yield "with at most {:,} evaluations each", max(row.evaluations for some in rows.values() for row in some)
    task = json.loads(files("leaklib").joinpath("results", "cluster.json").read_text())["a task"]
    yield "costs its process {:.0f} ms, a million of them {:.0f} minutes", task["ms"], task["ms"] * 1000 / 60
    yield "about {:,.0f} cores", round(1000 * min(seconds.values()) / task["ms"], -2)
    assert runs.WAITING == 10_000
    yield "ten thousand at a time, which take it {:.0f} MB", round(task["kB"] * 10, -1)
    first = rows[SHOWN[0]]
    check = 5 * seconds[SHOWN[0]] / mean(row.evaluations for row in first)
    yield "{:.0f} hours for a million like those of the first line", check * 1e6 / 3600
