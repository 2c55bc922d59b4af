"""What travels in ByzSecAgg, and when. See parts/codec.py for the form.

Chapters: 13, 14.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from leaklib.aggregation.crypto.field import ELEMENT, Elements, from_bytes, to_bytes
from leaklib.aggregation.crypto.primitives import KEY
from leaklib.aggregation.parts.codec import Message, Name, NameRow, Row

NONCE = 16  # bytes that a client adds to the coins
HASH = 32  # bytes of SHA-256


def _cutter(size: int) -> Row:
    """A row of byte strings of one ``size``."""
    return Row(size, b"".join, lambda data: tuple(data[i : i + size] for i in range(0, len(data), size)))


class ByzPhase(IntEnum):
    """In their order. In each, the clients get what the server says and answer it."""

    ADVERTISE_KEYS = 0
    DEAL = 1
    PROVE = 2
    COMBINE = 3
    COMPLAIN = 4
    DISTANCES = 5
    ECHO = 6
    SUM = 7


@dataclass(frozen=True)
class Keys(Message):
    """A client's public keys: one to deal with, and for each other member, in order, one to receive with."""

    client: Name
    sending: Annotated[bytes, f"{KEY}s"]
    receiving: Annotated[tuple[bytes, ...], _cutter(KEY)]


@dataclass(frozen=True)
class Commitment(Message):
    """The hashes of the server's part of both coins, sent before anyone deals."""

    first: Annotated[bytes, f"{HASH}s"]
    second: Annotated[bytes, f"{HASH}s"]


@dataclass(frozen=True)
class Dealt(Message):
    """What the sender has for one holder, encrypted: shares, or which lists it was told."""

    sender: Name
    recipient: Name
    sealed: Annotated[bytes, Row(1, bytes, bytes)]


@dataclass(frozen=True)
class Nonce(Message):
    """A client's part of the coins."""

    client: Name
    nonce: Annotated[bytes, f"{NONCE}s"]


@dataclass(frozen=True)
class Reveal(Message):
    """All that a coin is made of: the server's part, and the clients' in the order of their names."""

    secret: Annotated[bytes, f"{KEY}s"]
    clients: NameRow
    nonces: Annotated[tuple[bytes, ...], _cutter(NONCE)]


@dataclass(frozen=True)
class Complaint(Message):
    """The dealers that ``client`` accuses, and the secrets of the keys at which it received from them."""

    client: Name
    dealers: NameRow
    secrets: Annotated[tuple[bytes, ...], _cutter(KEY)]


@dataclass(frozen=True)
class Names(Message):
    """Clients that ``client`` is told of."""

    client: Name
    names: NameRow


@dataclass(frozen=True, eq=False)
class Numbers(Message):
    """A client's row of field elements: its combination, or its answers."""

    client: Name
    values: Annotated[Elements, Row(ELEMENT, to_bytes, from_bytes)]
