"""The laws of the compressors: what they keep, how far off they are, what they cost, what they leave."""

from dataclasses import replace
from math import ceil, log2

import numpy as np
import pytest
import torch

from leaklib.attacks.search.objectives import cosine_distance, squared_error
from leaklib.client import FedSGD
from leaklib.mechanisms.chain import Chain
from leaklib.mechanisms.identity import Identity
from leaklib.mechanisms.quantize import Quantize
from leaklib.mechanisms.sign import SignSGD
from leaklib.mechanisms.top_k import TopK
from leaklib.rng import generator
from leaklib.types import Mechanism, Tensors, Update

COMPRESSORS = [
    Quantize(1),
    Quantize(2),
    Quantize(8),
    Quantize(16),
    Quantize(4, stochastic=True),
    SignSGD(),
    TopK(0.1),
    Chain((TopK(0.1), Quantize(8))),
]
SIZES = {"conv.weight": (4, 3, 5, 5), "fc.weight": (7, 10), "fc.bias": (7,)}
ENTRIES = 4 * 3 * 5 * 5 + 7 * 10 + 7


def tensors(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensors:
    """Tensors of different scales, as the layers of a network have them."""
    draw = generator(seed, "tensors")
    return {
        name: (torch.randn(shape, generator=draw) * 10.0**-i).to(dtype)
        for i, (name, shape) in enumerate(SIZES.items())
    }


def plain(content: Tensors | None = None) -> Update:
    return Update(tensors() if content is None else content, FedSGD(), 1, (3, 32, 32))


def send(mechanism: Mechanism, update: Update | None = None, seed: int = 0) -> Update:
    return mechanism(update or plain(), generator=generator(seed, "mechanism"))


def flat(content: Tensors) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in content.values()])


# --- quantisation ---


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
@pytest.mark.parametrize("stochastic", [False, True])
def test_quantised_entries_take_few_levels_within_reach(bits: int, stochastic: bool) -> None:
    mechanism = Quantize(bits, stochastic=stochastic)
    for name, tensor in tensors().items():
        sent = send(mechanism).tensors[name]
        step = 2 * tensor.abs().max() / mechanism.gaps
        assert len(sent.unique()) <= max(2**bits - 1, 2)
        assert sent.abs().max() == tensor.abs().max()
        farthest = step if stochastic else step / 2
        assert (sent - tensor).abs().max() <= farthest * (1 + 1e-3)
        if bits > 1:
            multiples = sent / step
            assert (multiples - multiples.round()).abs().max() < 1e-2
            assert (send(mechanism, plain({"zero": torch.zeros(3)})).tensors["zero"] == 0).all()


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_rounding_to_the_nearest_level_twice_changes_nothing(bits: int) -> None:
    once = send(Quantize(bits))
    twice = send(Quantize(bits), replace(once, mechanism=None))
    assert all(torch.equal(once.tensors[name], twice.tensors[name]) for name in SIZES)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_stochastic_rounding_is_unbiased_and_its_variance_bounded(bits: int) -> None:
    mechanism, runs = Quantize(bits, stochastic=True), 4000
    update = plain({"w": torch.tensor([1.0, 0.83, 0.4, 0.25, 0.0, -0.1, -0.5, -0.77])})
    draw = generator(0, "mechanism")
    sent = torch.stack([mechanism(update, generator=draw).tensors["w"] for _ in range(runs)]).double()
    step = 2 / mechanism.gaps
    # A mean of so many draws, each with a standard deviation of at most step / 2, is off by five of these
    # in one case in a million.
    assert (sent.mean(0) - update.tensors["w"]).abs().max() < 5 * step / 2 / runs**0.5
    assert (sent.var(0) <= step**2 / 4 * 1.01).all()
    position = (update.tensors["w"].double() + 1) / step
    between = (position - position.round()).abs() > 1e-3
    assert (sent.var(0)[between] > 0).all()  # it does round at random
    nearest = send(Quantize(bits), update).tensors["w"]
    assert (nearest - update.tensors["w"]).abs().max() > 5 * step / 2 / runs**0.5  # and the nearest is biased


# --- signs ---


def test_signs_and_ties() -> None:
    sent = send(SignSGD(), plain({"w": torch.tensor([-3.0, -0.0, 0.0, 1e-30, 2.0])})).tensors["w"]
    assert sent.tolist() == [-1, 1, 1, 1, 1]
    once = send(SignSGD())
    assert all(
        torch.equal(once.tensors[n], t)
        for n, t in send(SignSGD(), replace(once, mechanism=None)).tensors.items()
    )


