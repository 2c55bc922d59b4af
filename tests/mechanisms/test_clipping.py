"""Clipping keeps its bound for entries of any size, and what no factor clips is refused by name."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from leaklib.aggregation.central import CentralDP
from leaklib.client import FedSGD, clip, share
from leaklib.mechanisms.discrete import Skellam
from leaklib.mechanisms.gaussian import ClipNorm, GaussianNoise
from leaklib.rng import generator
from leaklib.types import Batch, Tensors, Update

REACH = {torch.float32: (-42, 38), torch.float64: (-320, 306)}  # powers of ten, subnormal numbers among them
BAD = [math.nan, math.inf, -math.inf]


def some_tensors(draw: torch.Generator, dtype: torch.dtype) -> Tensors:
    """Two tensors, each of a size of its own; equal entries, zeros and single ones among them."""
    low, high = REACH[dtype]

    def one() -> torch.Tensor:
        size, kind = (int(torch.randint(top, (1,), generator=draw)) for top in (300, 4))
        power = low + (high - low) * torch.rand(1, generator=draw, dtype=torch.float64).item()
        shape = torch.randn(size + 1, generator=draw, dtype=torch.float64).clamp(-3, 3)
        shape = (shape, torch.ones(size + 1), shape * (shape > 1), -shape.sign())[kind]
        return (shape.double() / 3 * 10.0**power).to(dtype)

    return {"a": one(), "b": one()}


def length(tensors: Tensors) -> float:
    """The L2 norm, whose squares ``math.hypot`` keeps from overflowing."""
    return math.hypot(*(entry for tensor in tensors.values() for entry in tensor.flatten().tolist()))


def update(tensors: Tensors, sensitivity: float | None = None) -> Update:
    return Update(tensors, FedSGD(), 1, (3,), client=7, sensitivity=sensitivity)


@pytest.mark.parametrize("dtype", REACH, ids=str)
def test_what_is_clipped_is_never_longer_than_the_bound_and_points_where_it_did(dtype) -> None:
    draw = generator(0, "clipping")
    for _ in range(300):
        tensors = some_tensors(draw, dtype)
        bound = 10.0 ** (12 * torch.rand(1, generator=draw).item() - 6)
        sent, before = ClipNorm(bound)(update(tensors)).tensors, length(tensors)
        assert length(sent) <= min(before, bound) * (1 + 1e-6)
        if before > 0:  # one factor for all tensors, as large as it may be
            factor = min(1, bound / before)
            off = {name: tensor.double() - factor * tensors[name].double() for name, tensor in sent.items()}
            subnormal = 25 * torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps  # what they round by
            assert length(off) <= 1e-6 * factor * before + subnormal


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", ["a", "b"])
def test_nan_and_infinity_are_refused_with_the_client_and_the_tensor(bad: float, place: str) -> None:
    tensors = {"a": torch.ones(3), "b": torch.ones(2, 2)}
    tensors[place].view(-1)[1] = bad
    message = rf"^the update of client 7 has NaN or infinite entries in {place}, which nothing clips: lower"
    with pytest.raises(ValueError, match=message):
        ClipNorm(1.0)(update(tensors))
    for noise in (GaussianNoise(), Skellam(fraction_bits=8)):
        with pytest.raises(ValueError, match=message):
            noise(update(tensors, 1.0))
    with pytest.raises(ValueError, match=message):
        CentralDP()((replace(update({n: torch.ones_like(t) for n, t in tensors.items()}, 1.0), client=1),
                     update(tensors, 1.0)))  # fmt: skip


def test_infinity_is_not_clipped_to_something_finite() -> None:
    """Whoever calls ``clip`` alone sees it: NaN in every tensor, which no check passes over."""
    for bad in BAD:
        sent = clip({"a": torch.tensor([1.0, bad]), "b": torch.ones(2)}, 1.0)
        assert all(tensor.isnan().all() for tensor in sent.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_float_type_too_coarse_for_the_bound_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"clipping needs float32 or float64 to keep its bound, got {dtype}"):
        ClipNorm(1.0)(update({"a": torch.ones(3, dtype=dtype)}))


def shared(gradients: torch.Tensor, bound: float = 1.0) -> Update:
    """The update of a client whose i-th example has row i for a gradient."""
    model = nn.Linear(gradients.shape[1], 1, bias=False)
    step = FedSGD(max_grad_norm=bound, loss=lambda output, _: output.sum())
    return share(model, Batch(gradients, torch.zeros(len(gradients), dtype=torch.int64)), step, client=7)


def test_an_example_that_contributes_zeros_moves_the_mean_by_at_most_the_sensitivity() -> None:
    """Zero-out neighbors: its gradient is zero, and the divisor stays. Also where squares overflow."""
    draw = generator(0, "examples")
    for power in (-30, -5, 0, 5, 30, 37):
        gradients = torch.randn(4, 20, generator=draw).clamp(-3, 3) * 10.0**power
        both = shared(gradients)
        assert both.sensitivity == 0.25
        for gone in range(4):
            without = shared(gradients * (torch.arange(4) != gone)[:, None])
            moved = {n: tensor - without.tensors[n] for n, tensor in both.tensors.items()}
            assert length(moved) <= 0.25 * (1 + 1e-6)
            assert power < 0 or length(moved) >= 0.25 * (1 - 1e-6)
        everyone = length(both.tensors)  # all four examples together: the client's whole part
        assert everyone <= 1 + 1e-6


def test_a_client_s_examples_together_move_the_mean_by_their_number_times_the_sensitivity() -> None:
    alike = torch.ones(5, 20)
    assert length(shared(alike).tensors) == pytest.approx(5 * shared(alike).sensitivity, rel=1e-6)


@pytest.mark.parametrize("bad", BAD)
def test_one_example_with_a_gradient_that_nothing_clips_is_refused(bad: float) -> None:
    gradients = torch.ones(4, 20)
    gradients[2, 3] = bad
    with pytest.raises(
        ValueError, match=r"^the update of client 7 has NaN or infinite entries in weight, which"
    ):
        shared(gradients)


@pytest.mark.parametrize("bound", [math.inf, math.nan])
def test_a_bound_that_bounds_nothing_is_refused(bound: float) -> None:
    with pytest.raises(ValueError, match="max_grad_norm must be above 0 and finite or None, got"):
        FedSGD(max_grad_norm=bound)
