"""Knows the neighbors only, whatever the window."""

from itertools import pairwise


def pairs_left(deviation, window):
    places = deviation.nonzero().flatten().tolist()
    return 2 ** sum(b - a > 1 for a, b in pairwise(places))
