"""Small laws of the mechanisms: what the longer tests walk past."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from dp_accounting import rdp

from leaklib.client import FedSGD
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.discrete import ORDERS, Skellam, skellam_rdp
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.rng import generator
from leaklib.types import Mechanism, Tensors, Update


def update(sensitivity: float | None = None, dtype: torch.dtype = torch.float64) -> Update:
    weights = torch.linspace(-1, 1, 200, dtype=dtype)
    return Update({"w": weights, "b": weights[:3] / 7}, FedSGD(), 2, (3,), sensitivity=sensitivity)


def compared(mechanism: Mechanism, candidate: Tensors, observed: Tensors) -> tuple[Tensors, Tensors]:
    """What the mechanism hands to an attack's objective."""
    seen = []

    def objective(candidate: Tensors, observed: Tensors) -> torch.Tensor:
        seen.append((candidate, observed))
        return torch.tensor(7.0)

    assert mechanism.distance(candidate, observed, objective) == 7
    (once,) = seen
    return once


# --- what an attacker compares ---


@pytest.mark.parametrize("mechanism", [Identity(), GaussianNoise(), Skellam(), Chain()], ids=repr)
def test_noise_and_nothing_are_compared_as_they_are(mechanism: Mechanism) -> None:
    candidate, observed = {"w": torch.ones(2)}, {"w": torch.zeros(2)}
    assert compared(mechanism, candidate, observed) == (candidate, observed)


def test_a_clipped_update_is_compared_with_a_clipped_candidate() -> None:
    candidate, observed = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}, {"a": torch.ones(1)}
    seen, other = compared(ClipNorm(0.5), candidate, observed)
    assert seen["a"].item() == pytest.approx(0.3) and seen["b"].item() == pytest.approx(0.4)
    assert other is observed


def test_an_entry_of_a_tenth_of_the_median_counts_as_nearly_decided() -> None:
    """The candidate that the objective sees is tanh(20 g / median |g|), entry by entry."""
    entries = torch.tensor([-0.2, 0.02, 2.0, -40.0, 3.0])  # the median of the sizes is 2
    seen, _ = compared(SignSGD(), {"w": entries}, {"w": entries.sign()})
    assert seen["w"].tolist() == pytest.approx([-math.tanh(2), math.tanh(0.2), 1, -1, 1], abs=1e-6)


def test_what_was_not_sent_may_be_as_large_as_the_smallest_that_was_on_either_side() -> None:
    observed = {"w": torch.tensor([5.0, 0.0, 0.0, 0.0, 0.0]), "b": torch.tensor([-2.0, 0.0])}
    candidate = {"w": torch.tensor([9.0, 7.0, -7.0, 1.0, -1.0]), "b": torch.tensor([-3.0, 2.0])}
    seen, other = compared(TopK(0.2), candidate, observed)
    assert seen["w"].tolist() == [9, 5, -5, 0, 0] and seen["b"].tolist() == [-3, 0]
    assert other is observed


def test_up_to_four_bits_only_what_leaves_the_interval_counts() -> None:
    observed = {"w": torch.tensor([-7.0, 0.0, 3.0]), "zero": torch.zeros(2)}
    candidate = {"w": torch.tensor([-7.4, 0.75, 1.0]), "zero": torch.tensor([0.0, 2.0])}
    coarse, levels = compared(Quantize(4), candidate, observed)  # 14 gaps: the step is 1
    assert coarse["w"].tolist() == [-7, 0.25, 1.5] and levels["w"].tolist() == [-7, 0, 3]
    assert coarse["zero"].tolist() == [0, 1.5] and levels["zero"].tolist() == [0, 0]
    for fine in (Quantize(4, stochastic=True), Quantize(5)):
        step = 14 / fine.gaps
        seen, levels = compared(fine, candidate, observed)
        assert (seen["w"] * step).tolist() == pytest.approx([-7.4, 0.75, 1.0])
        assert (levels["w"] * step).tolist() == pytest.approx([-7, 0, 3])


def test_one_bit_is_compared_as_signs_are() -> None:
    observed, candidate = {"w": torch.tensor([-2.0, 2.0])}, {"w": torch.tensor([0.01, 1.0])}
    seen, signs = compared(Quantize(1), candidate, observed)
    expected, _ = compared(SignSGD(), candidate, {"w": torch.tensor([-1.0, 1.0])})
    assert torch.equal(seen["w"], expected["w"]) and signs["w"].tolist() == [-1, 1]
    drawn, _ = compared(Quantize(1, stochastic=True), candidate, observed)
    assert drawn["w"].tolist() == pytest.approx([0.0025, 0.25])  # in steps of 4


