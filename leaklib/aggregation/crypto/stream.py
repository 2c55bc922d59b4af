"""Randomness that one party has for itself: nobody else in the round can reach it, and no message depends on
it but through what the party sends.

    bytes of a stream = ChaCha20 under a key of 32 bytes

The key comes from the operating system. For teaching it comes from a seed instead, so that a round can be
played again: then whoever knows the seed knows every secret.

Source: RFC 8439 for ChaCha20.
Chapter: 11.
"""

import os
from collections.abc import Hashable, Iterable
from hashlib import sha256
from typing import TypeVar

import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

Who = TypeVar("Who", bound=Hashable)
KEY = 32  # bytes
SESSION = 16  # bytes of a round's name


class Stream:
    """Uniform bytes, drawn one after the other: secret without a ``seed``, the same each time with one."""

    def __init__(self, *seed: object) -> None:
        key = sha256(repr(seed).encode()).digest() if seed else os.urandom(KEY)
        self._cipher = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()

    def bytes(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        return self._cipher.update(bytes(count))


def streams(parties: Iterable[Who], generator: torch.Generator | None) -> dict[Who, Stream]:
    """A stream for each of ``parties``: of the operating system's randomness, or taught by ``generator``."""
    if generator is None:
        return {party: Stream() for party in parties}
    seed = torch.randint(256, (KEY,), generator=generator, dtype=torch.uint8).numpy().tobytes()
    return {party: Stream(seed, party) for party in parties}


def session_name(generator: torch.Generator | None) -> bytes:
    """16 bytes that name a round, and are public.

    A round that is taught has the name zero: a name drawn from its seed would give the seed away, and with
    it every secret.
    """
    return os.urandom(SESSION) if generator is None else bytes(SESSION)
