"""What clients and server send each other, as it travels: every message is bytes, and is read from bytes.

Numbers are little-endian, clients are named by 4 bytes. A message that is not as long as it says is refused.
Chapter: 10.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from leaklib.aggregation.crypto.fixed_point import Words
from leaklib.aggregation.crypto.primitives import KEY
from leaklib.aggregation.crypto.shamir import SHARE
from leaklib.aggregation.parts.wire import NAME, check_length

SIGNATURE = 64
SEALED = 28 + 2 * SHARE  # two shares, encrypted


class Phase(IntEnum):
    """In their order. In each, the clients send to the server, and the server's answer opens the next."""

    ADVERTISE_KEYS = 0
    SHARE_KEYS = 1
    MASKED_INPUT = 2
    CONSISTENCY_CHECK = 3
    UNMASK = 4


@dataclass(frozen=True)
class Drop:
    """A client that is never heard of again from some phase on."""

    client: int
    before: Phase = Phase.MASKED_INPUT


@dataclass(frozen=True)
class Keys:
    """A client's two public keys: to seal messages, and to agree on masks. Signed in the active variant."""

    client: int
    sealing: bytes
    masking: bytes
    signature: bytes = b""

    def encode(self) -> bytes:
        return struct.pack("<I", self.client) + self.sealing + self.masking + self.signature

    @classmethod
    def decode(cls, data: bytes) -> "Keys":
        check_length(cls, data, NAME + 2 * KEY, NAME + 2 * KEY + SIGNATURE)
        client, sealing, masking = struct.unpack_from(f"<I{KEY}s{KEY}s", data)
        return cls(client, sealing, masking, data[NAME + 2 * KEY :])


@dataclass(frozen=True)
class SealedShares:
    """The sender's share of its seed and of its masking key that are meant for one neighbor, encrypted."""

    sender: int
    recipient: int
    sealed: bytes

    def encode(self) -> bytes:
        return struct.pack("<II", self.sender, self.recipient) + self.sealed

    @classmethod
    def decode(cls, data: bytes) -> "SealedShares":
        check_length(cls, data, 2 * NAME + SEALED)
        return cls(*struct.unpack(f"<II{SEALED}s", data))


@dataclass(frozen=True, eq=False)
class Masked:
    """A client's update under its masks. Each word takes as many bytes as ``bits`` need."""

    client: int
    words: Words
    bits: int = 32

    def encode(self) -> bytes:
        width = -(-self.bits // 8)
        octets = np.ascontiguousarray(self.words, "<u4").view(np.uint8).reshape(-1, 4)[:, :width]
        return struct.pack("<III", self.client, len(self.words), self.bits) + octets.tobytes()

    @classmethod
    def decode(cls, data: bytes) -> "Masked":
        if len(data) < 3 * NAME:
            check_length(cls, data, 3 * NAME)
        client, entries, bits = struct.unpack_from("<III", data)
        width = -(-bits // 8)
        check_length(cls, data, 3 * NAME + entries * width)
        octets = np.zeros((entries, 4), np.uint8)
        octets[:, :width] = np.frombuffer(data, np.uint8, offset=3 * NAME).reshape(entries, width)
        return cls(client, octets.view("<u4").reshape(-1).astype(np.uint32, copy=False), bits)


@dataclass(frozen=True)
class Survivors:
    """What the server tells a client of its neighborhood: whose update came, and whose did not."""

    alive: tuple[int, ...]
    dead: tuple[int, ...]

    def encode(self) -> bytes:
        names = (*self.alive, *self.dead)
        return struct.pack(f"<II{len(names)}I", len(self.alive), len(self.dead), *names)

    @classmethod
    def decode(cls, data: bytes) -> "Survivors":
        if len(data) < 2 * NAME:
            check_length(cls, data, 2 * NAME)
        alive, dead = struct.unpack_from("<II", data)
        check_length(cls, data, (2 + alive + dead) * NAME)
        names = struct.unpack_from(f"<{alive + dead}I", data, 2 * NAME)
        return cls(names[:alive], names[alive:])


@dataclass(frozen=True)
class Signature:
    """A client's signature on the survivors that it was told of."""

    client: int
    signature: bytes

    def encode(self) -> bytes:
        return struct.pack("<I", self.client) + self.signature

    @classmethod
    def decode(cls, data: bytes) -> "Signature":
        check_length(cls, data, NAME + SIGNATURE)
        return cls(*struct.unpack(f"<I{SIGNATURE}s", data))


@dataclass(frozen=True)
class Revealed:
    """The shares that a client holds: of ``seeds`` of the living, and of masking ``keys`` of the dead."""

    client: int
    seeds: dict[int, int] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        shares = (*self.seeds.items(), *self.keys.items())
        head = struct.pack("<III", self.client, len(self.seeds), len(self.keys))
        return head + b"".join(
            struct.pack("<I", owner) + share.to_bytes(SHARE, "big") for owner, share in shares
        )

    @classmethod
    def decode(cls, data: bytes) -> "Revealed":
        if len(data) < 3 * NAME:
            check_length(cls, data, 3 * NAME)
        client, seeds, keys = struct.unpack_from("<III", data)
        check_length(cls, data, 3 * NAME + (seeds + keys) * (NAME + SHARE))
        entries = struct.iter_unpack(f"<I{SHARE}s", data[3 * NAME :])
        shares = [(owner, int.from_bytes(share, "big")) for owner, share in entries]
        return cls(client, dict(shares[:seeds]), dict(shares[seeds:]))
