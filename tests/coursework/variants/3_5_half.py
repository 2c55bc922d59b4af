"""Turns the first two pictures in their plane: the products stay, the sum does not."""

import math

import torch


def turned(pictures, angle):
    one, two, three = pictures
    cosine, sine = math.cos(angle), math.sin(angle)
    return torch.stack([cosine * one - sine * two, sine * one + cosine * two, three])
