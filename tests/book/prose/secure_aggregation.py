"""Measured numbers in the sentences of the chapter on secure aggregation, and where they come from."""

from leaklib.aggregation.masking.graph import complete
from leaklib.aggregation.masking.round import majorities
from prose import spelled

GIVEN = [
    "three of five shares open the secret",  # the threshold of the example
    "before one of four phases",
    "the sum is one of three or more",  # the least that a client accepts
    "four of eight victims",  # how many the figure shows
    "cohorts of 12 of 24 clients",
    "stay above 20 dB",
]


def sentences(chapter):
    threshold = majorities(complete(range(8)))[0]
    yield "threshold {}", spelled(threshold)
    yield "up to {} of eight clients may leave in any phase", spelled(8 - threshold)
    runs = chapter.stored("sums")
    by_rate = {}
    for row in runs["rounds"]:
        by_rate.setdefault(row["lr"], []).append(row)
    found = {rate: [v["psnr"] for row in rows for v in row["victims"]] for rate, rows in by_rate.items()}
    yield "Steps of 0.001 leave {:.0f} to {:.0f} dB", min(found[0.001]), max(found[0.001])
    yield "leave {:.0f} to {:.0f} dB: worse", min(found[0.01]), max(found[0.01])
    above = sum(level > 20 for level in found[0.03])
    yield "most pictures are lost, though {} of {}", spelled(above), {15: "fifteen"}[len(found[0.03])]
    yield "{} draws of cohorts with three victims each", spelled(len(by_rate[0.03]))
    losses = {rate: [row["losses"] for row in rows] for rate, rows in by_rate.items()}
    (first,) = {f"{start:.2f}" for start, _ in losses[0.01]}
    ends = [end for _, end in losses[0.01]]
    yield "from {} to between {:.2f} and {:.2f}", first, min(ends), max(ends)
    ends = [end for _, end in losses[0.03]]
    yield "it ends between {:.2f} and {:.2f}", min(ends), max(ends)
