"""One client of ByzSecAgg: what it deals, checks and answers, and what it refuses.

Its vector is dealt twice by ramp sharing, with the blocks in both orders. Of two dealers n and m, holder i
answers with

    h(i) = (F_n − F_m)(i) · (G_n − G_m)(i) + N_nm(i) + N_mn(i),

a value of a polynomial whose coefficient of X^(K−1) is the squared distance. N_nm is drawn by dealer n for
this pair alone, with zero at X^(K−1), and hides all other coefficients. One mask N_n for all of n's pairs
would not: around a triangle of pairs N_n − N_m cancels.

Source: Jahani-Nezhad, Maddah-Ali, Caire, "ByzSecAgg: A Byzantine-Resistant Secure Aggregation Scheme for
Federated Learning Based on Coded Computing and Vector Commitment", arXiv 2302.09913. Differs: see
consistency.py; rounding is to the nearest.
Chapter: 11.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from leaklib.aggregation.byzantine.consistency import Row, combine, fits, with_blind
from leaklib.aggregation.byzantine.messages import ByzPhase, Coin, Dealt, Key, Names, Numbers
from leaklib.aggregation.crypto.field import add, dot, elements, from_bytes, sub, to_bytes, total, uniform
from leaklib.aggregation.crypto.primitives import KEY, agree, public_key
from leaklib.aggregation.crypto.ramp import cut, hidden, point, shares
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.parts.party import Party

Integers = Int64[np.ndarray, "_"]


@dataclass(frozen=True)
class ByzRules:
    """What all parties of a round agree on beforehand. ``members`` stand at points 1, 2, … in this order."""

    members: tuple[int, ...]
    byzantine: int
    blocks: int
    colluders: int
    selected: int
    session: bytes = b""

    @property
    def terms(self) -> int:
        """Coefficients of a sharing's polynomials."""
        return self.blocks + self.colluders

    @property
    def product_terms(self) -> int:
        """Coefficients of a product of two."""
        return 2 * self.terms - 1


class Held(NamedTuple):
    """What one holder has of one dealer: of both sharings, and of its masks, one for each member."""

    first: Row
    second: Row
    masks: Row


