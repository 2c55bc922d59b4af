"""Measured numbers in the sentences of the chapter on the family of attacks, and where they come from."""

GIVEN = [
    "at most 600 evaluations",
    "400 evaluations, no prior",
    "with 2,400 evaluations",
    "At most 2,400 evaluations",
    "those that reach 30 dB",
    "and gets 15 dB",
    "Wrong: 15 dB shows",
    "after 200 evaluations",
]


def sentences(chapter):
    gray = chapter.report("a gray picture")
    yield "It is worse here; a gray picture scores {:.1f} dB", gray
    yield "not far above gray's {:.1f} dB", gray
