"""Takes everything that passes for an equation."""


def lost_directions(pixels, passing, kept):
    return pixels - min(passing)
