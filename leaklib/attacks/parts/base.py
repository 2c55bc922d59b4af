"""What every attack starts from: its base, and one sentence each for what cannot be attacked."""

import torch
from torch import Tensor, nn

from leaklib.client import FedAvg, FedSGD
from leaklib.fields import Checked
from leaklib.named import listed, trained
from leaklib.rng import given
from leaklib.types import Callback, Reconstruction, Update


class AttackBase(Checked):
    """An attack is a frozen dataclass on top of this one: the ranges of its fields, and ``reconstruct``."""

    def __call__(
        self,
        model: nn.Module,
        update: Update,
        *,
        generator: torch.Generator | None = None,
        callback: Callback | None = None,
    ) -> Reconstruction:
        check_update(model, update)
        return self.reconstruct(model, update, given(generator, "attack"), callback)

    def reconstruct(
        self, model: nn.Module, update: Update, generator: torch.Generator, callback: Callback | None, /
    ) -> Reconstruction:
        """The attack itself, on an update that fits the model. A closed form ignores the last two."""
        raise NotImplementedError(f"{type(self).__name__} is an attack without reconstruct: give it one")


def check_update(model: nn.Module, update: Update) -> None:
    """Raise ValueError unless ``update`` is finite, not all zero, and fits the trained weights."""
    weights = trained(model)
    if missing := weights.keys() - update.tensors.keys():
        raise ValueError(
            f"the update lacks {listed(missing)}: it must hold one tensor for each of the model's weights "
            f"that is not frozen"
        )
    if extra := update.tensors.keys() - weights.keys():
        raise ValueError(
            f"the update holds {listed(extra)}, which the model does not have or has frozen: is it another "
            f"model's, or is requires_grad not as the client had it?"
        )
    for name, weight in weights.items():
        tensor = update.tensors[name]
        if tensor.shape != weight.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} in the update, the model has {tuple(weight.shape)}"
            )
        if tensor.device != weight.device:
            raise ValueError(
                f"{name} is on {tensor.device} in the update and on {weight.device} in the model: move one"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinite entries in the update: no example explains that")
    if not any(tensor.any() for tensor in update.tensors.values()):
        raise ValueError("the update is zero everywhere: it says nothing about the examples")


def layer_gradients(attack: str, update: Update, layer: str) -> list[Tensor]:
    """The gradients of a layer's weight and bias. ValueError if one of them is frozen."""
    names = [f"{layer}.weight", f"{layer}.bias"]
    if frozen := set(names) - update.tensors.keys():
        raise ValueError(f"{attack} needs the gradient of {listed(frozen)}, which is frozen in the model")
    return [update.tensors[name] for name in names]


def check_single(attack: str, update: Update) -> None:
    """Raise ValueError unless ``update`` comes from one example."""
    if update.num_examples != 1:
        raise ValueError(f"{attack} needs an update from 1 example, got one from {update.num_examples}")


def check_uncompressed(attack: str, update: Update) -> None:
    """Raise ValueError if a mechanism changed the update after the client had computed it."""
    if update.mechanism is not None:
        raise ValueError(
            f"{attack} needs every entry as the client computed it, got an update sent through "
            f"{update.mechanism}: use an attack that matches, such as InvertingGradients, or "
            f"Naive({attack}()), which takes the entries for what they are not"
        )


def steps_and_scale(attack: str, update: Update) -> tuple[int, float]:
    """How many local steps the client took, and what the update is to be divided by to be a mean gradient.

    With several steps that is an approximation, as if the weights had stood still. ValueError for steps that
    clip, or that are neither FedSGD nor FedAvg.
    """
    match update.step:
        case FedSGD(max_grad_norm=None):
            return 1, 1.0
        case FedAvg(lr=lr, epochs=epochs, batch_size=size):
            steps = epochs * -(-update.num_examples // (size or update.num_examples))
            return steps, lr * steps
    raise ValueError(f"{attack} needs updates from FedAvg or from FedSGD without clipping, got {update.step}")
