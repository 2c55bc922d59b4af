"""Measured numbers in the sentences of the chapter on identifiability, and where they come from."""

import math
import re

GIVEN = []


def sentences(chapter):
    found = re.findall(r"(\d) channels: bound \d+, measured (\d+)", chapter.outputs)
    ranks = {int(channels): int(rank) for channels, rank in found}
    yield "two channels, of rank {}, on the small cat", ranks[2]
    yield "With one channel the rank is {} of 256", ranks[1]
    stored = chapter.stored("identifiability")
    lenet5 = {row["counting bound"] for row in stored["lenet5"]}
    yield "its rank is at most {:,} of 3,072", *lenet5
    row = next(row for row in stored["channels"] if row["case"]["channels"] == 9)
    yield "has rank {:,} of {:,}", row["rank"], row["unknowns"]
    yield "a surface of {} dimensions", row["unknowns"] - row["rank"]
    yield "{:.2f} for $s = 4$, but {:.1f} for", 0.2 / 4, 0.2 / 0.25
    yield "About {:.0f} dB", 20 * math.log10(2)
    yield "About {:.0f} dB", 10 * math.log10(2)
