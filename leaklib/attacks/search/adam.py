"""Adam as attacks on pictures use it: a step size that falls over a fixed number of steps, and a box.

Source: Kingma, Ba, "Adam", ICLR 2015, PyTorch's; the sign of the gradient and the projection on the range of
pictures as in the code released with Geiping et al., "Inverting Gradients", NeurIPS 2020. Differs: the step
size falls geometrically to a thousandth instead of three times by ten, and Adam's ε is next to nothing. Its
usual 1e-8 is an absolute threshold: where the distance of gray is 1e-6, gradients per pixel are below it.
Chapter: 5.
"""

import torch
from torch import Tensor
from torch.optim import Adam

FALL = 1e-3  # the last step size as a share of the first
EPS = 1e-20  # keeps 0 / 0 away and nothing else


class BoxedAdam(Adam):
    """Adam on one flat parameter in [0, 1], to be run for ``steps`` steps.

    With ``signed`` it sees only the signs of the gradient, so that flat parts of the picture move as fast as
    those to which the update is sensitive.
    """

    def __init__(self, point: Tensor, *, lr: float, steps: int, signed: bool) -> None:
        super().__init__([point], lr=lr, eps=EPS)
        self.point, self.fall, self.signed = point, FALL ** (1 / steps), signed

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step, back into the box, and a smaller step size for the next."""
        assert self.point.grad is not None
        if self.signed:
            self.point.grad = self.point.grad.sign()
        super().step()
        self.point.clamp_(0, 1)
        self.param_groups[0]["lr"] *= self.fall
