"""Measured numbers in the sentences of the chapter on sparse graphs, and where they come from."""

from leaklib.aggregation.masking.round import majorities
from prose import spelled


def threshold(neighbors: int) -> int:
    """A majority of a client's neighbors and itself."""
    return majorities({0: frozenset(range(1, neighbors + 1))})[0]


def sentences(chapter):
    yield "{} of {} on this ring", spelled(threshold(6)), spelled(6)
    yield "{} of nineteen on the complete graph of twenty clients", spelled(threshold(19))
    yield "{} of {} shares open a client", spelled(threshold(4)), spelled(5)
    yield "{} of {} shares are enough", spelled(threshold(2)), spelled(3)
    yield "gives away about {} updates", spelled(round(chapter.report("opened by a third")))
    few, many = chapter.report("neighbors if nobody colludes"), chapter.report("neighbors on the ring")
    yield "{:.0f} if nobody colludes, {:.0f} if a third do", few, many
    yield "a random ring of {:.0f} neighbors does for 1,000 clients", many
    opened = [chapter.report(name) for name in ("random, 4 ln n / n", "ring, 2 log₂ n neighbors")]
    honest = 1000 - round(1000 / 3)
    yield "{} to {} percent of the honest updates", [spelled(round(100 * o / honest)) for o in opened]
    yield "about {:,.0f} of these are joined", chapter.report("edges of 100 clients")
    yield (
        "about ${:.0f} \\ln n$ at 1,000 clients",
        chapter.report("ring against a third, neighbors over ln n"),
    )