def test_signs_do_not_depend_on_the_length() -> None:
    longer = plain({name: 1e3 * tensor for name, tensor in tensors().items()})
    assert torch.equal(flat(send(SignSGD()).tensors), flat(send(SignSGD(), longer).tensors))


# --- top-k ---


@pytest.mark.parametrize("fraction", [1e-6, 0.01, 0.1, 0.5, 1.0])
def test_top_k_keeps_the_largest_of_all_tensors_as_they_are(fraction: float) -> None:
    before, after = flat(tensors()), flat(send(TopK(fraction)).tensors)
    kept = after != 0
    assert kept.sum() == max(1, round(fraction * ENTRIES))
    assert torch.equal(after[kept], before[kept])
    assert kept.all() or before[kept].abs().min() >= before[~kept].abs().max()


def test_top_k_again_changes_nothing_and_equal_entries_are_taken_in_order() -> None:
    once = send(TopK(0.1))
    assert torch.equal(flat(send(TopK(0.1), replace(once, mechanism=None)).tensors), flat(once.tensors))
    equal = plain({"a": torch.ones(3), "b": -torch.ones(3)})
    assert flat(send(TopK(2 / 3), equal).tensors).tolist() == [1, 1, 1, -1, 0, 0]


def test_top_k_s_error_is_bounded() -> None:
    before = flat(tensors())
    for fraction in (0.1, 0.5):
        missed = (flat(send(TopK(fraction)).tensors) - before).square().sum() / before.square().sum()
        assert 0 < missed <= 1 - fraction  # the smallest entries hold at most their share of the energy


# --- what it costs ---


@pytest.mark.parametrize(
    ("mechanism", "bits"),
    [
        (Identity(), 32 * ENTRIES),
        (Chain(), 32 * ENTRIES),
        (Quantize(8), 8 * ENTRIES + 3 * 32),
        (Quantize(1), ENTRIES + 3 * 32),
        (SignSGD(), ENTRIES),
        (TopK(0.01), 4 * (32 + ceil(log2(ENTRIES)))),
        (TopK(0.5), round(0.5 * ENTRIES) * 32 + ENTRIES),  # a bitmap is shorter than indices
        (Chain((TopK(0.01), Quantize(8))), 4 * (8 + ceil(log2(ENTRIES))) + 3 * 32),
        (Chain((TopK(0.01), SignSGD())), ENTRIES),  # one bit has no zero: every entry is sent again
        (Chain((SignSGD(), TopK(0.01))), 4 * (1 + ceil(log2(ENTRIES)))),
        (Chain((Chain((TopK(0.01),)), Quantize(8))), 4 * (8 + ceil(log2(ENTRIES))) + 3 * 32),
    ],
    ids=repr,
)
def test_bits_sent(mechanism: Mechanism, bits: int) -> None:
    assert mechanism.bits_sent(plain()) == bits
    assert mechanism.bits_sent(send(mechanism)) == bits  # the same of an update that has been sent


def test_bits_follow_the_float_type() -> None:
    assert Identity().bits_sent(plain(tensors(dtype=torch.float64))) == 64 * ENTRIES
    assert SignSGD().bits_sent(plain(tensors(dtype=torch.float64))) == ENTRIES


# --- chains ---


def test_a_chain_is_its_mechanisms_one_after_the_other() -> None:
    first, second = TopK(0.3), Quantize(4, stochastic=True)
    draw = generator(3, "mechanism")
    by_hand = second(replace(first(plain(), generator=draw), mechanism=None), generator=draw)
    together = send(Chain((first, second)), seed=3)
    assert torch.equal(flat(together.tensors), flat(by_hand.tensors))
    assert together.mechanism == Chain((first, second))


def test_a_chain_s_comparison_is_that_of_its_mechanisms_one_inside_the_other() -> None:
    first, second = TopK(0.3), Quantize(4)
    observed, guess = send(Chain((first, second))).tensors, tensors(1)
    nested = first.distance(guess, observed, lambda c, o: second.distance(c, o, squared_error))
    assert Chain((first, second)).distance(guess, observed, squared_error) == nested
    assert nested != second.distance(guess, observed, squared_error)


def test_an_update_says_what_was_done_to_it_and_refuses_a_second_mechanism() -> None:
    for mechanism in COMPRESSORS:
        sent = send(mechanism)
        assert sent.mechanism == mechanism
        with pytest.raises(ValueError, match=r"has been through .* put both into one Chain"):
            send(SignSGD(), sent)
    assert send(Identity()).mechanism is None


