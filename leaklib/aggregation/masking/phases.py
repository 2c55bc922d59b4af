"""The phases of secure aggregation, and who is still there in each.

Chapters: 11, 13, 14.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from leaklib.fields import Range


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


def _from_zero(dropped: tuple[int | Drop, ...]) -> bool:
    return all((drop.client if isinstance(drop, Drop) else drop) >= 0 for drop in dropped)


Dropped = Annotated[tuple[int | Drop, ...], Range("client numbers from 0 or Drops of them", _from_zero)]
"""A client given by its number alone deals its shares and then sends no update."""


def present(clients: Collection[int], dropped: Collection[Drop], phase: Phase) -> list[int]:
    """Who is still there in ``phase``."""
    gone = {drop.client for drop in dropped if drop.before <= phase}
    return [client for client in clients if client not in gone]


def check_fraction(fraction_bits: int, bits: int) -> None:
    """ValueError unless words of ``bits`` bits can hold so many after the point."""
    if not 0 <= fraction_bits < bits:
        raise ValueError(f"fraction_bits must be in 0..{bits - 1}, got {fraction_bits}")