class ByzClient(Party):
    """Client ``number`` of the members. Phases are called in their order, each once.

    A bad share must not stop the round, or a single dealer could. What is damaged, not for this client, came
    twice or from a stranger does not count; ``refused`` says so, and the holder complains of who dealt it.
    ValueError where the server asks for what no client may answer.
    """

    def __init__(self, number: int, rules: ByzRules, *, stream: Stream) -> None:
        super().__init__(number, rules.session, stream=stream)
        self.rules = rules
        self._held: dict[int, Held] = {}
        self.refused: list[str] = []
        self._accepted: tuple[int, ...] = ()

    def advertise_key(self) -> Key:
        """A key pair, made new for this round."""
        self._enter(ByzPhase.ADVERTISE_KEYS)
        self._secret = self._stream.bytes(KEY)
        return Key(self.number, public_key(self._secret))

    def deal(self, vector: Integers, keys: Iterable[Key], second: Integers | None = None) -> list[Dealt]:
        """Shares of ``vector`` for every member. A cheating dealer puts another one into the ``second``."""
        self._enter(ByzPhase.DEAL)
        rules, g = self.rules, self._stream
        others = [member for member in rules.members if member != self.number]
        self._channels = {key.client: agree(self._secret, key.sealing, b"deal") for key in keys}
        if set(self._channels) != set(others):
            raise self._refusal(f"expected the keys of {others}, got {list(self._channels)}")
        blocks = with_blind(cut(elements(vector), rules.blocks), stream=g)
        reverse = blocks[::-1]
        if second is not None:
            reverse = np.column_stack([cut(elements(second), rules.blocks)[::-1], reverse[:, -1]])
        self._sharings = tuple(hidden(order, rules.colluders, stream=g) for order in (blocks, reverse))
        self._masks = uniform((rules.product_terms, len(rules.members)), stream=g)
        self._masks[rules.blocks - 1] = 0
        points = [point(place) for place in range(len(rules.members))]
        dealt = [shares(rows, points) for rows in (*self._sharings, self._masks)]
        each = {member: Held(*rows) for member, *rows in zip(rules.members, *dealt, strict=True)}
        self._held[self.number] = each[self.number]
        plain = {other: to_bytes(np.concatenate(each[other])) for other in others}
        return [Dealt(self.number, other, self._seal(other, plain[other])) for other in others]

    def combine(self, received: Iterable[Dealt], coin: Coin) -> Numbers:
        """Keep the others' shares, and publish the combinations of what was dealt, now that it is fixed."""
        self._enter(ByzPhase.COMBINE)
        for message in received:
            try:
                self._keep(message)
            except ValueError as reason:
                self.refused.append(str(reason))
        self._coin, rules = coin.value, self.rules
        first, second = (combine(rows, coin.value) for rows in self._sharings)
        masks = np.delete(combine(self._masks, coin.value), rules.blocks - 1)
        return Numbers(self.number, np.concatenate([first, second[rules.blocks :], masks]))

    def _keep(self, message: Dealt) -> None:
        sender, mine = message.sender, self._held[self.number]
        if message.recipient != self.number:
            raise self._refusal(f"got shares for client {message.recipient}")
        if sender not in self._channels or sender in self._held:
            what = "a second time" if sender in self._held else "from a stranger"
            raise self._refusal(f"got shares of client {sender} {what}")
        plain = from_bytes(self._unseal(sender, message.sealed))
        if len(plain) != sum(map(len, mine)):
            raise self._refusal(f"got shares of another length from client {sender}")
        self._held[sender] = Held(*np.split(plain, np.cumsum([len(row) for row in mine])[:-1]))

    def complain(self, combinations: Iterable[Numbers]) -> Names:
        """The dealers whose shares do not fit what they published, or of whom something is missing."""
        self._enter(ByzPhase.COMPLAIN)
        sizes = self.rules.terms, self.rules.colluders, self.rules.product_terms - 1
        published = {m.client: m.values for m in combinations if len(m.values) == sum(sizes)}
        dealers = [dealer for dealer in self.rules.members if dealer in published and dealer in self._held]
        first, rest, masks = np.split(np.stack([published[n] for n in dealers]), np.cumsum(sizes)[:2], axis=1)
        # The second sharing's blocks are not sent: they must be the first one's, in reverse.
        blocks = self.rules.blocks
        second = np.concatenate([first[:, :blocks][:, ::-1], rest], axis=1)
        masks = np.insert(masks, blocks - 1, 0, axis=1)
        held = (np.stack(rows) for rows in zip(*(self._held[dealer] for dealer in dealers), strict=True))
        own = point(self.rules.members.index(self.number))
        checks = [fits(*pair, own, self._coin) for pair in zip(held, (first, second, masks), strict=True)]
        fine = set(np.array(dealers)[np.all(checks, 0)].tolist())
        # Should such a dealer be accepted all the same, this holder's answers are among the wrong ones.
        nothing = Held(*map(np.zeros_like, self._held[self.number]))
        self._held = dict.fromkeys(self.rules.members, nothing) | self._held
        return Names(self.number, tuple(n for n in self.rules.members if n not in fine))

    def distances(self, accepted: Names) -> Numbers:
        """This holder's value of h for every pair of accepted dealers."""
        self._enter(ByzPhase.DISTANCES)
        if not set(accepted.names) <= self._held.keys():
            raise self._refusal(f"has no shares of all of {accepted.names}")
        self._accepted = accepted.names
        held = [self._held[dealer] for dealer in accepted.names]
        places = [self.rules.members.index(dealer) for dealer in accepted.names]
        # The last entry belongs to the check, not to the vector.
        first, second = (np.stack(rows)[:, :-1] for rows in list(zip(*held, strict=True))[:2])
        masks = np.stack([one.masks[places] for one in held])
        rows = []
        for n in range(len(held) - 1):
            product = dot(sub(first[n], first[n + 1 :]), sub(second[n], second[n + 1 :]))
            rows.append(add(product, add(masks[n, n + 1 :], masks[n + 1 :, n])))  # masked by both dealers
        return Numbers(self.number, np.concatenate(rows))

    def sum(self, selected: Names) -> Numbers:
        """The sum of the selected dealers' shares. Refused for fewer than agreed on, or for strangers."""
        self._enter(ByzPhase.SUM)
        names = set(selected.names)
        if len(names) < self.rules.selected or not names <= set(self._accepted):
            wanted = f"at least {self.rules.selected} accepted clients"
            raise self._refusal(f"adds up {wanted}, was asked for {selected.names}")
        return Numbers(self.number, total(np.stack([self._held[n].first[:-1] for n in sorted(names)]), 0))

    def lie(self, true: Numbers) -> Numbers:
        """What a liar answers instead: as many random numbers."""
        return Numbers(self.number, uniform(true.values.shape, stream=self._stream))

    def _enter(self, phase: ByzPhase) -> None:
        if phase != self._phase + 1:
            raise self._refusal(f"finds that {phase.name} comes out of order or again")
        self._phase = phase
