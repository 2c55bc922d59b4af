"""Tensors by parameter name: from whatever order and container someone's own come in, to one vector and back.

Frozen parameters (``requires_grad`` False) take no part in an update, and tied ones count once, under the
first of their names in ``model.named_parameters()``.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import torch
from jaxtyping import Float
from torch import Tensor, nn

Tensors = dict[str, Tensor]
"""One tensor per trained parameter, under the parameter's name in ``model.named_parameters()``."""

Gradients = Mapping[str, Tensor | None] | Sequence[Tensor | None]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that an update has a tensor for, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def fingerprint(model: nn.Module) -> bytes:
    """SHA-256 of a model's weights and buffers with their names, shapes and types: 32 bytes."""
    digest = sha256()
    for name, tensor in model.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)};".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def by_name(model: nn.Module, gradients: Gradients | None) -> Tensors:
    """A copy of the gradient of each trained parameter: see ``Update.from_gradients``."""
    every, ours = dict(model.named_parameters(remove_duplicate=False)), trained(model)
    if gradients is None:
        gradients = {name: weight.grad for name, weight in ours.items()}
    if not isinstance(gradients, Mapping):
        gradients = dict(zip(_order(model, len(gradients)), gradients, strict=True))
    given = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    if unknown := given.keys() - every.keys():
        raise ValueError(f"the model has no parameter {listed(unknown)}: are the gradients another model's?")
    if odd := [name for name, tensor in given.items() if not every[name].requires_grad and tensor.any()]:
        raise ValueError(
            f"{listed(odd)} is frozen in the model and has a gradient: set requires_grad as the client had it"
        )
    # By parameter instead of by name, since a tied one has several names.
    of = {every[name]: tensor.detach().clone() for name, tensor in given.items()}
    if missing := [name for name, weight in ours.items() if weight not in of]:
        raise ValueError(
            f"there is no gradient of {listed(missing)}: call backward() or hand it over, or freeze it with "
            f"requires_grad_(False) if the client did not train it or the loss does not use it"
        )
    return {name: of[weight] for name, weight in ours.items()}


def _order(model: nn.Module, length: int) -> list[str]:
    """The names that belong to a list of ``length`` gradients."""
    orders = [name for name, _ in model.named_parameters()], list(trained(model))
    for names in orders:
        if len(names) == length:
            return names
    raise ValueError(
        f"expected {len(orders[0])} gradients in the order of model.parameters(), or the {len(orders[1])} "
        f"that are not frozen, got {length}"
    )


def moved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Tensors:
    """Before minus after, of what was trained: see ``Update.from_weights``."""
    if odd := before.keys() ^ after.keys():
        raise ValueError(f"before and after must hold the same names, only one of them has {listed(odd)}")
    found: Tensors = {}
    for name, old in before.items():
        buffer = not old.is_floating_point() or name.endswith(("running_mean", "running_var"))
        twins = (torch.equal(old, before[n]) and torch.equal(after[name], after[n]) for n in found)
        if not buffer and not torch.equal(old, after[name]) and not any(twins):
            found[name] = old.detach() - after[name].detach()
    if not found:
        raise ValueError("before and after hold the same weights, so there is no update")
    return found


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names for a sentence, in order, and not more than one can read."""
    names = sorted(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def flatten(tensors: Tensors) -> Float[Tensor, "entries"]:
    """All entries in a row, tensor after tensor in their own order. Of several float types the widest."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()])


def unflatten(values: Float[Tensor, "entries"], like: Tensors) -> Tensors:
    """What ``flatten`` made a row of, with the names, shapes, float types and devices of ``like``."""
    parts = values.split([tensor.numel() for tensor in like.values()])
    return {
        name: part.view(tensor.shape).to(tensor)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }
