"""What travels in ByzSecAgg, and when. See parts/codec.py for the form.

Chapter: 11.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from leaklib.aggregation.crypto.field import ELEMENT, Elements, from_bytes, to_bytes
from leaklib.aggregation.crypto.primitives import KEY
from leaklib.aggregation.parts.codec import Message, Name, NameRow, Row


class ByzPhase(IntEnum):
    """In their order. In each, the clients get what the server says and answer it."""

    ADVERTISE_KEYS = 0
    DEAL = 1
    COMBINE = 2
    COMPLAIN = 3
    DISTANCES = 4
    SUM = 5


@dataclass(frozen=True)
class Key(Message):
    """A client's public key."""

    client: Name
    sealing: Annotated[bytes, f"{KEY}s"]


@dataclass(frozen=True)
class Dealt(Message):
    """The sender's shares for one holder, encrypted."""

    sender: Name
    recipient: Name
    sealed: Annotated[bytes, Row(1, bytes, bytes)]


@dataclass(frozen=True)
class Coin(Message):
    """The random number that all combinations are made with."""

    value: Annotated[int, "Q"]


@dataclass(frozen=True)
class Names(Message):
    """Clients: those that ``client`` complains of, or those that it is told of."""

    client: Name
    names: NameRow


@dataclass(frozen=True, eq=False)
class Numbers(Message):
    """A client's row of field elements: its combination, or its answers."""

    client: Name
    values: Annotated[Elements, Row(ELEMENT, to_bytes, from_bytes)]
