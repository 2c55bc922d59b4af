"""Clipping, rounding, noise and a finite ring: what each does, and when the ring is too small."""

import json
import math
from importlib.resources import files

import pytest
import torch

from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.mechanisms.discrete import Skellam
from leaklib.models.lenet import LeNet
from leaklib.results.combination import play
from leaklib.rng import generator
from leaklib.types import Update

STORED = json.loads(files("leaklib").joinpath("results/combination.json").read_text())
ROWS = STORED["rows"]


def updates(clients: int, *, same: bool, norm: float = 1.0, entries: int = 400) -> tuple[Update, ...]:
    draw, one = generator(0, "updates"), torch.zeros(entries, dtype=torch.float64)
    made = []
    for client in range(clients):
        if not (same and client):
            one = torch.randn(entries, generator=draw, dtype=torch.float64)
            one *= norm / one.norm()
        made.append(Update({"w": one}, FedSGD(), 1, (1, 8, 8), client=client, sensitivity=1.0))
    return tuple(made)


def played(clients: int = 6, bits: int = 8, multiplier: float = 0.2, seed: int = 0, *, same: bool = False):
    long, short = updates(clients, same=same, norm=3.0), updates(clients, same=same)
    return play(long, short, Skellam(multiplier, clients, bits), seed=seed)


@pytest.mark.parametrize("multiplier", [0, 0.2, 2.0])
@pytest.mark.parametrize("same", [True, False])
def test_nothing_wraps_from_the_onset_on_and_something_before(multiplier, same) -> None:
    found = played(bits=12, multiplier=multiplier, same=same)
    enough = found.enough()
    assert 8 < enough <= found.sure()
    for bits in (enough, enough + 1, 32):
        assert found.budget(bits).wrapping == found.budget(bits).wrapped == 0
    before = found.budget(enough - 1)
    assert before.wrapped > 0 and before.wrapping > found.budget(32).rounding
    assert found.budget(enough - 2).wrapped > before.wrapped


@pytest.mark.parametrize("clients", [1, 2, 5, 17, 64])
@pytest.mark.parametrize("bits", [10, 13])
def test_clients_that_agree_wrap_exactly_where_the_ring_is_below_2_n_max_x_scale(clients, bits) -> None:
    """The claim: onset where the ring is smaller than 2 n max|x| · scale. Nothing has to be rounded."""
    sign = torch.tensor([1.0, -1.0]).double()  # the ring has one number more below zero than above
    for top in (3, 2 ** (bits - 2), 2 ** (bits - 1) - 1):
        values = torch.zeros(50, dtype=torch.float64)
        values[:2] = sign * top / 2.0**bits
        all_same = [
            Update({"w": values}, FedSGD(), 1, (1, 8, 8), client=c, sensitivity=1.0) for c in range(clients)
        ]
        found = play(all_same, all_same, Skellam(0, clients, bits), seed=0)
        for ring in range(8, 24):
            fits = 2**ring > 2 * clients * top
            assert (found.budget(ring).wrapped == 0) == fits
            assert fits == (ring >= found.sure())


def test_a_number_that_wraps_is_off_by_whole_rings() -> None:
    found, bits = played(bits=12, multiplier=2.0), 10
    off = (found.budget(bits).decoded - found.means[3]) * 2.0**12 * 6 / 2**bits
    assert off.tolist() == pytest.approx(off.round().tolist(), abs=1e-9) and off.abs().max() >= 1


def test_the_errors_are_as_large_as_their_formulas_say() -> None:
    clients, entries, bits, z = 6, 400, 8, 0.5
    found = [played(clients, bits, z, seed).budget(32) for seed in range(20)]
    unit = played().means[0].square().mean().item()
    mechanism = Skellam(z, clients, bits)
    deviation = z * mechanism.rounded(1.0, entries) / clients
    noise = sum(b.noise for b in found) / 20 * unit
    assert noise == pytest.approx(deviation**2, rel=4 * math.sqrt(2 / (20 * entries)))
    assert max(b.rounding for b in found) * unit <= 2.0 ** (-2 * bits) / 4 / clients
    # Every update is three times too long: clipping leaves a third of the mean.
    assert all(b.clipping == pytest.approx((2 / 3) ** 2) for b in found)


def test_the_likely_ring_is_too_small_in_one_round_of_a_hundred_at_most() -> None:
    short = updates(4, same=False, entries=50)
    rounds = [play(short, short, Skellam(1.0, 4, 10), seed=seed) for seed in range(300)]
    assert sum(r.budget(r.likely()).wrapped > 0 for r in rounds) <= 3 + 3 * math.sqrt(3)


def test_the_noise_is_shared_among_all_who_send() -> None:
    with pytest.raises(ValueError, match="clients must be 6, as there are updates, got 5"):
        play(updates(6, same=False), updates(6, same=False), Skellam(clients=5), seed=0)


# What the book stores


def test_a_stored_round_is_what_comes_out_today() -> None:
    model, n = LeNet().build(0).double(), 10
    clip = FedSGD(max_grad_norm=STORED["about"]["max_norm"])
    exact, clipped = (
        [share(model, Photos().batch(c, 1), s, client=c) for c in range(n)] for s in (FedSGD(), clip)
    )
    row = next(r for r in ROWS if (r["clients"], r["noise_multiplier"], r["fraction_bits"]) == (n, 0.3, 8))
    found = [play(exact, clipped, Skellam(0.3, n, 8), seed=seed) for seed in range(STORED["about"]["seeds"])]
    assert [r.enough() for r in found] == row["enough"] and [r.sure() for r in found] == row["sure"]
    noise = sorted(r.budget(32).noise for r in found)
    assert [noise[1], noise[0], noise[2]] == pytest.approx(row["noise"], rel=1e-3)


def test_the_stored_onset_keeps_within_both_predictions() -> None:
    pairs = [pair for r in ROWS for pair in zip(r["enough"], r["sure"], r["likely"], strict=True)]
    assert all(enough <= sure for enough, sure, _ in pairs)
    assert sum(enough > likely for enough, _, likely in pairs) <= 0.01 * len(pairs) + 3
    assert max(likely - enough for enough, _, likely in pairs) <= 1, "and it is never far too large"
    quiet = [r for r in ROWS if r["noise_multiplier"] == 0]
    assert quiet and len(ROWS) == 3 * 3 * 8
