"""Trains the ResNet that comes with the package, and stores its weights.

    python scripts/train_resnet.py [--steps 300] [--output leaklib/models/resnet.npz]

The task: which of the 8 photographs of ``Photos`` does this 32×32 crop come from? Takes about a minute on one
core. The same machine and PyTorch give the same file; others differ in rounding.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from leaklib.data import Photos
from leaklib.models.resnet import WEIGHTS, ResNet
from leaklib.rng import generator

BATCH = 64
TARGET = Path(__file__).parent.parent / "leaklib" / "models" / WEIGHTS


def train(steps: int) -> nn.Module:
    """A ResNet after ``steps`` steps of Adam on fresh crops, its step size falling to zero by a cosine."""
    model = ResNet().build(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    draw = generator(0, "crops")
    for step in range(steps):
        batch = Photos().crops(BATCH, generator=draw)
        optimizer.zero_grad()
        logits = model(batch.inputs)
        loss = cross_entropy(logits, batch.labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            right = (logits.argmax(1) == batch.labels).float().mean().item()
            print(f"step {step}: loss {loss.item():.3f}, {right:.0%} right", flush=True)
    return model


def accuracy(model: nn.Module) -> float:
    """Share of 2,000 fresh crops that the network assigns to the right photograph, in evaluation mode."""
    batch = Photos().crops(2000, generator=generator(1, "crops"))
    with torch.no_grad():
        return (model.eval()(batch.inputs).argmax(1) == batch.labels).float().mean().item()


def save(model: nn.Module, path: Path) -> None:
    """All weights and buffers, in float16, as an .npz that needs no pickle."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: t.half().numpy() for name, t in model.state_dict().items()})
    path.write_bytes(buffer.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--output", type=Path, default=TARGET)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = train(arguments.steps)
    save(model, arguments.output)
    print(f"accuracy on fresh crops {accuracy(model):.3f}, {arguments.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
