"""Runs L-BFGS as PyTorch has it, whose absolute thresholds end a search for a tiny loss at once."""

import torch


def search(loss, start, steps):
    guess = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([guess], max_iter=20, history_size=100)

    def closure():
        optimizer.zero_grad()
        value = loss(guess)
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)
    return guess.detach(), loss(guess).item()
