"""Gives the mean twice."""

import torch


def pair_from(total, scatter):
    return torch.stack([total / 2, total / 2])
