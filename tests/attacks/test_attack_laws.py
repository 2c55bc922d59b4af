"""Small laws of the attacks: what the longer tests walk past."""

import torch
from torch import nn

from leaklib.attacks.grad_inversion import GradInversion
from leaklib.client import FedSGD, share
from leaklib.data import Photos
from leaklib.rng import generator


def test_the_batch_s_own_statistics_do_not_fade_and_running_ones_do() -> None:
    layers = (nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5))
    draw = generator(0, "weights")
    with torch.no_grad():
        for weight in (weight for layer in layers for weight in layer.parameters()):
            weight.copy_(0.3 * torch.randn(weight.shape, generator=draw))
    model, batch = nn.Sequential(*layers), Photos(size=8).batch(0, 2)
    update = share(model, batch, FedSGD(), reveal_labels=True, reveal_statistics=True)

    def found(statistics: str, anneal: float) -> torch.Tensor:
        attack = GradInversion(steps=6, statistics=statistics, anneal=anneal, total_variation=0.0)
        return attack(model, update, generator=generator(0, "attack")).inputs

    assert torch.equal(found("exact", 1.0), found("exact", 1e-3))
    assert not torch.equal(found("running", 1.0), found("running", 1e-3))
