"""Keeps no memory."""

import torch


def compressed(update, memory, k):
    sent = torch.zeros_like(update)
    largest = update.abs().argsort(descending=True, stable=True)[:k]
    sent[largest] = update[largest]
    return sent, torch.zeros_like(update)
