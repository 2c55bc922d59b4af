"""What clients and server send each other in secure aggregation. See parts/codec.py for the form.

Chapter: 11.
"""

import struct
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from leaklib.aggregation.crypto.fixed_point import Words
from leaklib.aggregation.crypto.primitives import KEY, SEAL
from leaklib.aggregation.crypto.shamir import SHARE
from leaklib.aggregation.parts.codec import NAME, Message, Name, NameRow, Row, check_length

SIGNATURE = 64
PUBLIC = 3 * KEY  # two public keys and a hash
SEALED = SEAL + 2 * SHARE  # two shares, encrypted


@dataclass(frozen=True)
class Keys(Message):
    """A client's public keys, to seal messages and to agree on masks, and the hash of its seed.

    The hash, SHA-256, is a commitment: nobody can find another seed that fits it. Signed in the active
    variant.
    """

    client: int
    sealing: bytes
    masking: bytes
    commitment: bytes
    signature: bytes = b""

    def encode(self) -> bytes:
        """By hand, as no number says whether there is a signature."""
        return struct.pack("<I", self.client) + self.public + self.signature

    @classmethod
    def decode(cls, data: bytes) -> "Keys":
        """ValueError for any length but those with and without signature."""
        check_length(cls, data, NAME + PUBLIC, NAME + PUBLIC + SIGNATURE)
        client, sealing, masking, commitment = struct.unpack_from(f"<I{KEY}s{KEY}s{KEY}s", data)
        return cls(client, sealing, masking, commitment, data[NAME + PUBLIC :])

    @property
    def public(self) -> bytes:
        """All that others have to know of it."""
        return self.sealing + self.masking + self.commitment


@dataclass(frozen=True)
class SealedShares(Message):
    """The sender's share of its seed and of its masking key that are meant for one neighbor, encrypted."""

    sender: Name
    recipient: Name
    sealed: Annotated[bytes, f"{SEALED}s"]


@dataclass(frozen=True, eq=False)
class Masked(Message):
    """A client's update under its masks. Each word takes as many bytes as ``bits`` need."""

    client: int
    words: Words
    bits: int = 32

    def encode(self) -> bytes:
        """By hand, as the size of a word depends on another field."""
        width = -(-self.bits // 8)
        octets = np.ascontiguousarray(self.words, "<u4").view(np.uint8).reshape(-1, 4)[:, :width]
        return struct.pack("<III", self.client, len(self.words), self.bits) + octets.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Masked":
        """ValueError for ``data`` of any other length than it says itself."""
        client, entries, bits = struct.unpack_from("<III", data.ljust(3 * NAME, b"\0"))
        width = -(-bits // 8)
        check_length(cls, data, 3 * NAME + entries * width)
        octets = np.zeros((entries, 4), np.uint8)
        octets[:, :width] = np.frombuffer(data, np.uint8, offset=3 * NAME).reshape(entries, width)
        return cls(client, octets.view("<u4").reshape(-1).astype(np.uint32, copy=False), bits)


@dataclass(frozen=True)
class Survivors(Message):
    """What the server tells a client of its neighborhood: whose update came, and whose did not."""

    alive: NameRow
    dead: NameRow


@dataclass(frozen=True)
class Signature(Message):
    """A client's signature on the survivors that it was told of."""

    client: Name
    signature: Annotated[bytes, f"{SIGNATURE}s"]


def _write(shares: dict[int, int]) -> bytes:
    return b"".join(struct.pack("<I", who) + share.to_bytes(SHARE, "big") for who, share in shares.items())


def _read(data: bytes) -> dict[int, int]:
    return {who: int.from_bytes(share, "big") for who, share in struct.iter_unpack(f"<I{SHARE}s", data)}


Shares = Annotated[dict[int, int], Row(NAME + SHARE, _write, _read)]
"""One share of each of these clients."""


@dataclass(frozen=True)
class Revealed(Message):
    """The shares that a client holds: of ``seeds`` of the living, and of masking ``keys`` of the dead."""

    client: Name
    seeds: Shares = field(default_factory=dict)
    keys: Shares = field(default_factory=dict)
