"""Measured numbers in the sentences of the chapter on compression, and where they come from."""

import math
from statistics import median

from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.sign import SignSGD
from leaklib.metrics import gray_floor
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.results import both, compressors
from leaklib.sweep import points

# Settings, and what an author of an example claims.
GIVEN = [
    "at most 800 evaluations, 500 behind signs",
    "one bit per weight, 32 times less than usual",
]


def entropy(*counts):
    return -sum(count / sum(counts) * math.log2(count / sum(counts)) for count in counts)


def sentences(chapter):
    measured, together = points(compressors(), progress=False), points(both(), progress=False)

    def best(network, mechanism):
        names = ("adaptive", "adaptive, smooth")
        some = [measured[network, mechanism, n] for n in names if (network, mechanism, n) in measured]
        return max(some, key=lambda point: point.median)

    naive = measured["ConvNet 64", "signs", "naive"].median
    signs = best("ConvNet 64", "signs")
    yield "reach {:.0f} dB on this message, and another {:.0f}?", naive, signs.median
    yield "one bit gave {:.0f} to {:.0f} dB", min(signs.psnr), max(signs.psnr)
    yield "one picture came back at {:.0f} dB and more", min(signs.psnr)
    yield "without compression it is more than {:.0f} dB", math.floor(min(best("ConvNet 64", "none").psnr))

    photos = Photos()
    cat = share(ConvNet(64).build(0), photos.batch(3, 1), FedSGD())
    times = SignSGD().bits_sent(cat) / (8 * 3072)
    yield "{:,} entries of this network is still {:.0f} times", SignSGD().bits_sent(cat), times
    yield "one bit per entry was {:.0f} times the picture", times
    yield "still sends {:.0f} bits for each bit of a small picture", times
    for width, name in ((64, "ConvNet 64, with {:.0f} weights"), (0, "LeNet, with {:.0f}, has not")):
        model = (ConvNet(width) if width else LeNet()).build(0)
        yield name, sum(weight.numel() for weight in model.parameters()) / 3072

    # A step of 0.1 on an entry that is twice the pixel.
    error = 0.1 / math.sqrt(12)
    yield "a {{term}}`PSNR` of {:.0f} dB", -20 * math.log10(error / 2)
    bit = 20 * math.log10(2)
    yield "one bit more, {:.0f} dB more", bit
    yield "Each bit less costs {:.0f} dB", bit
    yield "one bit less costs {:.0f} dB", bit
    yield "About {:.0f} dB", 2 * bit

    eight, six = best("ConvNet 64", "8 bits"), best("ConvNet 64", "6 bits")
    yield "Two bits, {:.0f} dB each: from {:.1f} to {:.1f} dB in the medians", bit, eight.median, six.median
    yield "came back at {:.0f} to {:.0f} dB, as the Jacobian", min(eight.psnr), max(eight.psnr)
    lenet, rough = best("LeNet", "8 bits"), best("LeNet", "6 bits")
    yield "behind 8 bits {:.0f} dB are left, behind 6 bits {:.0f} dB", lenet.median, rough.median
    yield "the same step leads from {:.0f} to {:.0f} dB", lenet.median, rough.median
    yield "a picture of {:.0f} to {:.0f} dB remains", min(lenet.psnr), max(lenet.psnr)

    first = {row["network"]: row for row in chapter.stored("theory")["compressors"]
             if row["mechanism"] == "top 1 %" and row["client"] == 0}  # fmt: skip
    yield "On LeNet it is {} of 3,072", first["LeNet"]["rank"]
    yield "one entry in a hundred of ConvNet 128 is {:,} numbers", first["ConvNet 128"]["kept"]
    gray = gray_floor(photos.batch(0, 5).inputs).tolist()
    found = best("LeNet", "top 1 %").rows
    above = [row.psnr[0] - level for row, level in zip(found, gray, strict=True)]
    yield "our best attacks end {:.0f} to {:.0f} dB above gray", min(above), max(above)
    knowing = measured["ConvNet 64", "top 1 %", "adaptive, smooth"].median
    ignoring = measured["ConvNet 64", "top 1 %", "naive"].median
    yield "ends at {:.0f} dB, and writes", ignoring
    yield "that costs {:.0f} dB against an attacker with the same prior", knowing - ignoring

    yield "shares $1/8$ and $7/8$: {:.2f} bits per entry", entropy(1, 7)
    yield "have $5/8$ and $3/8$: {:.2f}", entropy(5, 3)
    yield "Left of a half nothing passes {:.0f} dB", max(chapter.report("up to half their bits"))
    exact, rounded = best("ConvNet 128", "top 1 %").median, best("ConvNet 64", "4 bits").median
    yield "gave {:.1f} dB, and all entries, coarsely rounded, {:.1f} dB", exact, rounded

    batch = together[8, "signs"].psnr
    yield "A batch of 8 behind signs still comes back at {:.0f} to {:.0f} dB", min(batch), max(batch)
    assert median(together[8, "top 1 %"].psnr) < 20
    yield "all three pictures stay at {:.0f} to {:.0f} dB", chapter.report("signs, trained")
