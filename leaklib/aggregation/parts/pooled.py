"""The one update that stands for several clients: their mean, all that a server reads under a sum protocol.

The mean of FedSGD updates from batches of one size is the gradient over all their examples at once, so an
attack on the mean is an attack on a larger batch.
Chapter: 11.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from leaklib.client import Average, FedSGD
from leaklib.named import unflatten
from leaklib.types import Tensors, Update


def mean(updates: tuple[Update, ...]) -> Tensors:
    """The mean of the updates' tensors, entry by entry."""
    return {n: torch.stack([update.tensors[n] for update in updates]).mean(0) for n in updates[0].tensors}


def pooled(updates: tuple[Update, ...], tensors: Tensors) -> Update:
    """The update with ``tensors``, the mean of ``updates`` as the server came by it.

    What a mechanism did to each of them cannot be told from the mean, so it carries no mechanism. Its
    sensitivity is that of one unit among all. ValueError if the updates differ in step, number of examples or
    shape, or if some reveal BatchNorm statistics: these would reach the server outside the protocol.
    """
    first = check_alike(updates)
    if len(updates) == 1:
        return replace(first, tensors=tensors, mechanism=None)
    labels = [update.labels for update in updates if update.labels is not None]
    sensitivities = [update.sensitivity for update in updates if update.sensitivity is not None]
    everyone = len(updates)
    return replace(
        first,
        tensors=tensors,
        step=first.step if isinstance(first.step, FedSGD) else Average(first.step, everyone),
        num_examples=first.num_examples * everyone,
        labels=torch.cat(labels) if len(labels) == everyone else None,
        mechanism=None,
        sensitivity=max(sensitivities) / everyone if len(sensitivities) == everyone else None,
        others=tuple(update.client for update in updates[1:]),
    )


def readable(updates: tuple[Update, ...], values: Float[Tensor, "entries"]) -> Update:
    """The update that stands for ``updates``, whose mean the server has read as the numbers ``values``."""
    return pooled(updates, unflatten(values, updates[0].tensors))


def unreadable(update: Update, values: Float[Tensor, "entries"]) -> Update:
    """What arrived in the place of ``update``, masked or encrypted, read as the numbers ``values``."""
    tensors = unflatten(values, update.tensors)
    return replace(update, tensors=tensors, mechanism=None, sensitivity=None)


def ciphertext(update: Update, sent: bytes, width: int, scale: float) -> Update:
    """What was ``sent`` in its place: every ``width`` bytes read as an integer, divided by ``scale``."""
    entries = sum(tensor.numel() for tensor in update.tensors.values())
    return unreadable(update, torch.from_numpy(np.frombuffer(sent, f"<i{width}", entries) / scale))


def check_alike(updates: tuple[Update, ...]) -> Update:
    """The first of ``updates``. ValueError unless a mean over all of them makes sense."""
    if not updates:
        raise ValueError("expected at least one update, got none")
    first = updates[0]
    if len({update.client for update in updates}) < len(updates):
        raise ValueError("each client sends one update, got two from the same client")
    for update in updates:
        if update.statistics is not None:
            bare = "which no protocol protects here: share without reveal_statistics"
            raise ValueError(f"client {update.client} reveals BatchNorm statistics, {bare}")
        ours, theirs = ((u.step, u.num_examples, u.input_shape, u.bounds) for u in (first, update))
        if ours != theirs:
            what = "a mean needs updates made alike: step, number of examples, shape and bounds are"
            raise ValueError(f"{what} {ours} of client {first.client} and {theirs} of client {update.client}")
    return first


def bytes_sent(updates: tuple[Update, ...]) -> int:
    """What a client sends in the clear, the mean over clients, rounded up to whole bytes."""
    bits = 0
    for update in updates:
        plain = 8 * sum(tensor.nbytes for tensor in update.tensors.values())
        bits += plain if update.mechanism is None else update.mechanism.bits_sent(update)
    return -(-bits // (8 * len(updates)))
