"""Measured numbers in the sentences of the chapter on what decides, and where they come from."""

import math
from statistics import median

from leaklib.results.sweeps import training
from leaklib.sweep import points

GIVEN = [
    "label read off the update, 400 evaluations",
    "33 times as long as the client's",
    "33 times shorter",
    "It makes it 33 times weaker",
    "1,500 evaluations in float64",
    "at 50, 100, 200 or 400 evaluations",
    "By us not at 20 dB, which is a habit",
    "label known, 200 evaluations",
    "labels known, 1,200 evaluations",
    "learning rate 0.1, 800 evaluations",
    "Two numbers have mean 4 and variance 1",
    '"Exact BatchNorm statistics gained one decibel at 12 dB."',
]


def sentences(chapter):
    sweep = {
        key: some
        for key, some in training().items()
        if key[1] in (0, 100, 300, 1000)
        and (key[2] in ("signal", "DLG") or key[:2] == ("ConvNet 64", 1000) or "LeNet" in key[0])
    }
    swept = points(sweep, progress=False)

    def sent(steps, attack, network="ConvNet 64"):
        """The runs of a setting whose client sent a signal."""
        return [row for row in swept[network, steps, attack].rows if not math.isnan(row.loss)]

    def decibels(*setting):
        return [row.psnr[0] for row in sent(*setting)]

    kept, cosine = decibels(1000, "signal"), decibels(1000, "InvertingGradients")
    yield "at {:.0f} dB and more, in the median {:.0f} dB", min(kept), median(kept)
    failed = [row for row in sent(1000, "DLG") if row.loss > 0.5]
    yield "DLG fails on {} of {}", len(failed), len(sent(1000, "DLG"))
    assert max(row.psnr[0] for row in failed) < 14
    assert min(value for value in decibels(1000, "DLG") if value > 14) > 30
    yield "nor arrives: {:.0f} to {:.0f} dB", min(cosine), max(cosine)
    shortest = min(sent(1000, "signal"), key=lambda row: row.gradient_norm)
    exponent = math.floor(math.log10(shortest.gradient_norm))
    length = f"{shortest.gradient_norm / 10**exponent:.0f} \\cdot 10^{{{exponent}}}"
    yield "a gradient of length ${}$ gave its picture at {:.0f} dB", length, shortest.psnr[0]
    seen = [row for row in sent(1000, "InvertingGradients") if row.identified[0]]
    yield "{} of {} are identified", len(seen), len(cosine)
    yield "at a median of {:.0f} dB", median(cosine)

    def middle_of(*setting):
        return median(decibels(*setting))

    kinks = "ConvNet 64, ReLU"
    for words, name in (("kept falls from", "signal"), ("DLG from", "DLG")):
        yield words + " {:.0f} to {:.0f}", *(middle_of(steps, name, kinks) for steps in (0, 1000))

    late = [
        value
        for steps in (100, 300, 1000)
        for name in ("signal", "DLG")
        for value in decibels(steps, name, "LeNet")
    ]
    yield "both searches end below {} dB", math.ceil(max(late))
    yield (
        "there, at {:.0f} dB before training and {:.0f} dB after 1,000 steps",
        *(middle_of(steps, "Recursive", "LeNet") for steps in (0, 1000)),
    )
    yield "gives it back at {:.0f} dB", middle_of(1000, "Recursive, float64 client", "LeNet")
    wide = "LeNet, U(−½, ½)"
    exact = [v for n, steps, a in swept if (n, a) == (wide, "Recursive") for v in decibels(steps, a, n)]
    yield "`Recursive` stays between {:.0f} and {:.0f} dB", min(exact), max(exact)
    yield (
        "from {:.0f} to {:.0f} dB in the median, and with the signal kept from {:.0f} to {:.0f}",
        *(middle_of(steps, name, wide) for name in ("DLG", "signal") for steps in (0, 1000)),
    )

    family = chapter.stored("family")
    runs = {
        (*entry["case"].values(), run["picture"]): run
        for entry in family["switches"]
        for run in entry["runs"]
    }

    def middle(*case):
        return median(run["psnr"][0] for key, run in runs.items() if key[:3] == case)

    smooth = ("GELU", "tanh", "sigmoid")
    gains = [middle(kind, 0, "none") - middle(kind, 0, "annealed") for kind in smooth]
    yield "without the\nprior, by {:.0f} to {:.0f} dB".replace("\n", " "), min(gains), max(gains)

    unrolled = {
        entry["case"]["local steps"]: [run["psnr"][0] for run in entry["runs"]]
        for entry in family["fedavg"]
        if entry["case"]["attacker"] == "unrolled"
    }
    yield "from gray level back to {:.0f} dB at ten steps", median(unrolled[10])
    yield "with one step it was {:.0f} dB", median(unrolled[1])
    yield "one of the five pictures stays at {:.0f} dB", min(unrolled[10])
    yield "from gray level back to {:.0f} dB.", median(unrolled[10])
    assert sorted(unrolled[10])[1] > 20

    yield "Gray has {:.1f} dB there", median(family["gray"]["psnr"][:16])
