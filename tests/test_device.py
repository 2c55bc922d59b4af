"""The same code on a GPU: same starts, same pictures. Skipped where there is no GPU."""

from dataclasses import replace

import pytest
import torch

from leaklib.attacks.dlg import DLG, IDLG
from leaklib.attacks.recursive import Recursive
from leaklib.client import FedAvg, FedSGD
from leaklib.data import Photos
from leaklib.experiment import Experiment, run
from leaklib.models.lenet import LeNet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
EXPERIMENT = Experiment(data=Photos(), model=LeNet(init_scale=None), step=FedSGD(), attack=Recursive())


@pytest.mark.parametrize(
    "attack", [Recursive(), IDLG(steps=20), DLG(steps=30)], ids=lambda a: type(a).__name__
)
def test_a_picture_comes_back_on_a_gpu(attack) -> None:
    result = run(replace(EXPERIMENT, attack=attack), device="cuda")
    assert result.reconstruction.inputs.device.type == "cuda"
    assert result.score.psnr.item() > 30 and result.score.label_accuracy == 1


@pytest.mark.parametrize("step", [FedSGD(), FedSGD(max_grad_norm=1.0), FedAvg(epochs=2)], ids=str)
def test_an_update_is_the_same_to_rounding(step) -> None:
    cpu, gpu = (run(replace(EXPERIMENT, step=step, attack=IDLG(steps=1)), device=d) for d in ("cpu", "cuda"))
    for name, tensor in cpu.update.tensors.items():
        assert torch.allclose(tensor, gpu.update.tensors[name].cpu(), rtol=1e-3, atol=1e-6)
