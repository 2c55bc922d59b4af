"""What all parties of a round of ByzSecAgg agree on beforehand, and what a dealer deals.

Chapters: 13, 14.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt64

from leaklib.aggregation.byzantine.consistency import Row, fits
from leaklib.aggregation.byzantine.norm import PROJECTIONS, reach, weights
from leaklib.aggregation.crypto.field import from_bytes
from leaklib.aggregation.crypto.ramp import point


@dataclass(frozen=True)
class ByzRules:
    """``members`` stand at points 1, 2, … in this order.

    They share vectors of so many ``entries``, integers whose squared length is at most ``square``.
    """

    members: tuple[int, ...]
    entries: int
    byzantine: int
    blocks: int
    colluders: int
    dropouts: int
    selected: int
    square: int
    session: bytes = b""

    @cached_property
    def terms(self) -> int:
        """Coefficients of a sharing's polynomials."""
        return self.blocks + self.colluders

    @cached_property
    def product_terms(self) -> int:
        """Coefficients of a product of two."""
        return 2 * self.terms - 1

    @cached_property
    def length(self) -> int:
        """Entries of a share, without the blind one."""
        return -(-self.entries // self.blocks)

    @cached_property
    def beta(self) -> int:
        """The largest projection."""
        return reach(self.square)

    @cached_property
    def dealt(self) -> tuple[int, ...]:
        """Numbers that a holder gets of a dealer: of both sharings, and of the masks.

        The masks are one for each pair with another member, in the dealer's own place one for its length,
        then one for the check of its length, and a blind one.
        """
        return self.length + 1, self.length + 1, len(self.members) + 2

    @cached_property
    def proof(self) -> int:
        """Numbers that a holder gets of a dealer's bits, a blind one among them."""
        return PROJECTIONS * len(weights(self.beta)) + 1

    @cached_property
    def published(self) -> tuple[int, ...]:
        """Numbers that a dealer publishes of these four: what the others show already is left out."""
        return self.terms, self.colluders, self.product_terms - 1, self.colluders + 1

    @cached_property
    def quorum(self) -> int:
        """So many members that two such groups have an honest one in common, whoever the T colluders are."""
        return (len(self.members) + self.colluders) // 2 + 1

    def point_of(self, member: int) -> int:
        """Where it holds its shares."""
        return point(self.members.index(member))


class Held(NamedTuple):
    """What one holder has of one dealer: of both sharings, of its masks, and of the bits it proves with."""

    first: Row
    second: Row
    masks: Row
    bits: Row


def read(dealt: bytes, proof: bytes, rules: ByzRules) -> Held:
    """What a dealer wrote for a holder. ValueError if it is not as long as it should be."""
    values, bits = from_bytes(dealt), from_bytes(proof)
    if (len(values), len(bits)) != (sum(rules.dealt), rules.proof):
        wanted = f"{sum(rules.dealt)} and {rules.proof} numbers"
        raise ValueError(f"expected {wanted}, got {len(values)} and {len(bits)}")
    first, second, masks = _cut(values, rules.dealt)
    return Held(first, second, masks, bits)


def conform(
    held: Sequence[Held], published: Sequence[Row], rules: ByzRules, at: int, coin: int
) -> Bool[np.ndarray, "_"]:
    """Of which dealers the shares held at the point ``at`` are those that they ``published``."""
    first, rest, masks, bits = _cut(np.stack(published), rules.published)
    # The second sharing's blocks are not sent: they must be the first one's, in reverse.
    blocks = rules.blocks
    second = np.concatenate([first[:, :blocks][:, ::-1], rest], axis=1)
    masks = np.insert(masks, blocks - 1, 0, axis=1)
    rows = [np.stack(each) for each in zip(*held, strict=True)]
    checks = [fits(*pair, at, coin) for pair in zip(rows, (first, second, masks, bits), strict=True)]
    return np.all(checks, 0)


def _cut(values: UInt64[np.ndarray, "..."], sizes: Sequence[int]) -> list[UInt64[np.ndarray, "..."]]:
    return np.split(values, np.cumsum(sizes)[:-1], axis=-1)
