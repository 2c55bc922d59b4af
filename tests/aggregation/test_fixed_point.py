"""Words modulo 2^bits: sums come out exactly, or are refused beforehand."""

import numpy as np
import pytest
import torch

from leaklib.aggregation.crypto.fixed_point import decode, encode, flat, unwrap, wrap
from leaklib.named import unflatten
from leaklib.rng import generator


@pytest.mark.parametrize("bits", [8, 13, 16, 24, 32])
@pytest.mark.parametrize("seed", range(4))
def test_the_sum_of_words_is_the_word_of_the_sum(bits: int, seed: int) -> None:
    g = generator(seed, "numbers")
    clients = int(torch.randint(1, 20, (1,), generator=g))
    fraction_bits = int(torch.randint(0, bits, (1,), generator=g))
    limit = (2 ** (bits - 1) - 1) // clients  # of each client, in steps: the largest among them
    steps = torch.randint(-limit, limit + 1, (clients, 50), generator=g)
    steps[:, 0], steps[:, 1] = limit, -limit
    values = steps.double() / 2**fraction_bits
    total = np.zeros(50, np.uint32)
    for row in values:
        total += encode(row, fraction_bits, clients, bits)
    total &= np.uint32(2**bits - 1)
    assert torch.equal(decode(total, fraction_bits, bits), values.sum(0))


def test_rounding_is_off_by_at_most_half_a_step() -> None:
    values = torch.randn(1000, generator=generator(0, "numbers"), dtype=torch.float64)
    assert (decode(encode(values, 10, 3), 10) - values).abs().max() <= 2.0**-11


@pytest.mark.parametrize("value", [100.0, -100.0, float("inf"), float("nan")])
def test_a_sum_that_might_overflow_is_refused(value: float) -> None:
    with pytest.raises(
        ValueError, match=r"over 50 clients fits into 16 bits only if no entry is larger than"
    ):
        encode(torch.tensor([0.0, value]), 8, 50, 16)
    # The same number is fine where there is room for the sum, and the limit itself is.
    limit = ((2**15 - 1) // 50) / 2**8
    assert decode(encode(torch.tensor([limit]), 8, 50, 16), 8, 16).item() == limit
    with pytest.raises(ValueError, match="lower fraction_bits"):
        encode(torch.tensor([limit + 2**-8]), 8, 50, 16)


def test_wrapping_is_arithmetic_modulo_a_power_of_two() -> None:
    assert unwrap(wrap(np.array([127, 128, -128, -129, 256]), 8), 8).tolist() == [127, -128, -128, 127, 0]
    for bits in (7, 33):
        with pytest.raises(ValueError, match=rf"bits must be in 8..32, got {bits}"):
            wrap(np.array([1]), bits)


def test_tensors_come_back_from_a_row() -> None:
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(4, dtype=torch.float64), "c": torch.randn(1, 1, 2)}
    again = unflatten(flat(tensors), tensors)
    assert list(again) == list(tensors)
    assert all(torch.equal(again[n], t) and again[n].dtype == t.dtype for n, t in tensors.items())