# --- what an attacker compares ---


@pytest.mark.parametrize("mechanism", COMPRESSORS, ids=repr)
def test_the_truth_is_nearest_and_the_comparison_has_a_gradient(
    mechanism: Mechanism,
) -> None:
    observed = send(mechanism).tensors
    for objective in (squared_error, cosine_distance):
        truth = mechanism.distance(tensors(), observed, objective)
        other = {name: tensor.requires_grad_() for name, tensor in tensors(1).items()}
        distance = mechanism.distance(other, observed, objective)
        assert 0 <= truth < 0.5 * distance
        gradients = torch.autograd.grad(distance, list(other.values()))
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)


def test_top_k_s_comparison_forgives_what_was_left_out_and_no_more() -> None:
    mechanism, update = TopK(0.1), plain()
    observed = send(mechanism).tensors
    assert mechanism.distance(update.tensors, observed, squared_error) == 0
    assert squared_error(update.tensors, observed) > 0.01  # what the naive attacker holds against the truth
    limit = min(t[t != 0].abs().min() for t in observed.values() if t.any())
    too_large = {n: torch.where(observed[n] == 0, 2 * limit, t) for n, t in update.tensors.items()}
    assert mechanism.distance(too_large, observed, squared_error) > 0


def test_quantisation_s_comparison_gives_every_tensor_its_own_step() -> None:
    mechanism = Quantize(8)
    observed = send(mechanism).tensors

    def one_step_off(name: str) -> float:
        step = 2 * observed[name].abs().max() / mechanism.gaps
        guess = {n: t.clone() for n, t in observed.items()}
        guess[name].view(-1)[0] += step
        return mechanism.distance(guess, observed, squared_error).item()

    assert one_step_off("conv.weight") == pytest.approx(one_step_off("fc.bias"), rel=1e-3)


def steps(mechanism: Quantize, observed: Tensors) -> dict[str, torch.Tensor]:
    return {name: 2 * tensor.abs().max() / mechanism.gaps for name, tensor in observed.items()}


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_few_bits_everything_that_rounds_to_what_was_sent_is_as_good(
    bits: int, dtype: torch.dtype
) -> None:
    mechanism, draw = Quantize(bits), generator(0, "guess")
    observed = send(mechanism, plain(tensors(dtype=dtype))).tensors
    for reach in (0.0, 0.3, 0.999):
        off = {
            name: (torch.rand(tensor.shape, generator=draw, dtype=dtype) * 2 - 1) * reach / 2
            for name, tensor in observed.items()
        }
        guess = {name: observed[name] + off[name] * step for name, step in steps(mechanism, observed).items()}
        assert mechanism.distance(guess, observed, squared_error) == 0
    assert mechanism.distance(tensors(dtype=dtype), observed, squared_error) < 1e-10


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("way", [-1, 1])
def test_of_few_bits_what_leaves_the_interval_counts_from_its_edge_on(bits: int, name: str, way: int) -> None:
    mechanism = Quantize(bits)
    observed = send(mechanism, plain(tensors(dtype=torch.float64))).tensors
    step = steps(mechanism, observed)
    levels = {n: tensor / step[n] for n, tensor in observed.items()}
    for beyond in (0.01, 0.25, 3.0):
        guess, edge = ({n: tensor.clone() for n, tensor in some.items()} for some in (observed, levels))
        guess[name].view(-1)[3] += way * (0.5 + beyond) * step[name]
        edge[name].view(-1)[3] += way * beyond
        distance = mechanism.distance(guess, observed, squared_error)
        assert distance > 0
        torch.testing.assert_close(distance, squared_error(edge, levels))


def test_of_few_bits_only_what_left_its_interval_is_pulled_back() -> None:
    mechanism = Quantize(3)
    observed = send(mechanism).tensors
    guess = {name: tensor.clone() for name, tensor in tensors().items()}
    guess["fc.weight"][0, :2] += torch.tensor([2.0, -2.0]) * steps(mechanism, observed)["fc.weight"]
    for tensor in guess.values():
        tensor.requires_grad_()
    distance = mechanism.distance(guess, observed, squared_error)
    pulls = dict(zip(guess, torch.autograd.grad(distance, list(guess.values())), strict=True))
    assert pulls["fc.weight"][0, 0] > 0 > pulls["fc.weight"][0, 1]
    pulls["fc.weight"][0, :2] = 0
    assert flat(pulls).abs().max() < 1e-3 * distance  # entries on an edge, by rounding


