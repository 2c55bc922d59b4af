"""Measured numbers in the sentences of the chapter on the definition, and where they come from."""

GIVEN = [
    "random errors of 0 %, 0.1 %, 1 % and 10 % of each layer's spread",
    "The attacker's copy of the weights is 10 % off",
    "If the Jacobian has rank 3,072",
]


def sentences(chapter):
    rank = chapter.report("skips every other pixel, rank")
    yield "still leaves {:.0f} pixels free", 64 - rank
