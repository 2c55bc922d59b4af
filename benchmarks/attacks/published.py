"""DLG as its authors released it: PyTorch's L-BFGS, start N(0, 1), plain sum of squares. The label is known.

Source: the repository mit-han-lab/dlg (Zhu, Liu, Han, NeurIPS 2019). Differs: the label is given instead of
optimised along, and the run can be watched.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from leaklib.types import Update

OUTER = 300  # steps of 20 evaluations


def as_published(
    model: nn.Module,
    update: Update,
    *,
    generator: torch.Generator,
    look: Callable[[Tensor], bool | None],
    steps: int = OUTER,
) -> Tensor:
    """The last guess after ``steps`` outer steps. ``look`` sees every guess; its True ends the run soon."""
    assert update.labels is not None
    labels, observed = update.labels, list(update.tensors.values())
    guess = torch.randn(1, *update.input_shape, generator=generator).to(labels.device).requires_grad_()
    optimizer = torch.optim.LBFGS([guess], lr=1)
    stop = False

    def closure() -> Tensor:
        nonlocal stop
        loss = cross_entropy(model(guess), labels)
        candidate = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        squares = (((c - o) ** 2).sum() for c, o in zip(candidate, observed, strict=True))
        distance = sum(squares, start=guess.new_zeros(()))
        (guess.grad,) = torch.autograd.grad(distance, guess)
        stop = bool(look(guess)) or stop
        return distance

    for _ in range(steps):
        optimizer.step(closure)
        if stop:
            break
    return guess.detach()