def test_of_one_bit_signs_are_compared() -> None:
    update = plain()
    scaled, signs = send(Quantize(1), update).tensors, send(SignSGD(), update).tensors
    for guess in (tensors(), tensors(1)):
        for objective in (squared_error, cosine_distance):
            ours = Quantize(1).distance(guess, scaled, objective)
            assert torch.equal(ours, SignSGD().distance(guess, signs, objective))


@pytest.mark.parametrize(
    "mechanism",
    [*(Quantize(bits) for bits in (5, 8, 16)), *(Quantize(bits, stochastic=True) for bits in (1, 2, 4, 8))],
    ids=repr,
)
def test_of_many_bits_or_rounded_at_random_squares_count_in_steps(mechanism: Quantize) -> None:
    observed, guess = send(mechanism).tensors, tensors(1)
    step = steps(mechanism, observed)
    ours, theirs = ({n: t / step[n] for n, t in some.items()} for some in (guess, observed))
    assert torch.equal(mechanism.distance(guess, observed, squared_error), squared_error(ours, theirs))


def test_the_comparison_of_signs_is_blind_to_length() -> None:
    observed, guess = send(SignSGD()).tensors, tensors(1)
    shorter = {name: 1e-6 * tensor for name, tensor in guess.items()}
    assert SignSGD().distance(guess, observed, squared_error).item() == pytest.approx(
        SignSGD().distance(shorter, observed, squared_error).item(), rel=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_signs_are_compared_where_most_of_a_guess_is_zero(dtype: torch.dtype) -> None:
    """Zeros match neither sign, and all else is on its side, however small: (1 + 1 + 1 + 0 + 4) / 5."""
    guess = torch.tensor([0, 0, 0, 1e-9, 1e-9], dtype=dtype, requires_grad=True)
    observed = torch.tensor([1, 1, -1, 1, -1], dtype=dtype)
    distance = SignSGD().distance({"w": guess}, {"w": observed}, squared_error)
    assert distance.item() == pytest.approx(7 / 5)
    (pull,) = torch.autograd.grad(distance, guess)
    assert pull.isfinite().all() and torch.equal(pull[:3].sign(), -observed[:3])


@pytest.mark.parametrize("mechanism", COMPRESSORS, ids=repr)
def test_the_comparison_works_for_several_guesses_at_once(mechanism: Mechanism) -> None:
    observed, guesses = send(mechanism).tensors, [tensors(1), tensors(2)]
    stacked = {name: torch.stack([guess[name] for guess in guesses]) for name in SIZES}
    together = torch.vmap(lambda guess: mechanism.distance(guess, observed, squared_error))(stacked)
    alone = torch.stack([mechanism.distance(guess, observed, squared_error) for guess in guesses])
    torch.testing.assert_close(together, alone)


# --- what they leave alone ---


@pytest.mark.parametrize("mechanism", COMPRESSORS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float_type_shape_and_global_random_state_stay(mechanism: Mechanism, dtype: torch.dtype) -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    before = tensors(dtype=dtype)
    sent = send(mechanism, plain(before))
    assert {n: (t.dtype, t.shape) for n, t in sent.tensors.items()} == {
        n: (t.dtype, t.shape) for n, t in before.items()
    }
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert not any(tensor.requires_grad for tensor in sent.tensors.values())
    assert sent.step == FedSGD() and sent.num_examples == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mechanism", COMPRESSORS, ids=repr)
def test_a_gpu_sends_the_same(mechanism: Mechanism) -> None:
    there = send(mechanism, plain({name: tensor.cuda() for name, tensor in tensors().items()}))
    assert all(tensor.is_cuda for tensor in there.tensors.values())
    torch.testing.assert_close(flat(there.tensors).cpu(), flat(send(mechanism).tensors))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Quantize(0), r"bits must be in 1\.\.16, got 0"),
        (lambda: Quantize(17), r"bits must be in 1\.\.16, got 17"),
        (lambda: TopK(0.0), r"fraction must be above 0 and at most 1, got 0\.0"),
        (lambda: TopK(1.5), r"fraction must be above 0 and at most 1, got 1\.5"),
        (lambda: TopK(float("nan")), "fraction must be above 0 and at most 1, got nan"),
    ],
)
def test_a_field_out_of_range_is_named(wrong, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()
