"""Measured numbers in the sentences of the chapter on a federation that leaks, and where they come from."""

from prose import spelled

GIVEN = [
    "Three of the eight clients are drawn",
    "what guessing one of eight would give",
    "20 dB for the first, 40 dB for the second, so ten times closer is 20 dB more",
    "within 60 dB of an original",
]


def sentences(chapter):
    yield "At 30 dB the error is {:.0f} of 255 levels", chapter.report("error at 30 dB")
    gray = chapter.report("gray against all 64 pictures")
    yield "a plain gray picture scores {:.0f} to {:.0f} dB on our clients' pictures", gray
    right = chapter.report("of these, one picture")
    in_range = chapter.report("rows with values in [0, 1], eight clients")
    yield "Only {:.0f} of {:,.0f} rows in range do", right, in_range
    fewest, most = map(int, chapter.report("pictures read, by client"))
    yield (
        "Every client lost at least {} picture, the worst of them {} of eight",
        spelled(fewest),
        spelled(most),
    )
