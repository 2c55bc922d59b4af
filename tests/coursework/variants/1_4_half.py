"""Right in value, but the graph of the inner gradient is missing: nothing can be searched with it."""

import torch
from torch.nn.functional import cross_entropy


def matching_loss(model, guess, label, observed):
    caused = torch.autograd.grad(cross_entropy(model(guess), label), list(model.parameters()))
    ours, theirs = (torch.cat([t.flatten() for t in part]) for part in (caused, observed))
    return (ours - theirs).square().sum() / theirs.square().sum()
