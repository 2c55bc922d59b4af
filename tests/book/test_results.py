"""What the book shows from files: its claims hold in them, and a row computed anew agrees."""

import base64
import json
import zlib
from importlib.resources import files
from statistics import median

import pytest
import torch

from leaklib.attacks.grad_inversion import GradInversion
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.metrics import psnr, score
from leaklib.models.lenet import LeNet
from leaklib.models.resnet import ResNet
from leaklib.rng import generator
from leaklib.types import Batch

RESULTS = files("leaklib").joinpath("results")
FAMILY = json.loads(RESULTS.joinpath("family.json").read_text())
IDENTIFIABILITY = json.loads(RESULTS.joinpath("identifiability.json").read_text())
ATTACKS = json.loads(RESULTS.joinpath("attacks.json").read_text())


def values(part: str, **case) -> list[float]:
    """The PSNR of all pictures of all runs of one setting."""
    found = [entry for entry in FAMILY[part] if case.items() <= entry["case"].items()]
    assert found, f"{part} has no runs of {case}"
    return [value for entry in found for run in entry["runs"] for value in run["psnr"]]


def test_statistics_of_a_batch_of_four_help_and_its_own_help_most() -> None:
    """Of eight and of 48 they do not, beyond the spread: the chapter says so."""
    medians = [median(values("batch_norm", batch=4, statistics=k)) for k in ("none", "running", "exact")]
    assert medians == sorted(medians) and medians[2] > medians[0] + 1


def test_a_batch_of_48_ran_to_its_end() -> None:
    for kind in ("none", "running", "exact"):
        assert len(values("batch_norm", batch=48, statistics=kind)) == 48


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_unrolling_beats_taking_the_difference_for_a_gradient(steps: int) -> None:
    unrolled, naive = (
        values("fedavg", **{"local steps": steps, "attacker": attacker})
        for attacker in ("unrolled", "one gradient")
    )
    assert all(u > n for u, n in zip(unrolled, naive, strict=True))


def test_starts_together_cost_less_on_small_networks() -> None:
    for network in ("LeNet", "ConvNet 16"):
        ratios = [
            entry["runs"][0]["ratio"]
            for entry in FAMILY["restarts"]
            if entry["case"]["network"] == network and entry["case"]["starts"] >= 4
        ]
        assert len(ratios) == 2 and max(ratios) < 0.7


def test_a_relu_network_is_inverted_before_training() -> None:
    assert min(values("single", network="ConvNet 64 ReLU", training="none")) > 20


@pytest.mark.parametrize("network", ["LeNet U(-1/2, 1/2)", "LeNet default"])
@pytest.mark.parametrize("pictures", [3, 5])
def test_inverting_gradients_beats_the_other_tool_at_no_more_time(network: str, pictures: int) -> None:
    """One setting for both networks: without signs. With signs it is better on one and worse on the other."""

    def of(attack: str) -> tuple[float, float]:
        runs = [r for r in ATTACKS if (r["network"], r["attack"]) == (network, attack)]
        runs = [run for run in runs if run["picture"] < pictures]
        assert len(runs) == pictures
        cost = median(run["seconds"] / run["evaluations"] / run["training_step"] for run in runs)
        return median(run["decibel"] for run in runs), cost

    quality, cost = of("InvertingGradients, unsigned")
    for other in ("invertinggradients", "modern"):
        other_quality, other_cost = of(other)
        assert quality > max(other_quality, 20.5) and cost <= other_cost


