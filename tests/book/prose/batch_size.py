"""Measured numbers in the sentences of the chapter on batch size, and where they come from."""

import re
from math import exp, log10, prod
from pathlib import Path

from leaklib.results import batch_sizes, lifted
from leaklib.sweep import points
from prose import spelled

BENCHMARKS = Path(__file__).parents[3] / "benchmarks" / "README.md"
GIVEN = [
    "at most 1,200 evaluations",
    "at most 1,600 evaluations",
    "labels known, 1,600 evaluations",
    "comes back whole above 60 dB",
    "no picture passes 25 dB",
    "with 800 evaluations",
    "One batch of 32 and of 64, two of 16",
    "The loud one comes back at 60 dB",
    "about 0 dB are left for it",
    "At about 60 dB, since",
    "knows the loud one to 100 dB",
    "none of 64 passed 20 dB by matching",
    "90 % of a batch of 64",
]


def decibels(ratio):
    return 20 * log10(ratio)


def sentences(chapter):
    counted = {(row["network"], row["batch"]): row for row in chapter.stored("theory")["batches"]}
    two = counted["LeNet", 2]
    lost = two["unknowns"] - two["counting bound"]
    yield "at least {} of {:,} directions", lost, two["unknowns"]
    yield "For two pictures {:.0f} % of the directions are missing", 100 * lost / two["unknowns"]

    cost = chapter.report("batch of 2, one label costs")
    yield "one label for all cost DLG {:.0f} dB in a batch of two", cost
    ends = [chapter.report(f"{size} pictures, a label each, median") for size in (2, 64)]
    yield "falls from {:.1f} dB at 2 pictures to {:.1f} dB at 64", *ends
    measured = points(batch_sizes(), progress=False)
    few = [measured["ConvNet 64", size, "InvertingGradients"].median for size in (1, 2, 4)]
    yield "{:.1f}, {:.1f} and {:.1f} dB at one, two and four pictures", *few

    lifts = points(lifted(), progress=False)
    matched, whole = ((lifts[16, name].above(30), len(lifts[16, name].psnr)) for name in ("DLG", "lifted"))
    yield "matched {} of {} photographs to above 30 dB", *matched
    yield "Lifted and rounded, {} of {} came back", *whole
    yield "{} of {} photographs came back above 30 dB, labels read off, and {} of {} by", *whole, *matched
    assert not any(e.reveal_labels for e in lifts[16, "lifted"].experiments)
    assert all(e.reveal_labels for e in lifts[16, "DLG"].experiments)
    assert measured["ConvNet 64", 64, "DLG"].psnr[-1] < 20

    many = r"(\d+) of (\d+)\s+pictures are above 20 dB, (\d+) above 30, the worst has ([\d.]+)"
    found = re.search(many, BENCHMARKS.read_text()).groups()
    yield "{} of {} pictures passed 20 dB and {} passed 30, the worst ended at {} dB", *found
    to_the_end = r"on the first batch: (\d+) of its (\d+) pictures are above 20 dB and none above 30"
    found = re.search(to_the_end, BENCHMARKS.read_text()).groups()
    yield "{} of {} pictures passed 20 dB, and none passed 30", *found

    yield "{:.0f} dB for each power of ten", decibels(10)
    yield "{:.0f} dB for $r", decibels(1e4)
    yield "hold the loud picture to about {:.0f} dB", decibels(2**24)
    yield "of an entry, {:.0f} dB below it", decibels(2**24)
    yield "A factor of {:.0f} is {:.0f} dB", exp(5), decibels(exp(5))
    yield "quieter by a factor of {:,.0f}, which is {:.0f} dB", 0.5 / 0.0005, decibels(0.5 / 0.0005)

    taken = dict(re.findall(r"batch of (\d+), (\d+) recovered", chapter.outputs))
    yield "{} of 64 photographs, and {} of 240", taken["64"], taken["240"]
    yield "{} come back instead of {}", taken["128"], taken["64"]

    bins = r"\| FedSGD, ConvNet \| {} \| ([\d.]+)% \|"
    stolen = [float(re.search(bins.format(n), BENCHMARKS.read_text())[1]) for n in (256, 512)]
    yield "{:.0f} % of a batch of 64 come back with 256 bins and {:.1f} % with 512", *stolen

    whole = r"\| CIFAR-10 \| 8 \| 200 units, normalized \| (\d+) of (\d+) \|"
    yield "{} of {} batches of 8 were exact", *map(int, re.search(whole, BENCHMARKS.read_text()).groups())
    fished = r"CIFAR-10: (\d+) of (\d+) above 30 dB, median [\d.]+, min ([\d.]+)"
    above, runs, worst = re.search(fished, BENCHMARKS.read_text()).groups()
    yield "{} of {} victims came back, the worst at {:.0f} dB", int(above), int(runs), float(worst)

    distinct = prod(1 - already / 1000 for already in range(16))
    yield "almost {} of ten batches of 16 have none", spelled(round(10 * distinct))
