"""Where all randomness begins: one seed per experiment, one independent stream per role.

The stream of a role is derived from (seed, role name), so that adding a random number to one role never
shifts those of another, and the global state of torch, numpy and Python is never touched.
"""

import hashlib
import secrets

import torch

from leaklib.types import Tensors


def generator(seed: int, role: str) -> torch.Generator:
    """A CPU generator for ``role``. Draw on the CPU, then move: the numbers are the same on every device."""
    digest = hashlib.sha256(f"{seed}/{role}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def given(source: torch.Generator | None, role: str) -> torch.Generator:
    """``source``, or seed 0's generator for ``role`` where there is none: the same results twice."""
    return generator(0, role) if source is None else source


def drawn(source: torch.Generator | None) -> torch.Generator:
    """``source``, or a generator that the operating system seeds: for chance that is no secret."""
    return torch.Generator().manual_seed(secrets.randbits(63)) if source is None else source


def add_noise(tensors: Tensors, std: float | int, *, generator: torch.Generator) -> Tensors:
    """Each entry plus its own draw from N(0, std²), on whatever device the tensors are."""
    return {
        name: tensor
        + std * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).to(tensor.device)
        for name, tensor in tensors.items()
    }
