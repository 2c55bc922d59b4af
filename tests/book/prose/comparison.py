"""Measured numbers in the sentences of the chapter with the tables, and where they come from."""

from leaklib.models.lenet import LeNet
from leaklib.results.contenders import EXAMPLES, TRAINED

GIVEN = ["pictures above 20 dB", "top 1 % and no memory"]


def sentences(chapter):
    yield "the update moves {} times as far", EXAMPLES
    yield "The update itself is {:,} bytes", 4 * sum(w.numel() for w in LeNet().build(0).parameters())
    yield r"$\sqrt{{16}} = {:.0f}$ times as large", TRAINED**0.5
    yield "with 1,600 clients it would be {:.0f} times", 1600**0.5
