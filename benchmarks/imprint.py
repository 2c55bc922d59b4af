"""The imprint layer: how many pictures of a batch come back, against how many are alone in their bin.

    python benchmarks/imprint.py pictures.npz     # arrays `images` uint8 N×32×32×3 and `labels`, at least 448

7 batches of 64 pictures, a base network for each. A picture is recovered if one of the reconstructions is
above 60 dB. Alone is what its brightness says, without running the attack; uniform what would be alone if all
bins were as probable, (1 - 1/bins)^63.
"""

import argparse
import statistics
import time
from dataclasses import replace

import torch
from torch import Tensor

from leaklib.attacks.imprint import Imprint
from leaklib.client import FedAvg, FedSGD, share
from leaklib.data import ImageFile
from leaklib.models.convnet import ConvNet
from leaklib.models.imprint import Imprinted
from leaklib.models.lenet import LeNet
from leaklib.rng import generator
from leaklib.types import Batch, ClientStep, Reconstruction

BATCHES, SIZE = 7, 64


def alone(server: Imprinted, batch: Batch) -> Tensor:
    """Which pictures share their bin with no other."""
    bins = torch.bucketize(batch.inputs.mean((1, 2, 3)), server.edges())
    return bins.bincount()[bins] == 1


def nearest(found: Reconstruction, batch: Batch) -> tuple[Tensor, Tensor]:
    """PSNR of the reconstruction nearest to each picture, and which one it is."""
    errors = torch.cdist(batch.inputs.double().flatten(1), found.inputs.double().flatten(1)).square()
    best = errors.min(1)
    return -10 * (best.values / batch.inputs[0].numel()).log10(), best.indices


def row(name: str, server: Imprinted, data: ImageFile, step: ClientStep, half: bool = False) -> str:
    """Attack all batches, and say in one line of the table what came of it."""
    recovered, expected, right, decibels, seconds = 0, 0, 0, [], []
    low = high = 0
    for index in range(BATCHES):
        model, batch = server.build(index), data.batch(index, SIZE)
        update = share(model, batch, step)
        if half:
            update = replace(update, tensors={n: t.half().float() for n, t in update.tensors.items()})
        start = time.process_time()
        found = Imprint()(model, update, generator=generator(index, "attack"))
        seconds.append(time.process_time() - start)
        decibel, where = nearest(found, batch)
        good, single = decibel > 60, alone(server, batch)
        recovered, expected = recovered + int(good.sum()), expected + int(single.sum())
        low, high = low + int((single & ~good).sum()), high + int((good & ~single).sum())
        right += int((found.labels[where] == batch.labels)[single].sum())
        decibels += decibel[single].tolist()
    total = BATCHES * SIZE
    return (
        f"| {name} | {server.bins} | {recovered / total:.1%} | {expected / total:.1%} | "
        f"{(1 - 1 / server.bins) ** (SIZE - 1):.1%} | {low} / {high} | {statistics.median(decibels):.0f}, "
        f"{min(decibels):.0f} | {right / expected:.1%} | {statistics.median(seconds):.2f} s |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, lenet = ImageFile(arguments.pictures), Imprinted(LeNet(init_scale=None))
    print(f"torch {torch.__version__}, {BATCHES} batches of {SIZE}\n")
    print(
        "| update, base | bins | above 60 dB | alone | uniform | alone but not recovered / the reverse | "
        "alone: median, min dB | alone: label right | CPU time |\n|---|---|---|---|---|---|---|---|---|"
    )
    for bins in (64, 128, 256, 512):
        print(row("FedSGD, ConvNet", Imprinted(ConvNet(), bins), data, FedSGD()), flush=True)
    print(row("FedSGD, LeNet default", lenet, data, FedSGD()), flush=True)
    print(row("FedSGD, LeNet U(-1/2, 1/2)", Imprinted(LeNet()), data, FedSGD()), flush=True)
    print(row("FedAvg(lr=0.01), one step, ConvNet", Imprinted(), data, FedAvg(lr=0.01)), flush=True)
    print(row("FedSGD sent as float16, ConvNet", Imprinted(), data, FedSGD(), half=True), flush=True)


if __name__ == "__main__":
    main()
