"""Numbers as integers modulo 2^bits: what can be masked exactly, and summed.

    word = round(x · 2^fraction_bits)  mod 2^bits

A sum of words is the word of the sum as long as that lies within ±(2^(bits−1) − 1). Each of n clients can
make sure of it alone: nobody sends more than an n-th of that.
Chapter: 11.
"""

from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt32
from torch import Tensor

from leaklib.fields import check, within
from leaklib.named import flatten
from leaklib.types import Tensors

Words = UInt32[np.ndarray, "entries"]
Bits = Annotated[int, within(8, 32)]
"""How many a word has."""


def flat(tensors: Tensors) -> Float[Tensor, "entries"]:
    """All entries in a row, in the order of the parameters, as float64 on the CPU."""
    return flatten(tensors).detach().cpu().double()


def encode(values: Float[Tensor, "entries"], fraction_bits: int, clients: int, bits: int = 32) -> Words:
    """The words of ``values``, to be summed over ``clients``. ValueError if the sum might not fit."""
    scaled = (values.double() * 2.0**fraction_bits).round()
    largest = scaled.abs().max().item() if len(scaled) else 0.0
    limit = (2 ** (bits - 1) - 1) // clients
    if not largest <= limit:
        what = (
            f"with {fraction_bits} fraction bits a sum over {clients} clients fits into {bits} bits only if"
        )
        most, got = (f"{integer / 2**fraction_bits:g}" for integer in (limit, largest))
        remedy = "send smaller updates, or lower fraction_bits"
        raise ValueError(f"{what} no entry is larger than {most}, got {got}: {remedy}")
    return wrap(scaled.long().numpy(), bits)


def wrap(integers: Int64[np.ndarray, "entries"], bits: int = 32) -> Words:
    """The integers modulo 2^``bits``, 8 to 32, whatever their size: what is too large comes out elsewhere."""
    check("bits", bits, Bits)
    return (integers & (2**bits - 1)).astype(np.uint32)


def unwrap(words: Words, bits: int = 32) -> Int64[np.ndarray, "entries"]:
    """The integers nearest to zero that have these words: from −2^(bits−1) to 2^(bits−1) − 1."""
    half = 2 ** (bits - 1)
    return ((words.astype(np.int64) + half) & (2**bits - 1)) - half


def decode(words: Words, fraction_bits: int, bits: int = 32) -> Float[Tensor, "entries"]:
    """The numbers, signed, of the words; float64."""
    return torch.from_numpy(unwrap(words, bits)).double() / 2.0**fraction_bits
