"""What travels in ByzSecAgg, and when. See masking/messages.py for the form.

Chapter: 11.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from leaklib.aggregation.crypto.field import Elements, P
from leaklib.aggregation.crypto.primitives import KEY
from leaklib.aggregation.parts.wire import NAME, check_length

ELEMENT = 8  # bytes


class ByzPhase(IntEnum):
    """In their order. In each, the clients get what the server says and answer it."""

    ADVERTISE_KEYS = 0
    DEAL = 1
    COMBINE = 2
    COMPLAIN = 3
    DISTANCES = 4
    SUM = 5


@dataclass(frozen=True)
class Key:
    """A client's public key."""

    client: int
    sealing: bytes

    def encode(self) -> bytes:
        return struct.pack("<I", self.client) + self.sealing

    @classmethod
    def decode(cls, data: bytes) -> "Key":
        check_length(cls, data, NAME + KEY)
        return cls(*struct.unpack(f"<I{KEY}s", data))


@dataclass(frozen=True)
class Dealt:
    """The sender's shares for one holder, encrypted."""

    sender: int
    recipient: int
    sealed: bytes

    def encode(self) -> bytes:
        return struct.pack("<III", self.sender, self.recipient, len(self.sealed)) + self.sealed

    @classmethod
    def decode(cls, data: bytes) -> "Dealt":
        if len(data) < 3 * NAME:
            check_length(cls, data, 3 * NAME)
        sender, recipient, size = struct.unpack_from("<III", data)
        check_length(cls, data, 3 * NAME + size)
        return cls(sender, recipient, data[3 * NAME :])


@dataclass(frozen=True)
class Coin:
    """The random number that all combinations are made with."""

    value: int

    def encode(self) -> bytes:
        return self.value.to_bytes(ELEMENT, "little")

    @classmethod
    def decode(cls, data: bytes) -> "Coin":
        check_length(cls, data, ELEMENT)
        return cls(int.from_bytes(data, "little"))


@dataclass(frozen=True)
class Names:
    """Clients: those that ``client`` complains of, or those that it is told of."""

    client: int
    names: tuple[int, ...]

    def encode(self) -> bytes:
        return struct.pack(f"<II{len(self.names)}I", self.client, len(self.names), *self.names)

    @classmethod
    def decode(cls, data: bytes) -> "Names":
        if len(data) < 2 * NAME:
            check_length(cls, data, 2 * NAME)
        client, count = struct.unpack_from("<II", data)
        check_length(cls, data, (2 + count) * NAME)
        return cls(client, struct.unpack_from(f"<{count}I", data, 2 * NAME))


@dataclass(frozen=True, eq=False)
class Numbers:
    """A client's row of field elements: its combination, or its answers."""

    client: int
    values: Elements

    def encode(self) -> bytes:
        return struct.pack("<II", self.client, len(self.values)) + to_bytes(self.values)

    @classmethod
    def decode(cls, data: bytes) -> "Numbers":
        if len(data) < 2 * NAME:
            check_length(cls, data, 2 * NAME)
        client, count = struct.unpack_from("<II", data)
        check_length(cls, data, 2 * NAME + count * ELEMENT)
        return cls(client, from_bytes(data[2 * NAME :]))


def to_bytes(values: Elements) -> bytes:
    """8 bytes for each element."""
    return values.astype("<u8").tobytes()


def from_bytes(data: bytes) -> Elements:
    """The elements. ValueError for what is none."""
    values = np.frombuffer(data, "<u8").astype(np.uint64)
    if (values >= P).any():
        raise ValueError("got a number of 2^61 − 1 or more: no element of the field, refused")
    return values