@pytest.mark.slow
def test_a_stored_batch_of_photographs_comes_out_again() -> None:
    """One row computed anew. Kinks amplify rounding, so other machines may differ by a little."""
    (entry,) = [e for e in FAMILY["photographs"] if e["case"] == {"statistics": "none"}]
    run = entry["runs"][0]
    model, batch = ResNet(trained=True).build(0), Photos().batch(0, 2)
    update = share(model, batch, FedSGD(), reveal_labels=True, reveal_statistics=True)
    found = GradInversion(steps=run["evaluations"], statistics="none")(
        model, update, generator=generator(0, "attack")
    )
    result = score(found, batch)
    assert result.psnr.mean().item() == pytest.approx(sum(run["psnr"]) / 2, abs=2)
    stored = torch.frombuffer(bytearray(base64.b64decode(run["pictures"])), dtype=torch.uint8)
    stored = stored.reshape(2, 3, 32, 32) / 255
    far = (found.inputs[result.order] - batch.inputs).square().mean()
    assert (found.inputs[result.order] - stored).square().mean() < far


def test_ranks_around_the_phase_transition_are_the_predicted_ones() -> None:
    """tests/attacks/test_identifiability.py computes one of them anew."""
    rows = {tuple(row["case"].values()): row for row in IDENTIFIABILITY["ranks"]}
    assert len(rows) == 16
    for (channels, _, _), row in rows.items():
        assert row["rank"] == row["counting bound"] == min(3072, channels * (331 - channels))
        assert row["gap"] > 1e6 and row["seconds"] < 60 and row["gigabytes"] < 4


def test_the_closed_form_succeeds_where_the_rank_is_full_and_names_a_layer_elsewhere() -> None:
    assert [row["case"]["channels"] for row in IDENTIFIABILITY["channels"]] == list(range(1, 17))
    for row in IDENTIFIABILITY["channels"]:
        if row["rank"] == row["unknowns"]:
            assert row["recursive"] > 150
        else:
            assert row["refusal"].startswith("Recursive cannot undo conv")


def errors(sigma: float, attack: str, key: str = "error") -> torch.Tensor:
    case = {"sigma": sigma, "attack": attack}
    rows = [row for row in IDENTIFIABILITY["noise"] if case.items() <= row["case"].items()]
    assert len(rows) == 15
    return torch.tensor([row[key] for row in rows], dtype=torch.float64)


@pytest.mark.parametrize("sigma", [1e-4, 1e-3])
def test_unbiased_attacks_reach_the_bound_and_do_not_pass_it(sigma: float) -> None:
    for attack in ("GaussNewton", "IDLG"):
        ratio = errors(sigma, attack) / errors(sigma, attack, "bound")
        standard_error = (ratio.std() / len(ratio) ** 0.5).item()
        assert ratio.mean().item() > 1 - 3 * standard_error
    linear = errors(sigma, "GaussNewton", "linear-Gaussian").mean()
    assert (errors(sigma, "GaussNewton").mean() / linear).log10().abs() * 10 < 1.5


def test_lenet_5_has_the_rank_that_counting_allows() -> None:
    assert len(IDENTIFIABILITY["lenet5"]) >= 2
    for row in IDENTIFIABILITY["lenet5"]:
        assert row["rank"] == row["counting bound"] == 1632 < row["unknowns"] and row["gap"] > 1e6


def test_every_network_below_the_border_has_two_pictures_with_one_gradient() -> None:
    """The chapter recomputes LeNet-5's mismatch; this one is another network's."""
    rows = {row["case"]["network"]: row for row in IDENTIFIABILITY["twins"]}
    assert set(rows) == {"LeNet-5", *(f"LeNet({channels})" for channels in range(1, 10))}
    for row in rows.values():
        assert row["mismatch"] < 1e-10 and row["psnr"] < 25
    model, cat = LeNet(channels=8).build(0).double(), Photos().batch(3, 1)
    stored = zlib.decompress(base64.b64decode(rows["LeNet(8)"]["float64"]))
    twin = torch.frombuffer(bytearray(stored), dtype=torch.float64).view(1, 3, 32, 32)
    ours, theirs = (
        share(model, Batch(inputs, cat.labels), FedSGD()).tensors for inputs in (cat.inputs, twin)
    )
    assert sum((ours[name] - theirs[name]).square().sum().item() for name in ours) < 1e-10
    assert 0 <= twin.min() and twin.max() <= 1 and psnr(twin, cat.inputs.double()) < 25
