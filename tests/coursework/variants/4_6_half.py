"""Silences with a hammer: every client that looks at the biases sees it."""

import copy

import torch


def silenced(model):
    dead = copy.deepcopy(model)
    torch.nn.init.constant_(dead[1].bias, -1000.0)
    return dead
