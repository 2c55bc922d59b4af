"""The straight line: same experiment, same result; the attack sees what the server sees."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from leaklib.attacks.dlg import DLG
from leaklib.attacks.linear_layer import LinearLayer
from leaklib.client import FedSGD
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.models.lenet import LeNet
from leaklib.models.parts.build import seeded


@dataclass(frozen=True)
class Mlp:
    def build(self, seed: int) -> nn.Module:
        return seeded(
            seed, lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 32), nn.ReLU(), nn.Linear(32, 10))
        )


LINE = Experiment(data=Photos(), model=Mlp(), step=FedSGD(), attack=LinearLayer())


def test_the_line_from_a_photograph_and_back() -> None:
    result = run(LINE)
    assert result.score.psnr.item() > 100 and result.score.label_accuracy == 1
    assert torch.equal(result.batch.inputs, Photos().batch(0, 1).inputs)


def test_the_same_experiment_gives_the_same_result() -> None:
    experiment = replace(LINE, model=LeNet(), attack=DLG(steps=2), seed=3)
    a, b = run(experiment), run(experiment)
    assert (
        torch.equal(a.reconstruction.inputs, b.reconstruction.inputs)
        and a.reconstruction.loss == b.reconstruction.loss
    )
    other = run(replace(experiment, seed=4))
    assert not torch.equal(a.reconstruction.inputs, other.reconstruction.inputs)


def test_every_client_shares_and_the_server_attacks_one() -> None:
    result = run(replace(LINE, clients=3))
    assert result.update.client == 0 and result.score.psnr.item() > 100


def test_the_callback_watches_the_attack() -> None:
    seen = []
    run(replace(LINE, model=LeNet(), attack=DLG(steps=1)), callback=seen.append)
    assert [p.evaluation for p in seen] == list(range(1, 21))


def test_the_first_client_s_batch_is_the_victim_and_nothing_else_changes() -> None:
    experiment = replace(LINE, batch_size=2, model=LeNet(), attack=DLG(steps=1))
    for first in (0, 1, 5):
        result = run(replace(experiment, first_client=first))
        expected = Photos().batch(first, 2)
        assert torch.equal(result.batch.inputs, expected.inputs)
        assert torch.equal(result.batch.labels, expected.labels) and result.update.client == first
    several = run(replace(experiment, first_client=5, clients=3))
    assert several.update.client == 5
    assert torch.equal(several.reconstruction.inputs, result.reconstruction.inputs)
    with pytest.raises(ValueError, match="client 120 with 2 per client"):
        run(replace(experiment, first_client=119, clients=2))
    with pytest.raises(ValueError, match="first_client must be at least 0, got -1"):
        replace(LINE, first_client=-1)


@pytest.mark.parametrize("field", ["clients", "batch_size"])
def test_at_least_one_client_and_picture(field: str) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        replace(LINE, **{field: 0})
