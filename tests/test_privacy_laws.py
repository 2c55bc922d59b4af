"""Small laws of the accountant and of clipping in the client: what the longer tests walk past."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from leaklib.accounting import (
    classic_noise_multiplier,
    epsilon,
    gdp_epsilon,
    noise_multiplier_for,
    reconstruction_bound,
)
from leaklib.client import Average, FedAvg, FedSGD, clip, share
from leaklib.identifiability.spectrum import Identifiability
from leaklib.rng import generator
from leaklib.types import Batch

# --- the accountant ---


@pytest.mark.parametrize("adjacency", ["zero out", "replace one"])
def test_enough_noise_is_found_to_within_1e_4_on_the_safe_side(adjacency) -> None:
    given = {"delta": 1e-5, "rounds": 2, "sampling_rate": 0.5, "adjacency": adjacency}
    found = noise_multiplier_for(0.2, **given)
    assert epsilon(found, **given) <= 0.2 < epsilon(found - 2e-4, **given)


def test_one_round_of_everyone_is_what_is_meant_without_more_words() -> None:
    spelled = {"delta": 1e-5, "rounds": 1, "sampling_rate": 1.0}
    assert gdp_epsilon(2.0, delta=1e-5) == gdp_epsilon(2.0, **spelled)
    spelled["adjacency"] = "zero out"
    assert epsilon(2.0, delta=1e-5) == epsilon(2.0, **spelled)
    assert noise_multiplier_for(2.0, delta=1e-5) == noise_multiplier_for(2.0, **spelled)
    assert reconstruction_bound(0.1, 2.0) == reconstruction_bound(0.1, 2.0, rounds=1)
    # The approximation is one release of everyone with z = 1/μ.
    assert gdp_epsilon(1.0, delta=1e-5, rounds=4, sampling_rate=0.5) == pytest.approx(
        epsilon(1 / (0.5 * math.sqrt(4 * math.expm1(1.0))), delta=1e-5)
    )


def test_sampling_leaves_less_and_replacing_costs_more() -> None:
    sampled = {"delta": 1e-3, "sampling_rate": 0.3}
    one, two = (epsilon(20.0, adjacency=a, **sampled) for a in ("zero out", "replace one"))
    assert 0 < one < two < epsilon(20.0, delta=1e-3, adjacency="replace one")
    assert one < epsilon(20.0, delta=1e-3)


def test_too_rare_a_part_needs_no_noise_and_is_refused() -> None:
    with pytest.raises(ValueError, match=r"delta must be below rounds times sampling_rate, 0.02, got 0.02"):
        noise_multiplier_for(1.0, delta=0.02, rounds=2, sampling_rate=0.01)


@pytest.mark.parametrize("wrong", [0, -1.0, math.inf, math.nan])
def test_noise_and_epsilon_are_above_0_and_finite(wrong: float) -> None:
    for call, name in (
        (lambda: epsilon(wrong, delta=1e-5), "noise_multiplier"),
        (lambda: gdp_epsilon(wrong, delta=1e-5), "noise_multiplier"),
        (lambda: reconstruction_bound(0.1, wrong), "noise_multiplier"),
        (lambda: noise_multiplier_for(wrong, delta=1e-5), "epsilon"),
        (lambda: classic_noise_multiplier(wrong, delta=1e-5), "epsilon"),
    ):
        with pytest.raises(ValueError, match=rf"^{name} must be above 0 and finite, got"):
            call()


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 1.5])
def test_delta_and_prior_are_between_0_and_1(wrong: float) -> None:
    calls: tuple[Callable[..., float], ...]
    calls = (epsilon, gdp_epsilon, noise_multiplier_for, classic_noise_multiplier)
    for call in calls:
        with pytest.raises(ValueError, match="delta must be above 0 and below 1, got"):
            call(1.0, delta=wrong)
    with pytest.raises(ValueError, match="prior must be above 0 and below 1, got"):
        reconstruction_bound(wrong, 1.0)


def test_rounds_and_sampling_rates_out_of_range_are_refused() -> None:
    for call in (epsilon, gdp_epsilon, noise_multiplier_for):
        with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
            call(1.0, delta=1e-5, rounds=0)
        for rate in (0.0, -0.1, 1.1):
            with pytest.raises(ValueError, match="sampling_rate must be above 0 and at most 1"):
                call(1.0, delta=1e-5, sampling_rate=rate)
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        reconstruction_bound(0.1, 1.0, rounds=0)


@pytest.mark.parametrize("call", [epsilon, noise_multiplier_for])
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_an_adjacency_that_there_is_not_is_refused(call: Callable[..., float], rate: float) -> None:
    # A TypeError where the tests check the types of arguments, too.
    with pytest.raises((ValueError, TypeError), match="adjacency"):
        call(2.0, delta=1e-5, sampling_rate=rate, adjacency="replace")


def test_the_formulas_by_hand() -> None:
    assert classic_noise_multiplier(0.5, delta=1e-5) == pytest.approx(math.sqrt(2 * math.log(1.25e5)) / 0.5)
    assert reconstruction_bound(0.2, 3.0, rounds=4) == pytest.approx(norm.cdf(norm.ppf(0.2) + 2 / 3))


# --- what a prior is worth ---


def test_only_for_gaussian_pixels_does_the_best_linear_attack_s_error_bound_every_attack() -> None:
    """One pixel around mid-gray with standard deviation 1/4, seen with noise 0.1: exact posterior means."""
    tau, noise = 0.25, 0.1
    one = torch.ones(1, 1, dtype=torch.float64)
    bound = Identifiability(1, 1, (), one[0], one, torch.Size((1, 1, 1, 1)))
    linear = 10 ** (-bound.predicted_psnr(noise, prior_std=tau) / 10)
    pixel, seen = np.linspace(-1.5, 1.5, 3001), np.linspace(-2.5, 2.5, 1001)
    priors = {
        "Gaussian": norm.pdf(pixel, scale=tau),
        "uniform": abs(pixel) <= tau * math.sqrt(3),
        "two values": abs(abs(pixel) - tau) < 1e-6,
    }
    factor = tau**2 / (tau**2 + noise**2)
    exact = {}
    for name, prior in priors.items():
        together = norm.pdf(seen[:, None] - pixel, scale=noise) * prior / prior.sum() * (seen[1] - seen[0])

        def error(guess: np.ndarray, together: np.ndarray = together) -> float:
            return float((together * (guess[:, None] - pixel) ** 2).sum())

        assert error(factor * seen) == pytest.approx(linear, rel=2e-3)  # the same for every prior
        exact[name] = error(together @ pixel / together.sum(1))
    assert exact["Gaussian"] == pytest.approx(linear, rel=1e-6)
    assert 10 * math.log10(linear / exact["uniform"]) == pytest.approx(0.37, abs=0.01)
    assert linear / exact["two values"] == pytest.approx(7.28, abs=0.02)


# --- clipping ---


def line(dtype: torch.dtype = torch.float64) -> nn.Module:
    """One weight and one bias for each of two classes."""
    model = nn.Linear(3, 2).to(dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, -1.0, 2.0], [0.0, 1.0, -0.5]]))
        model.bias.copy_(torch.tensor([0.1, -0.2]))
    return model


def some_batch(size: int) -> Batch:
    draw = generator(0, "batch")
    scale = torch.tensor([0.01, 1.0, 100.0, 3.0])[:size, None]  # short gradients and long ones
    return Batch(scale * torch.randn(size, 3, generator=draw), torch.tensor([0, 1, 1, 0])[:size])


def gradient(model: nn.Module, batch: Batch, i: int) -> dict[str, torch.Tensor]:
    model.zero_grad()
    inputs = batch.inputs[i : i + 1].to(model.weight.dtype)
    nn.functional.cross_entropy(model(inputs), batch.labels[i : i + 1]).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def test_clipping_shortens_what_is_too_long_and_nothing_else() -> None:
    tensors = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[-4.0]])}
    half = clip(tensors, 2.5)
    assert half["a"].tolist() == [1.5, 0] and half["b"].tolist() == [[-2.0]]
    for bound in (5.0, 7.0):
        assert all(torch.equal(clip(tensors, bound)[name], tensor) for name, tensor in tensors.items())
    assert not clip({"a": torch.zeros(3)}, 1.0)["a"].any()  # and no division by zero
    assert clip({"a": torch.full((1,), 1e-20)}, 1.0)["a"].item() == pytest.approx(1e-20)


@pytest.mark.parametrize("size", [1, 4])
def test_the_mean_is_over_gradients_clipped_one_by_one(size: int) -> None:
    model, batch, bound = line(), some_batch(size), 0.5
    each = []
    for i in range(size):
        raw = gradient(model, batch, i)
        length = math.sqrt(sum(tensor.square().sum().item() for tensor in raw.values()))
        each.append({name: tensor * min(1.0, bound / length) for name, tensor in raw.items()})
    model.zero_grad()
    update = share(model, batch, FedSGD(max_grad_norm=bound))
    for name, tensor in update.tensors.items():
        assert torch.allclose(tensor, sum(one[name] for one in each) / size, rtol=1e-12, atol=1e-15)
    assert update.sensitivity == bound / size


def test_tokens_stay_whole_numbers() -> None:
    model = nn.Sequential(nn.EmbeddingBag(5, 2), nn.Linear(2, 3))
    update = share(model, Batch(torch.tensor([[1, 2], [3, 0]]), torch.tensor([0, 2])), FedSGD())
    assert update.input_shape == (2,) and update.tensors["0.weight"].shape == (5, 2)
    assert not update.tensors["0.weight"][4].any()


def test_only_clipping_bounds_the_sensitivity() -> None:
    model, batch = line(), some_batch(4)
    for step in (FedSGD(), FedAvg(), Average(FedSGD(max_grad_norm=1.0), 2)):
        assert share(model, batch, step).sensitivity is None


def test_an_update_says_how_it_was_made_and_has_no_graph() -> None:
    model, batch, step = line(torch.float32), some_batch(3), FedSGD(max_grad_norm=1.0)
    update = share(model, batch, step, client=5)
    assert (update.step, update.num_examples, update.input_shape) == (step, 3, (3,))
    assert (update.client, update.mechanism, update.labels, update.statistics) == (5, None, None, None)
    assert share(model, batch, step).client == 0
    assert all(t.dtype == torch.float32 and not t.requires_grad for t in update.tensors.values())
    assert all(not t.requires_grad for t in share(model, batch, FedAvg()).tensors.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FedSGD(max_grad_norm=0), "max_grad_norm must be above 0 and finite or None, got 0"),
        (lambda: FedSGD(max_grad_norm=math.nan), "max_grad_norm must be above 0 and finite or None, got nan"),
        (lambda: FedAvg(lr=0.0), "lr must be above 0, got 0"),
        (lambda: Average(clients=0), "clients must be at least 1, got 0"),
    ],
)
def test_fields_out_of_range_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_ends_of_the_ranges_are_inside() -> None:
    model, batch = line(), some_batch(2)
    alone = Average(FedAvg(lr=1e-9, epochs=1, batch_size=1), clients=1)
    assert all(tensor.any() for tensor in share(model, batch, alone).tensors.values())
