"""Gives every pixel a free sign."""


def pairs_left(deviation, window):
    return 2 ** (int((deviation != 0).sum()) - 1)