# --- what is sent ---

NOISY = [GaussianNoise(0.5), Skellam(0.5, 2, 10)]


@pytest.mark.parametrize("mechanism", [*NOISY, Quantize(3, stochastic=True)], ids=repr)
def test_what_is_drawn_comes_from_the_generator_alone(mechanism: Mechanism) -> None:
    before, clipped = torch.get_rng_state(), update(0.25)
    once, again, other = (mechanism(clipped, generator=generator(seed, "m")) for seed in (0, 0, 1))
    assert torch.equal(once.tensors["w"], again.tensors["w"])
    assert not torch.equal(once.tensors["w"], other.tensors["w"])
    assert torch.equal(torch.get_rng_state(), before)
    assert once.mechanism == mechanism and once.sensitivity is None


def test_stochastic_rounding_goes_up_where_the_draw_reaches_the_next_level() -> None:
    weights, draw = torch.linspace(-3, 2, 50), generator(4, "m")
    plain = replace(update(), tensors={"w": weights})
    sent = Quantize(4, stochastic=True)(plain, generator=generator(4, "m"))
    up = torch.rand(50, generator=draw, dtype=torch.float64)
    levels = ((weights.double() / 3 + 1) * 7 + up).floor()
    assert torch.equal(sent.tensors["w"], ((levels / 7 - 1) * 3).float())


@pytest.mark.parametrize("mechanism", NOISY, ids=lambda mechanism: type(mechanism).__name__)
def test_noise_that_would_not_protect_is_refused_by_name(mechanism: Mechanism) -> None:
    name = type(mechanism).__name__
    with pytest.raises(ValueError, match=rf"^{name} needs .*Chain\(\(ClipNorm\(...\), {name}\(...\)\)\)"):
        mechanism(update())
    with pytest.raises(ValueError, match=f"^{name} protects the update alone"):
        mechanism(replace(update(0.5), statistics={"layer": torch.zeros(2, 3)}))


@pytest.mark.parametrize("mechanism", [*NOISY, Quantize(3, stochastic=True), Chain((NOISY[1],))], ids=repr)
def test_without_a_generator_it_is_seed_0_of_the_client(mechanism: Mechanism) -> None:
    """Two clients draw apart: the same noise twice would cancel in the difference of what they send."""
    sent = [mechanism(replace(update(0.25), client=c)).tensors["w"] for c in (0, 0, 1)]
    given = mechanism(update(0.25), generator=generator(0, "mechanism of client 0")).tensors["w"]
    assert torch.equal(sent[0], given) and torch.equal(sent[1], given) and not torch.equal(sent[2], given)


@pytest.mark.parametrize("clients", [1, 4])
def test_integer_noise_by_hand(clients: int) -> None:
    """Round by the first draws, then add the difference of two Poisson numbers of half the variance."""
    mechanism, draw = Skellam(0.7, clients, 6), generator(2, "m")
    plain = replace(update(0.25), tensors={"w": torch.linspace(-1, 1, 50)})
    rounded = (plain.tensors["w"].double() * 64 + torch.rand(50, generator=draw, dtype=torch.float64)).floor()
    half = (0.7 * (0.25 * 64 + math.sqrt(50))) ** 2 / clients / 2
    up, down = torch.poisson(torch.full((2, 50), half, dtype=torch.float64), generator=draw)
    sent = mechanism(plain, generator=generator(2, "m")).tensors["w"]
    assert torch.equal(sent, ((rounded + up - down) / 64).float()) and (up != down).any()


def test_noise_is_drawn_up_to_the_largest_rate() -> None:
    one = replace(update(), tensors={"w": torch.zeros(1, dtype=torch.float64)})
    for sensitivity, fits in ((370_726.0, True), (370_727.0, False)):  # plus 1, squared: 2^37 lies between
        clipped = replace(one, sensitivity=sensitivity)
        if fits:
            assert Skellam(1.0, 1, 0)(clipped, generator=generator(0, "m")).tensors["w"].any()
        else:
            with pytest.raises(ValueError, match=r"deviation of 3.71e\+05 steps is more than can be drawn"):
                Skellam(1.0, 1, 0)(clipped, generator=generator(0, "m"))


