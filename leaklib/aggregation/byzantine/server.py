"""The server of ByzSecAgg: what it collects, decodes and decides.

Source and differences: see client.py.
Chapter: 11.
"""

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import torch

from leaklib.aggregation.byzantine.client import ByzRules, Integers
from leaklib.aggregation.byzantine.consistency import draw_coin
from leaklib.aggregation.byzantine.krum import multi_krum
from leaklib.aggregation.byzantine.messages import Coin, Dealt, Key, Names, Numbers
from leaklib.aggregation.crypto.decode import correct
from leaklib.aggregation.crypto.field import Elements, signed
from leaklib.aggregation.crypto.ramp import point
from leaklib.aggregation.parts.party import put


class ByzServer:
    """Follows the protocol, and is curious. ValueError for messages from strangers or that came twice."""

    def __init__(self, rules: ByzRules, *, generator: torch.Generator) -> None:
        self.rules, self._generator = rules, generator
        self.keys: dict[int, Key] = {}
        self.dealt: dict[tuple[int, int], Dealt] = {}
        self.combinations: dict[int, Numbers] = {}
        self.complaints: dict[int, Names] = {}
        self.answers: dict[int, Numbers] = {}
        self.sums: dict[int, Numbers] = {}
        self.liars: set[int] = set()
        self.pairs = frozenset(permutations(rules.members, 2))

    def receive_key(self, key: Key) -> None:
        """A member's public key."""
        put(self.keys, key.client, key, self.rules.members)

    def keys_for(self, client: int) -> list[Key]:
        """All others' public keys."""
        return [key for key in self.keys.values() if key.client != client]

    def receive_shares(self, message: Dealt) -> None:
        """What one member deals to another."""
        put(self.dealt, (message.sender, message.recipient), message, self.pairs)

    def shares_for(self, client: int) -> list[Dealt]:
        """What was dealt to it."""
        return [message for message in self.dealt.values() if message.recipient == client]

    def draw_coin(self) -> Coin:
        """Drawn once all shares have arrived: no dealer can change them any more."""
        return Coin(draw_coin(generator=self._generator))

    def receive_combination(self, message: Numbers) -> None:
        """What a dealer publishes of its sharings."""
        put(self.combinations, message.client, message, self.rules.members)

    def receive_complaints(self, message: Names) -> None:
        """The dealers whose shares a holder found wrong."""
        put(self.complaints, message.client, message, self.rules.members)

    def accepted(self) -> tuple[int, ...]:
        """The dealers of whom at most A holders complain: so many may be lying.

        A holder that has a bad share of an accepted dealer counts among the A whose answers are wrong. To
        have it right, the dealer would have to publish the shares of those who complain.
        """
        against = [name for message in self.complaints.values() for name in set(message.names)]
        return tuple(n for n in self.rules.members if against.count(n) <= self.rules.byzantine)

    def receive_distances(self, message: Numbers) -> None:
        """A holder's values for all pairs."""
        put(self.answers, message.client, message, self.rules.members)

    def distances(self) -> tuple[tuple[int, ...], ...]:
        """Squared distances between all accepted dealers, as integers of their vectors."""
        n = len(self.accepted())
        coefficients = self._decoded(self.answers, n * (n - 1) // 2, self.rules.product_terms)
        found = [[0] * n for _ in range(n)]
        for a, b, square in zip(*np.triu_indices(n, 1), coefficients[self.rules.blocks - 1], strict=True):
            found[a][b] = found[b][a] = int(square)
        return tuple(map(tuple, found))

    def select(self, distances: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
        """The clients that multi-Krum keeps."""
        accepted, squares = self.accepted(), torch.tensor(distances, dtype=torch.float64)
        return tuple(accepted[i] for i in multi_krum(squares, self.rules.byzantine, self.rules.selected))

    def receive_sum(self, message: Numbers) -> None:
        """A holder's values for the sum."""
        put(self.sums, message.client, message, self.rules.members)

    def sum(self, entries: int) -> Integers:
        """The sum of the selected vectors, integers."""
        coefficients = self._decoded(self.sums, -(-entries // self.rules.blocks), self.rules.terms)
        return signed(coefficients[: self.rules.blocks].reshape(-1)[:entries])

    def _decoded(self, answers: Mapping[int, Numbers], entries: int, terms: int) -> Elements:
        """Coefficients through the holders' answers; an answer of another length is wrong everywhere."""
        holders = [holder for holder, answer in answers.items() if len(answer.values) == entries]
        self.liars |= answers.keys() - set(holders)
        points = [point(self.rules.members.index(holder)) for holder in holders]
        values = np.stack([answers[holder].values for holder in holders])
        coefficients, wrong = correct(points, values, terms, self.rules.byzantine, generator=self._generator)
        self.liars |= {holders[i] for i in wrong}
        return coefficients
