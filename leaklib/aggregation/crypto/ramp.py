"""Ramp sharing: a vector cut in K blocks, hidden by T random ones, dealt to any number of holders.

    F(X) = w_1 + w_2 X + … + w_K X^{K−1} + z_1 X^K + … + z_T X^{K+T−1},     share of holder i: F(i + 1)

A share is K times shorter than the vector. Any K + T shares give all blocks. T say nothing, for whatever the
blocks are, exactly one choice of the z_t fits those T shares. In between, each further share tells one
block's worth: that is the ramp, and the price of short shares. K = 1 is Shamir's sharing of every entry.

    G(X) = w_K + w_{K−1} X + … + w_1 X^{K−1} + r_1 X^K + … + r_T X^{K+T−1}

has the blocks in reverse order. In the product of two such polynomials the coefficient of X^{K−1} is the sum
of w_k · w_k over the blocks, the squared length of the vector, and no z_t or r_t enters it.

Source: Blakley, Meadows, "Security of Ramp Schemes", CRYPTO 1984, for ramp sharing; Jahani-Nezhad,
Maddah-Ali, Caire, "ByzSecAgg", arXiv 2302.09913, for the two orders.
Chapters: 13, 14.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt64

from leaklib.aggregation.crypto.field import Elements, matmul, uniform, vandermonde
from leaklib.aggregation.crypto.stream import Stream

Blocks = UInt64[np.ndarray, "_ _"]


def cut(vector: UInt64[np.ndarray, "_"], blocks: int) -> Blocks:
    """``vector`` in ``blocks`` rows of one length, the last filled up with zeros."""
    length = -(-len(vector) // blocks)
    return np.pad(vector, (0, blocks * length - len(vector))).reshape(blocks, length)


def hidden(blocks: Blocks, colluders: int, *, stream: Stream) -> Blocks:
    """The coefficients of a sharing: the blocks, and a random row for each of the ``colluders``."""
    noise = uniform((colluders, blocks.shape[1]), stream=stream)
    return np.concatenate([blocks, noise])


def shares(coefficients: Blocks, points: Sequence[int]) -> Elements:
    """The values of all entries' polynomials at each point: points × entries."""
    return matmul(vandermonde(points, len(coefficients)), coefficients)


def point(holder: int) -> int:
    """Where holder 0, 1, … has its share."""
    return holder + 1
