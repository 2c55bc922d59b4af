"""What several tests of the page need: its engines, its seeds, weights as it takes them."""

import torch

from leaklib.rng import generator
from leaklib.widgets.inpage import ROLES

# Expressions in JavaScript, of `channels` and `examples`.
ENGINES = {
    "js": "network.plainEngine(channels, examples)",
    "wasm": "compiled.compiledEngine(await compiled.compileKernel(wasm), channels, examples)",
}


def seeds(seed: int) -> dict[str, int]:
    """Of leaklib's streams, 32 bits each."""
    return {role: generator(seed, role).initial_seed() % 2**32 for role in ROLES}


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    """In a row, in float64."""
    return torch.cat([weight.detach().double().flatten() for weight in model.parameters()])
