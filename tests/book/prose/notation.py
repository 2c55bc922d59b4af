"""Numbers in the sentences of the page of symbols and terms."""

import math

GIVEN = ["*Recursive · **104 dB** · above 50 (±8)*"]


def sentences(page):
    yield "agree to one part in 256 have about {:.0f} dB", 20 * math.log10(256)
