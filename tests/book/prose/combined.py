"""Measured numbers in the sentences of the chapter on masks and noise, and where they come from."""

GIVEN = [
    "collude with one of two clients",
    "one of two clients colludes",
    "one of 216 rounds",
]


def sentences(chapter):
    yield (
        "$\\varepsilon = {:.2f}$ at $\\delta = 10^{{-5}}$, for one round",
        chapter.report("epsilon of one round"),
    )
    yield "has an $\\varepsilon$ of {:.2f}", chapter.report("epsilon of having come")
    coarse = chapter.report("S with no fraction bits, C = 16")
    yield "with $S = {:.0f}$ instead of 16", coarse
    missing = chapter.report("one bit missing, error times")
    assert 1.7 < missing < 1.8
    yield "one bit too small the error grows by three quarters"
    rows = chapter.stored("combination")["rows"]
    assert len(rows) * len(rows[0]["enough"]) == 216
