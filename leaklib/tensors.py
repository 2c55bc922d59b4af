"""All tensors of an update as one vector, and back."""

import torch
from jaxtyping import Float
from torch import Tensor

from leaklib.types import Tensors


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
