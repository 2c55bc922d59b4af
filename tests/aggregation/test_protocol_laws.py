"""Small laws of the protocols' parts: what the longer tests walk past."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leaklib.aggregation.crypto.fixed_point import encode, unwrap, wrap
from leaklib.aggregation.crypto.shamir import PRIME, SHARE, recover, split
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.masking.graph import complete, edges, erdos_renyi, ring
from leaklib.aggregation.parts.pooled import mean, pooled
from leaklib.aggregation.plain import Plain
from leaklib.client import Average, FedAvg, FedSGD
from leaklib.mechanisms.sign import SignSGD
from leaklib.rng import generator
from leaklib.types import Update


def update(client: int, **fields) -> Update:
    return replace(Update({"w": torch.full((2,), float(client))}, FedSGD(), 1, (3,), client=client), **fields)


# --- the mean of several ---


def test_of_several_sensitivities_the_mean_has_the_largest() -> None:
    sent = tuple(update(c, sensitivity=s) for c, s in enumerate((0.1, 0.4, 0.2)))
    assert pooled(sent, mean(sent)).sensitivity == pytest.approx(0.4 / 3)
    unclipped = (*sent[:2], update(2))
    assert pooled(unclipped, mean(unclipped)).sensitivity is None


def test_updates_that_cannot_be_averaged_are_refused() -> None:
    for sent, message in (
        ((), "expected at least one update, got none"),
        ((update(1), update(1)), "two from the same client"),
        ((update(0), update(1, statistics={"layer": torch.zeros(2, 3)})), "client 1 reveals BatchNorm"),
        ((update(0), update(1, num_examples=2)), "of client 0 and .* of client 1"),
    ):
        with pytest.raises(ValueError, match=message):
            pooled(sent, {})


def test_one_client_s_mean_loses_the_mechanism_and_keeps_the_rest() -> None:
    sent = update(3, mechanism=SignSGD(), sensitivity=0.5, labels=torch.tensor([1]))
    other = {"w": torch.zeros(2)}
    assert pooled((sent,), other) == replace(sent, tensors=other, mechanism=None)


def test_several_clients_together_take_one_step_or_the_average_of_theirs() -> None:
    plain, averaged = (tuple(update(c, step=step) for c in (4, 2, 9)) for step in (FedSGD(), FedAvg(0.5)))
    assert pooled(plain, mean(plain)).step == FedSGD()
    one = pooled(averaged, mean(averaged))
    assert one.step == Average(FedAvg(0.5), 3)
    assert (one.clients, one.num_examples, one.input_shape) == ((4, 2, 9), 3, (3,))
    assert one.tensors["w"].tolist() == [5, 5] and one.mechanism is None


def test_labels_are_known_only_if_everyone_reveals_them() -> None:
    known = tuple(update(c, labels=torch.tensor([c])) for c in range(3))
    assert pooled(known, mean(known)).labels.tolist() == [0, 1, 2]
    some = (*known[:2], update(2))
    assert pooled(some, mean(some)).labels is None


def test_bytes_in_the_clear_are_rounded_up_once_for_all() -> None:
    signs = tuple(SignSGD()(update(c), generator=generator(0, "m")) for c in range(3))  # 6 bits in all
    mixed = (*signs[:2], update(2))
    for sent, size in ((signs, 1), (mixed, 3), (tuple(map(update, range(3))), 8)):
        cost = Plain()(sent, generator=generator(0, "g")).cost
        assert cost.client_up == size and isinstance(cost.client_up, int)


# --- words ---


def test_words_stay_below_the_modulus_and_the_limit_is_the_last_that_fits() -> None:
    words = encode(torch.tensor([-1.0, 1.0]), 3, 1, 8)
    assert words.tolist() == [248, 8] and words.dtype == np.uint32
    assert encode(torch.tensor([127.0]), 0, 1, 8).tolist() == [127]
    for value, clients in ((128.0, 1), (64.0, 2), (43.0, 3)):
        with pytest.raises(ValueError, match=rf"over {clients} clients fits into 8 bits only if no entry"):
            encode(torch.tensor([value]), 0, clients, 8)
    assert encode(torch.zeros(0), 3, 1).tolist() == []
    assert encode(torch.tensor([-1.0]), 0, 1).tolist() == wrap(np.array([-1])).tolist() == [2**32 - 1]
    assert unwrap(np.array([2**32 - 1], np.uint32)).tolist() == [-1]


# --- Shamir's sharing ---


def test_shares_depend_on_every_coefficient_and_on_the_generator_alone() -> None:
    """The polynomial by hand: coefficients of 66 bytes from the generator, the secret at 0."""
    drawn = Stream(0, "s").bytes(2 * SHARE)
    high, low = (int.from_bytes(drawn[i : i + SHARE], "big") & PRIME for i in (0, SHARE))
    secret = bytes([1, 2])
    shares = split(secret, 3, [4, 0, 9], stream=Stream(0, "s"))
    assert shares == {h: (high * (h + 1) ** 2 + low * (h + 1) + 258) % PRIME for h in (0, 4, 9)}


def test_a_share_is_spread_over_all_521_bits() -> None:
    ones = [0] * 521
    for seed in range(200):
        share = split(b"same", 2, range(2), stream=Stream(seed, "s"))[0]
        ones = [count + (share >> bit & 1) for bit, count in enumerate(ones)]
    assert 60 < min(ones) and max(ones) < 140  # within 5.6 standard deviations of 100


def test_the_longest_secret_fits_and_a_longer_one_is_not_cut() -> None:
    longest = bytes([255] * 64)
    shares = split(longest, 2, range(3), stream=Stream(0, "s"))
    assert recover({0: shares[0], 2: shares[2]}, 64) == longest
    for length in (63, 60):
        with pytest.raises(ValueError, match=f"these 3 shares give no secret of {length} bytes"):
            recover(shares, length)
    assert split(b"s", 1, [5, 5], stream=Stream(0, "s")) == {5: ord("s")}


# --- graphs ---


def test_graphs_depend_on_the_generator_alone() -> None:
    before = torch.get_rng_state()
    for draw in (
        lambda g: ring(range(40), 4, generator=g),
        lambda g: erdos_renyi(range(40), 0.3, generator=g),
    ):
        once, again, other = (draw(generator(seed, "graph")) for seed in (0, 0, 1))
        assert once == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_two_are_joined_where_the_draw_above_the_diagonal_is_below_the_probability() -> None:
    draw = torch.rand(9, 9, generator=generator(0, "graph"), dtype=torch.float64) < 0.4
    graph = erdos_renyi(range(9), 0.4, generator=generator(0, "graph"))
    assert all((j in graph[i]) == draw[i, j].item() for i in range(9) for j in range(i + 1, 9))


def test_a_ring_is_complete_only_where_it_must_be() -> None:
    g = generator(0, "graph")
    assert edges(ring(range(6), 4, generator=g)) == 12
    assert ring(range(5), 4, generator=g) == complete(range(5))
    assert isinstance(edges(complete(range(3))), int)
