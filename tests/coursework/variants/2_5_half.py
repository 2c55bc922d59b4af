"""Counts the kept entries, and not what passes the layers."""


def lost_directions(pixels, passing, kept):
    return max(0, pixels - sum(kept))
