"""Error signals δ = p − onehot(y): a client step that takes them as given, and where a search begins.

Chapters: 6, 8, 9.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from leaklib.client import FedAvg, FedSGD
from leaklib.types import AnyInputs, AnyTargets, Labels, Tensors, Update

TINY = 1e-12  # the smallest probability that a start gives
LEAST = 1e-2  # of the largest signal: where the others hide that of an example, it starts from this share


def along(logits: Tensor, signal: Tensor) -> Tensor:
    """⟨signal, logits⟩, the mean over examples: a loss whose gradient in the logits is the signal."""
    return (signal * logits).sum(1).mean()


@dataclass(frozen=True)
class SignalStep:
    """``step`` with the error signals given, N×epochs×classes: one for each time that an example is met."""

    step: FedSGD | FedAvg

    def __call__(
        self, model: nn.Module, inputs: AnyInputs, labels: AnyTargets, *, lanes: bool = False
    ) -> Tensors:
        examples = 1 if lanes else 0
        signals = labels.transpose(examples, examples + 1).flatten(examples, examples + 1)
        if isinstance(self.step, FedSGD):
            return FedSGD(loss=along)(model, inputs, signals, lanes=lanes)
        # An example that is met in several epochs is that many examples of one, each with its own signal.
        size = self.step.batch_size or inputs.shape[examples]
        inputs = torch.cat([inputs] * self.step.epochs, examples)
        once = FedAvg(lr=self.step.lr, batch_size=size, loss=along)
        return once(model, inputs, signals, lanes=lanes)


@dataclass(frozen=True)
class Free:
    """Signals softmax(u) − onehot(y), with one u for each example and epoch, beginning at ``start``."""

    classes: Labels
    start: Float[Tensor, "examples epochs classes"]

    @property
    def unknowns(self) -> int:
        return self.start.numel()

    def draw(self, generator: torch.Generator) -> Tensor:
        return self.start.flatten().cpu()  # where all starts are drawn, whatever the device

    def given(self, unknowns: Tensor) -> Tensor:
        hot = one_hot(self.classes, self.start.shape[-1]).to(unknowns)
        return unknowns.reshape(len(unknowns), *self.start.shape).softmax(-1) - hot[:, None]

    def neutral(self) -> Tensor:
        return self.given(self.start.flatten()[None])[0]

    def labels(self, unknowns: Tensor) -> Labels:
        return self.classes


def unclipped(update: Update) -> FedSGD | FedAvg:
    """The client's step without clipping, which of a single example only makes the signal smaller."""
    match update.step:
        case FedSGD() if update.num_examples == 1 or update.step.max_grad_norm is None:
            return FedSGD()
        case FedAvg(batch_size=size) if size is None or update.num_examples % size == 0:
            return update.step
    raise ValueError(
        f"SignalMatching needs updates from FedSGD, clipped only where they come from one example, or from "
        f"FedAvg with mini-batches of one size, got {update.num_examples} examples and {update.step}"
    )


def shared_out(mean: Float[Tensor, "classes"], labels: Labels) -> Float[Tensor, "examples classes"]:
    """Signals of examples with these ``labels``, whose mean is near ``mean``: where a search can begin.

    The examples of a class share its negative entry evenly; where there is none, they get the share LEAST
    of the largest. What each is short of is spread over the other classes as the positive entries are. Of a
    mean of zeros nothing can be said: signals of a network to which all classes are alike.
    """
    total, counts = len(labels) * mean, torch.bincount(labels, minlength=len(mean))
    hot = one_hot(labels, len(mean)).to(mean)
    if not total.any():  # a mechanism left nothing of them
        return 1 / len(mean) - hot
    wanted = -total / counts.clamp_min(1)
    sizes = wanted[labels].clamp(min=LEAST * wanted[labels].abs().max().item(), max=1 - TINY)
    other = (total.clamp_min(0) + LEAST * total.abs().mean())[None] * (1 - hot)
    return sizes[:, None] * (other / other.sum(1, keepdim=True) - hot)
