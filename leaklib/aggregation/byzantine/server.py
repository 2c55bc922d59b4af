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
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.parts.party import Inbox

Squares = tuple[tuple[int, ...], ...]


class ByzServer:
    """Follows the protocol, and is curious. Takes each message once, and from members only."""

    def __init__(self, rules: ByzRules, *, stream: Stream) -> None:
        self.rules, self._stream = rules, stream
        members, pairs = rules.members, frozenset(permutations(rules.members, 2))
        self.keys: Inbox[Key] = Inbox(members)
        self.dealt: Inbox[Dealt] = Inbox(pairs, "sender", "recipient")
        self.combinations: Inbox[Numbers] = Inbox(members)
        self.complaints: Inbox[Names] = Inbox(members)
        self.answers: Inbox[Numbers] = Inbox(members)
        self.sums: Inbox[Numbers] = Inbox(members)
        self.liars: set[int] = set()

    def keys_for(self, client: int) -> list[Key]:
        """All others' public keys."""
        return [key for key in self.keys.values() if key.client != client]

    def shares_for(self, client: int) -> list[Dealt]:
        """What was dealt to it."""
        return [message for message in self.dealt.values() if message.recipient == client]

    def draw_coin(self) -> Coin:
        """Drawn once all shares have arrived: no dealer can change them any more."""
        return Coin(draw_coin(stream=self._stream))

    def accepted(self) -> tuple[int, ...]:
        """The dealers of whom at most A holders complain: so many may be lying.

        A holder that has a bad share of an accepted dealer counts among the A whose answers are wrong. To
        have it right, the dealer would have to publish the shares of those who complain.
        """
        against = [name for message in self.complaints.values() for name in set(message.names)]
        return tuple(n for n in self.rules.members if against.count(n) <= self.rules.byzantine)

    def distances(self) -> Squares:
        """Squared distances between all accepted dealers, as integers of their vectors."""
        n = len(self.accepted())
        coefficients = self._decoded(self.answers, n * (n - 1) // 2, self.rules.product_terms)
        upper = np.zeros((n, n), np.uint64)
        upper[np.triu_indices(n, 1)] = coefficients[self.rules.blocks - 1]
        return tuple(map(tuple, (upper + upper.T).tolist()))

    def select(self, distances: Squares) -> tuple[int, ...]:
        """The clients that multi-Krum keeps."""
        accepted, squares = self.accepted(), torch.tensor(distances, dtype=torch.float64)
        return tuple(accepted[i] for i in multi_krum(squares, self.rules.byzantine, self.rules.selected))

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
        coefficients, wrong = correct(points, values, terms, self.rules.byzantine, stream=self._stream)
        self.liars |= {holders[i] for i in wrong}
        return coefficients
