"""Numbers in the page on the pictures, and where they come from."""

import math

from leaklib.data import _FLAT, Photos

GIVEN = ["fetches it with torchvision, 170 MB"]  # the size of the archive


def sentences(chapter):
    yield "within {:.0f} of 255 levels (root mean square)", 255 * _FLAT
    pictures = Photos().batch(0, 240).inputs
    error = (pictures - pictures.mean((2, 3), keepdim=True)).square().mean((1, 2, 3)).min().item()
    ceiling = -20 * math.log10(_FLAT)
    assert -10 * math.log10(error) <= ceiling, "a picture that one color matches better"
    yield "never scores above {:.1f} dB", math.ceil(10 * ceiling) / 10
