"""Fades the pictures into their mean: the sum stays, the products shrink."""

import math


def turned(pictures, angle):
    mean = pictures.mean(0)
    return mean + math.cos(angle) * (pictures - mean)
