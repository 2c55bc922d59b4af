"""Measured numbers in the sentences of the chapter on DLG, and where they come from."""

from leaklib.attacks.dlg import INNER

GIVEN = [
    "At 20 dB it is a cat, and at 30 dB",
    "nearest to 16, 20, 25, 30 and 40 dB",
    "None comes near 30 dB",
    "The 30 dB are what *we* measure",
    "one of five photographs",
    "the line marks 30 dB",
]


def sentences(chapter):
    yield "300 of its outer steps are up to {:,} evaluations", 300 * INNER
    yield "300 outer steps of up to {} evaluations", INNER
    low, high = chapter.report("gray's loss, usual initialization")
    yield "it leaves {:.1f} to {:.1f} millionths", 1e6 * low, 1e6 * high
