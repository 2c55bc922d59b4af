"""Measured numbers on the front page, and where they come from."""

from leaklib.models.lenet import LeNet


def sentences(page):
    yield "reads {:.0f} of 64 pictures", page.report("pictures read in all", of="not_private")
    yield "{:,} numbers of a small", sum(w.numel() for w in LeNet().build(0).parameters())
