"""Measured numbers in the sentences of the chapter on compression, and where they come from."""

import math
from statistics import median

from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.sign import SignSGD
from leaklib.metrics import constant_floor, wilson
from leaklib.models.convnet import ConvNet
from leaklib.models.lenet import LeNet
from leaklib.results import both, compressors, trained_compression
from leaklib.sweep import points
from prose import spelled

# Settings, and what an author of an example claims.
GIVEN = [
    "at most 800 evaluations, 500 behind signs",
    "one bit per weight, 32 times less than usual",
    "800 evaluations in float64, weak prior, label read off the message",
]


def entropy(*counts):
    return -sum(count / sum(counts) * math.log2(count / sum(counts)) for count in counts)


def sentences(chapter):
    sweeps = (compressors, trained_compression, both)
    measured, trained, together = (points(sweep(), progress=False) for sweep in sweeps)

    def chosen(network, mechanism):
        names = ("adaptive", "adaptive, smooth")
        some = [measured[network, mechanism, n].rows for n in names if (network, mechanism, n) in measured]
        return [min(rows, key=lambda row: row.loss).psnr[0] for rows in zip(*some, strict=True)]

    def of(network, mechanism, attacker):
        return measured[network, mechanism, attacker].median

    signs = chosen("ConvNet 64", "signs")
    naive = of("ConvNet 64", "signs", "naive, smooth")
    yield "reach {:.0f} dB on this message, and another {:.0f}?", naive, median(signs)
    yield "one bit gave {:.0f} to {:.0f} dB", min(signs), max(signs)
    yield "gave every picture back at {:.0f} dB and more", min(signs)
    yield "without compression it is more than {:.0f} dB", math.floor(min(chosen("ConvNet 64", "none")))

    photos = Photos()
    cat = share(ConvNet(64).build(0), photos.batch(3, 1), FedSGD())
    times = SignSGD().bits_sent(cat) / (8 * 3072)
    yield "{:,} entries of this network is still {:.0f} times", SignSGD().bits_sent(cat), times
    yield "one bit per entry was {:.0f} times the picture", times
    yield "still sends {:.0f} bits for each bit of a small picture", times
    for width, name in ((64, "ConvNet 64, with {:.0f} weights"), (0, "LeNet, with {:.0f}, has not")):
        model = (ConvNet(width) if width else LeNet()).build(0)
        yield name, sum(weight.numel() for weight in model.parameters()) / 3072

    # Pairs of attackers, and what mixes two differences.
    sharp, smooth, ignorant = (
        of("ConvNet 64", "top 50 %", name) for name in ("adaptive", "adaptive, smooth", "naive, smooth")
    )
    yield "the naive attacker makes {:.1f} dB, and an adaptive one without a prior {:.1f}", ignorant, sharp
    yield "print {:.0f} dB as the price", sharp - ignorant
    yield "the adaptive attacker has {:.1f} dB", smooth
    yield "So {:.0f} dB are knowledge", smooth - ignorant
    yield "and it is {:.1f} times smaller", math.sqrt(8)
    yield "without a prior makes {:.0f} dB, a naive one", of("ConvNet 64", "top 10 %", "adaptive")
    yield "with a prior {:.0f}. How much", of("ConvNet 64", "top 10 %", "naive, smooth")
    without, exact = (of("LeNet", "none", name) for name in ("adaptive, smooth", "adaptive"))
    yield "Without knowledge of the compressor {:.0f} dB, with it {:.0f} dB", without, exact

    # A step of 0.1 on an entry that is twice the pixel.
    error = 0.1 / math.sqrt(12)
    yield "a {{term}}`PSNR` of {:.0f} dB", -20 * math.log10(error / 2)
    bit = 20 * math.log10(2)
    yield "one bit more, {:.0f} dB more", bit
    yield "Each bit less costs {:.0f} dB", bit
    yield "one bit less costs {:.0f} dB", bit
    yield "About {:.0f} dB", 2 * bit

    eight, six = chosen("ConvNet 64", "8 bits"), chosen("ConvNet 64", "6 bits")
    yield "Two bits, {:.0f} dB each: from {:.1f} to {:.1f} dB in the medians", bit, median(eight), median(six)
    yield "came back at {:.0f} to {:.0f} dB, as the Jacobian", min(eight), max(eight)
    lenet, rough = chosen("LeNet", "8 bits"), chosen("LeNet", "6 bits")
    yield "behind 8 bits {:.0f} dB are left, behind 6 bits {:.0f} dB", median(lenet), median(rough)
    yield "the same step leads from {:.0f} to {:.0f} dB", median(lenet), median(rough)
    yield "pictures of {:.0f} to {:.0f} dB remain", min(lenet), max(lenet)
    gains = chapter.report("knowing the rounding gains, five networks")
    yield "gains {:.1f} dB on LeNet and at most {:.1f} on the others", *gains
    gains = [chapter.report(f"top {part} %, knowing gains") for part in (50, 10, 1)]
    low, high = min(pair[0] for pair in gains), max(pair[1] for pair in gains)
    yield "knowing better gains {:.0f} to {:.0f} dB", low, high

    first = {row["network"]: row for row in chapter.stored("theory")["compressors"]
             if row["mechanism"] == "top 1 %" and row["client"] == 0}  # fmt: skip
    yield "On untrained LeNet it is {} of 3,072", first["LeNet"]["rank"]
    yield "one entry in a hundred of ConvNet 128 is {:,} numbers", first["ConvNet 128"]["kept"]
    color = constant_floor(photos.batch(0, 5).inputs).tolist()
    found = measured["LeNet", "top 1 %", "adaptive, smooth"].rows
    above = [row.psnr[0] - level for row, level in zip(found, color, strict=True)]
    yield "end {:.0f} dB below to {:.0f} dB above the best single color", -min(above), max(above)
    knowing, ignoring = (of("ConvNet 64", "top 1 %", f"{name}, smooth") for name in ("adaptive", "naive"))
    yield "ends at {:.0f} dB, and writes", ignoring
    yield "that costs {:.0f} dB against an attacker with the same prior", knowing - ignoring

    hits = spelled(int(chapter.report("identified")))
    yield "{} of eight were pointed out", hits.capitalize()
    yield "{} of eight photographs are identified", hits

    yield "shares $1/8$ and $7/8$: {:.2f} bits per entry", entropy(1, 7)
    yield "have $5/8$ and $3/8$: {:.2f}", entropy(5, 3)
    yield "Left of a half nothing passes {:.0f} dB", max(chapter.report("up to half their bits"))
    exact, rounded = median(chosen("ConvNet 128", "top 1 %")), median(chosen("ConvNet 64", "4 bits"))
    yield "gave {:.1f} dB, and all entries, coarsely rounded, {:.1f} dB", exact, rounded

    batch = together[8, "signs"].psnr
    yield "A batch of 8 behind signs still comes back at {:.0f} to {:.0f} dB", min(batch), max(batch)
    assert median(together[8, "top 1 %"].psnr) < 20

    def after(mechanism, attacker, steps=1000):
        return trained[mechanism, steps, attacker].psnr

    kept, rounded = after("none", "signal"), after("8 bits", "signal")
    three = spelled(len(rounded))
    back = "{} of {} came back at {:.0f} to {:.0f} dB and were identified"
    yield back, three, three, min(rounded), max(rounded)
    yield "all three pictures back at {:.0f} to {:.0f} dB", min(rounded), max(rounded)
    assert trained["8 bits", 1000, "signal"].identified == (3, 3)
    yield "naive twin stays above {:.0f}", math.floor(min(after("8 bits", "signal, naive")))
    yield "DLG loses one of the three: {:.1f} dB", min(after("8 bits", "DLG"))
    yield "without any compression, at {:.1f} dB", min(after("none", "DLG"))

    def by_loss(mechanism, *attackers):
        runs = (trained[mechanism, 1000, attacker].rows for attacker in attackers)
        return sorted(min(rows, key=lambda row: row.loss).psnr[0] for rows in zip(*runs, strict=True))

    signal, dlg = after("signs", "signal"), after("signs", "DLG")
    yield "two of three victims came back at {:.0f} dB", dlg[1]
    yield "has two of three back at {:.0f} dB, the one that keeps it one", dlg[1]
    assert dlg[0] < 15 < 31 < dlg[1] and signal[1] < 15 < 31 < signal[2]
    assert by_loss("signs", "signal", "DLG")[1] == dlg[1]
    yield "gave two of three victims away, at {:.0f} and {:.0f} dB", *by_loss("top 1 %", "signal", "DLG")[1:]
    assert by_loss("top 1 %", "signal", "DLG")[0] < 10
    for attackers, sentence in (
        (("signal", "DLG"), "4 bits at {:.0f} to {:.0f} dB and behind the largest tenth at {:.0f} to {:.0f}"),
        (("signal, naive", "DLG, naive"), "the naive one at {:.0f} to {:.0f} and at {:.0f} to {:.0f}"),
    ):
        ends = [by_loss(mechanism, *attackers) for mechanism in ("4 bits", "top 10 %")]
        yield sentence, *(end for some in ends for end in (some[0], some[-1]))
    yield "the plain update, which gave {:.0f} to {:.0f} dB", min(kept), max(kept)
    yield "are {:.0f} to {:.0f} %, with 95 % confidence", *(100 * edge for edge in wilson(3, 3))
    # A signal of (-0.020, 0.013, 0.007) in 8 bits.
    step = 2 * 0.020 / 254
    yield "off by at most ${:.5f}$", step / 2
    yield "about {:.0f} % of the smallest entry", 100 * step / 2 / 0.007
