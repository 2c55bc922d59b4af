"""Fine-tuning with adapters: a network stays as it is, and a product of two thin matrices is trained on top.

A linear layer W (out×in) becomes W + (α/r) B A with A (``down``, r×in) and B (``up``, out×r), and the client
sends the gradients of A and B alone. With G = ∂ℓ/∂W, what it would have sent without adapters, they are

    ∂ℓ/∂B = (α/r) G Aᵀ        ∂ℓ/∂A = (α/r) Bᵀ G :

two sketches of G, one from each side. B starts at zero, so the first gradient of A is zero.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022. Differs: all linear layers
of the blocks by default (the paper adapts queries and values); no dropout.
Chapter: 7.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from leaklib.fields import Checked, Count, FinitePositive, Range
from leaklib.models.transformer import TinyTransformer, Transformer
from leaklib.rng import generator

LINEAR = ("query", "key", "value", "merge", "expand", "contract")
"""The linear layers of a transformer's block."""


class Adapted(nn.Module):
    """A frozen linear layer plus ``scale`` · up · down, for inputs (…, in) and outputs (…, out)."""

    def __init__(self, layer: nn.Linear, down: Float[Tensor, "rank in"], scale: float) -> None:
        super().__init__()
        self.weight, self.bias, self.scale = layer.weight, layer.bias, scale
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(down.new_zeros(layer.out_features, len(down)))

    def forward(self, inputs: Float[Tensor, "*n in"]) -> Float[Tensor, "*n out"]:
        frozen = linear(inputs, self.weight, self.bias)
        return frozen + self.scale * linear(linear(inputs, self.down), self.up)


@dataclass(frozen=True)
class Lora(Checked):
    """``base``, all of it frozen, with an adapter of this ``rank`` at each of ``layers`` of each block.

    ``alpha`` over ``rank`` scales what an adapter adds. Other weights for the base, such as trained ones, go
    in with ``load_state_dict(weights, strict=False)``.
    """

    base: TinyTransformer
    rank: Count = 8
    alpha: FinitePositive = 8
    layers: Annotated[
        tuple[str, ...],
        Range(f"some of {', '.join(LINEAR)}", lambda names: bool(names) and set(names) <= set(LINEAR)),
    ] = LINEAR

    def build(self, seed: int) -> Transformer:
        """``base.build(seed)`` with adapters: A drawn from a Gaussian of variance 1/in, B zero."""
        model, draw = self.base.build(seed).requires_grad_(False), generator(seed, "adapters")
        for index in range(len(model.blocks)):
            for name in self.layers:
                layer = getattr(model.block(index), name)
                down = torch.randn(self.rank, layer.in_features, generator=draw) / layer.in_features**0.5
                setattr(model.block(index), name, Adapted(layer, down, self.alpha / self.rank))
        return model
