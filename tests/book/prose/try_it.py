"""Measured numbers on the page of the reader's own picture, and where they come from."""

import gzip
import math

from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.identifiability.counting import counting_bounds
from leaklib.models.lenet import LeNet
from leaklib.widgets.inpage import document


def sentences(page):
    yield "at 12 channels {:,} numbers", sum(w.numel() for w in LeNet().build(0).parameters())
    model = LeNet(channels=8).build(0)
    found = counting_bounds(model, share(model, Photos().batch(3, 1), FedSGD()))[-1]
    yield "3,072 unknowns, and at most {:,} equations", found.rank
    size = len(gzip.compress(document().encode())) / 1000
    yield "compressed less than {} kB", 50 * math.ceil(size / 50)
