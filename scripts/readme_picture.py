"""Draws the picture of the README: a photograph, its gradient, and what was computed back from it."""

import sys

from matplotlib.figure import Figure

from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr
from leaklib.models.lenet import LeNet
from leaklib.rng import generator

batch, model = Photos().batch(3, 1), LeNet().build(0)
update = share(model, batch, FedSGD())
found = Recursive()(model, update, generator=generator(0, "attack"))
filters = update.tensors["conv1.weight"]  # 12 × 3 × 5 × 5, laid out as 3 × 4 little pictures
mosaic = filters.reshape(3, 4, 3, 5, 5).permute(2, 0, 3, 1, 4).reshape(3, 15, 20)
low, high = mosaic.min(), mosaic.max()
figure = Figure(figsize=(7.2, 2.6), dpi=144, layout="constrained")
axes = figure.subplots(1, 3)
for axis, picture, caption in zip(
    axes,
    (batch.inputs[0], (mosaic - low) / (high - low), found.inputs[0]),
    (
        "a client's picture",
        "its gradient (first layer)",
        f"computed back: {psnr(found.inputs, batch.inputs).item():.0f} dB",
    ),
    strict=True,
):
    axis.imshow(picture.permute(1, 2, 0), interpolation="nearest")
    axis.set(xticks=[], yticks=[], xlabel=caption)
    axis.set_frame_on(False)
figure.savefig(sys.argv[1], metadata={"Software": None})
