"""A server that sends one client an honest model and silences all others, against masks and bound masks.

Source: Pasquini, Francati, Ateniese, "Eluding Secure Aggregation in Federated Learning via Model
Inconsistency", CCS 2022. The attack is that of chapter 11, whose stored runs benchmarks/sums.py computes.
"""

import sys
from pathlib import Path

import pytest
import torch

import leaklib
from leaklib.attacks.dlg import IDLG
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.rng import generator

sys.path.append(str(Path(leaklib.__file__).parent.parent / "benchmarks"))
import sums


@pytest.mark.parametrize("network", sums.NETWORKS)
def test_a_silenced_client_sends_nothing_but_whole_numbers_in_the_last_bias(network: str) -> None:
    model = sums.silenced(sums.NETWORKS[network].build(0))
    batch = Photos().batch(5, 1)
    tensors = share(model, batch, FedSGD()).tensors
    bias = tensors.pop("fc.bias")
    assert not any(tensor.any() for tensor in tensors.values())
    expected = torch.zeros(10)
    expected[0], expected[batch.labels] = 1, -1
    assert torch.equal(bias, expected)


@pytest.mark.parametrize("victim", [0, 3])
def test_the_sum_holds_the_victim_s_gradient_unless_masks_are_bound(victim: int) -> None:
    """To a rounding of the sum: 8 clients, half a step each of 2^-24, and float32. Bound, nothing is near."""
    for bind_model in (False, True):
        _, true, seen = sums.singled_out("LeNet", victim, bind_model)
        gaps = {name: (seen.tensors[name] - tensor).abs() for name, tensor in true.tensors.items()}
        if not bind_model:
            assert max(gap.max().item() for gap in gaps.values()) < 1e-6
            continue
        del gaps["fc.bias"]  # which is cut to what stands after the point
        near = [(gap < 1).double().mean().item() for gap in gaps.values() if gap.numel() > 1000]
        assert len(near) == 3 and max(near) < 0.02  # of uniform numbers in ±128, 1 in 128 is


@pytest.mark.slow
@pytest.mark.parametrize(("network", "attack"), [("LeNet", "Recursive"), ("ConvNet 64", "IDLG")])
def test_the_victim_s_picture_comes_back_above_60_db_and_at_gray_level_where_masks_are_bound(
    network: str, attack: str
) -> None:
    found = sums.one_victim(network, attack, 3, False)
    assert found["psnr"] > 60 and found["furthest entry"] < 1e-6
    model, _, seen = sums.singled_out(network, 3, True)
    for each in (Recursive(), IDLG(steps=6)):
        try:
            guess = each(model, seen, generator=generator(3, "attack")).inputs
        except ValueError:  # a closed form that finds no picture, or cannot undo this network
            continue
        assert sums.scores(guess, 3)["psnr"] < found["gray"] + 1
