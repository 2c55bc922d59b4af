"""Counts rows and columns, and computes nothing."""


def traced_directions(jacobian):
    return min(jacobian.shape) - 1
