"""Sets the biases to the mean of what the units reach, which leaves half of the pictures visible."""

import copy

import torch


def silenced(model):
    dead = copy.deepcopy(model)
    with torch.no_grad():
        dead[1].bias.copy_(-dead[1].weight.sum(1) / 2)
    return dead
