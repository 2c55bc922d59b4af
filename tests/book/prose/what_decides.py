"""Measured numbers in the sentences of the chapter on what decides, and where they come from."""

from statistics import median

GIVEN = [
    "Inverting Gradients, 300 evaluations",
    "33 times shorter",
    "It makes it 33 times weaker",
    "with 1,200 evaluations each",
    "label known, 200 evaluations",
    "labels known, 1,200 evaluations",
    "Two numbers have mean 4 and variance 1",
    '"Exact BatchNorm statistics gained one decibel at 12 dB."',
]


def sentences(chapter):
    family = chapter.stored("family")
    runs = {
        (*entry["case"].values(), run["picture"]): run
        for entry in family["switches"]
        for run in entry["runs"]
    }

    def middle(*case):
        return median(run["psnr"][0] for key, run in runs.items() if key[:3] == case)

    right = {key[:2]: run["accuracy"] for key, run in runs.items()}
    yield "the sigmoid network on {:.0f} %", 100 * right["sigmoid", 1000]
    yield "the sigmoid network is right on {:.0f} % of its training pictures", 100 * right["sigmoid", 100]

    smooth = ("GELU", "tanh", "sigmoid")
    gains = [middle(kind, 0, "none") - middle(kind, 0, "annealed") for kind in smooth]
    yield "without the prior, by {:.0f} to {:.0f} dB", min(gains), max(gains)
    yield "search without a prior was better by up to {:.0f} dB", max(gains)

    def better(kind, steps):
        return max(middle(kind, steps, prior) for prior in ("annealed", "none"))

    costs = [better(kind, 0) - better(kind, 1000) for kind in ("ReLU", *smooth)]
    yield "it costs this attack between {:.0f} and {:.0f} dB in the table", min(costs), max(costs)

    first = [runs["ReLU", 0, prior, 0] for prior in ("none", "annealed")]
    yield "without prior loss {:.4f}, with prior loss {:.4f}", *(run["loss"] for run in first)
    assert first[1]["psnr"] > first[0]["psnr"]

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