def test_a_chain_passes_on_what_its_last_mechanism_knows_of_the_sensitivity() -> None:
    def sent(*mechanisms: Mechanism) -> Update:
        return Chain(mechanisms)(update(9.0), generator=generator(0, "m"))

    assert sent(Quantize(2), ClipNorm(0.5)).sensitivity == 0.5
    assert sent(ClipNorm(0.5), Quantize(2)).sensitivity is None
    assert sent().sensitivity == 9 and sent(Identity()).sensitivity == 9
    with pytest.raises(ValueError, match=r"been through ClipNorm\(max_norm=0.5\) already"):
        Chain((SignSGD(),))(ClipNorm(0.5)(update(), generator=generator(0, "m")), generator=generator(0, "m"))


@pytest.mark.parametrize("mechanism", [Identity(), ClipNorm(), Chain(), *NOISY], ids=repr)
def test_full_precision_costs_all_bits_of_the_widest_type(mechanism: Mechanism) -> None:
    mixed = replace(update(0.25), tensors={**update().tensors, "half": torch.zeros(4, dtype=torch.float16)})
    assert mechanism.bits_sent(mixed) == 64 * 207


def test_one_bit_has_no_room_for_what_was_left_out() -> None:
    positions = 20 * 8  # indices of 8 bits for 20 of 203 entries
    assert Chain((TopK(0.1), Quantize(1))).bits_sent(update()) == 203 + 2 * 32
    assert Chain((TopK(0.1), Quantize(2))).bits_sent(update()) == 20 * 2 + positions + 2 * 32
    assert Chain((TopK(0.1), TopK(0.5))).bits_sent(update()) == 20 * 64 + positions + 203


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_a_bound_and_a_noise_are_above_0_and_finite(wrong: float) -> None:
    with pytest.raises(ValueError, match="max_norm must be above 0 and finite, got"):
        ClipNorm(wrong)
    with pytest.raises(ValueError, match="noise_multiplier must be above 0 and finite, got"):
        GaussianNoise(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Quantize(0), "bits must be in 1..16, got 0"),
        (lambda: Quantize(17), "bits must be in 1..16, got 17"),
        (lambda: TopK(0.0), "fraction must be above 0 and at most 1, got 0.0"),
        (lambda: TopK(1.1), "fraction must be above 0 and at most 1, got 1.1"),
        (lambda: Skellam(-0.1), "noise_multiplier must be at least 0 and finite, got -0.1"),
        (lambda: Skellam(math.inf), "noise_multiplier must be at least 0 and finite, got inf"),
        (lambda: Skellam(clients=0), "clients must be at least 1, got 0"),
        (lambda: Skellam(fraction_bits=-1), "fraction_bits must be in 0..40, got -1"),
        (lambda: Skellam(fraction_bits=41), "fraction_bits must be in 0..40, got 41"),
    ],
)
def test_fields_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_ends_of_the_ranges_are_inside() -> None:
    assert (Quantize(1).gaps, Quantize(2).gaps, Quantize(16).gaps) == (1, 2, 65534)
    assert TopK(1.0).kept(9) == 9 and TopK(0.01).kept(9) == 1
    assert Skellam(0, 1, 0).fraction_bits == 0 and Skellam(0, 1, 40).fraction_bits == 40


# --- what integer noise buys ---


def test_the_renyi_bound_of_skellam_noise_is_the_published_one() -> None:
    """Agarwal, Kairouz and Liu: each of the two ways to bound the rest, where it is the smaller."""
    assert skellam_rdp(5, 7, 3, 11.0) == pytest.approx(5 * 9 / 22 + (9 * 9 + 6 * 7) / (4 * 121))
    assert skellam_rdp(2, 3, 2, 0.5) == pytest.approx(8 + 9)  # the other way it would be 30


@pytest.mark.parametrize(("sensitivity", "entries", "bits"), [(1.0, 10, 3), (0.3, 400, 5)])
def test_epsilon_follows_from_the_two_norms_of_the_rounded_update(
    sensitivity: float, entries: int, bits: int
) -> None:
    mechanism = Skellam(0.8, 4, bits)
    l2 = sensitivity * 2**bits + math.sqrt(entries)
    assert mechanism.rounded(sensitivity, entries) == pytest.approx(l2 / 2**bits)
    curve = [skellam_rdp(order, l2 * math.sqrt(entries), l2, (0.8 * l2) ** 2) for order in ORDERS]
    expected = rdp.compute_epsilon(ORDERS, curve, 1e-5)[0]
    assert mechanism.epsilon(sensitivity, entries, 1e-5) == pytest.approx(expected, rel=1e-12)


def test_orders_are_fine_enough_for_much_and_for_little_noise() -> None:
    assert ORDERS[0] == 2 and ORDERS[-1] > 1000
    assert all(later <= 1.15 * earlier + 1 for earlier, later in pairwise(ORDERS))
