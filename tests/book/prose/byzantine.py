"""Measured numbers in the sentences of the chapter on Byzantine clients, and where they come from."""

from math import sqrt

from leaklib.aggregation.byzantine.norm import LONGEST
from prose import spelled

GIVEN = ["a seed of 32 bytes"]


def sentences(chapter):
    # A false polynomial agrees with the true one in a point less than it has coefficients.
    fits = spelled(5 - 1 + 3)
    yield "a false polynomial fit {} of the {} answers", fits, spelled(9)
    yield "the false one fits {} of {} answers", fits, spelled(9)
    yield "an update may be {:.0f} long", sqrt(LONGEST) / 2**16
    times = chapter.report("shares of a client, over its update")
    yield "{:.0f} to {:.1f} times the update in the clear", times
