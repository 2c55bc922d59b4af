"""One client of ByzSecAgg: what it deals, checks and answers, and what it refuses.

Its vector is dealt twice by ramp sharing, with the blocks in both orders. Of two dealers n and m, holder i
answers with

    h(i) = (F_n − F_m)(i) · (G_n − G_m)(i) + N_nm(i) + N_mn(i),

a value of a polynomial whose coefficient of X^(K−1) is the squared distance. N_nm is drawn by dealer n for
this pair alone, with zero at X^(K−1), and hides all other coefficients. One mask N_n for all of n's pairs
would not: around a triangle of pairs N_n − N_m cancels.

Source: Jahani-Nezhad, Maddah-Ali, Caire, "ByzSecAgg: A Byzantine-Resistant Secure Aggregation Scheme for
Federated Learning Based on Coded Computing and Vector Commitment", arXiv 2302.09913. Differs: how shares are
checked (consistency.py) and disputes end (dispute.py); lengths are checked (norm.py); the lists are echoed;
rounding is to the nearest.
Chapters: 13, 14.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
from jaxtyping import Int64

from leaklib.aggregation.byzantine.channel import PURPOSE, header, opened
from leaklib.aggregation.byzantine.coin import check_reveal, coin, seed
from leaklib.aggregation.byzantine.consistency import combine, with_blind
from leaklib.aggregation.byzantine.messages import (
    NONCE,
    ByzPhase,
    Commitment,
    Complaint,
    Dealt,
    Keys,
    Names,
    Nonce,
    Numbers,
    Reveal,
)
from leaklib.aggregation.byzantine.norm import Check, bits, projections
from leaklib.aggregation.byzantine.rules import ByzRules, Held, conform, read
from leaklib.aggregation.crypto.field import add, dot, elements, sub, to_bytes, total, uniform
from leaklib.aggregation.crypto.primitives import KEY, agree, public_key, seal
from leaklib.aggregation.crypto.ramp import Blocks, cut, hidden, shares
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.parts.party import Party

Integers = Int64[np.ndarray, "_"]


class ByzClient(Party):
    """Client ``number`` of the members. Phases are called in their order, each once.

    A bad share must not stop the round, or a single dealer could: the holder complains, and proves it. What
    is not for this client, came twice or from a stranger does not count; ``refused`` says so.
    ValueError where the server asks for what no client may answer.
    """

    def __init__(self, number: int, rules: ByzRules, *, stream: Stream) -> None:
        super().__init__(number, rules.session, stream=stream)
        self.rules = rules
        self.refused: list[str] = []
        self._others = [member for member in rules.members if member != number]
        self._plain: dict[int, list[bytes]] = {}  # of each dealer, its shares and its proof
        self._held: dict[int, Held] = {}
        self._bad: set[int] = set()  # dealers whose messages cannot be read, or whose shares do not fit
        self._accepted: tuple[int, ...] = ()

    def advertise_keys(self) -> Keys:
        """Key pairs, made new for this round."""
        self._enter(ByzPhase.ADVERTISE_KEYS)
        self._sending = self._stream.bytes(KEY)
        self._receiving = {other: self._stream.bytes(KEY) for other in self._others}
        receiving = tuple(public_key(secret) for secret in self._receiving.values())
        return Keys(self.number, public_key(self._sending), receiving)

    def deal(
        self, vector: Integers, told: Sequence[Commitment | Keys], second: Integers | None = None
    ) -> list[Dealt | Nonce]:
        """Shares of ``vector`` for every member, and a nonce for the coin.

        ``told``: the server's commitment, then the others' keys. A cheating dealer puts another vector into
        the ``second`` sharing.
        """
        self._enter(ByzPhase.DEAL)
        committed, *keys = told
        assert isinstance(committed, Commitment)
        self._committed = committed
        self._agree([key for key in keys if isinstance(key, Keys)])
        rules, g = self.rules, self._stream
        self._vector = vector
        blocks = with_blind(cut(elements(vector), rules.blocks), stream=g)
        reverse = blocks[::-1]
        if second is not None:
            reverse = np.column_stack([cut(elements(second), rules.blocks)[::-1], reverse[:, -1]])
        self._sharings = tuple(hidden(order, rules.colluders, stream=g) for order in (blocks, reverse))
        self._masks = uniform((rules.product_terms, rules.dealt[2]), stream=g)
        self._masks[rules.blocks - 1] = 0
        self._nonce = g.bytes(NONCE)
        return [*self._share(*self._sharings, self._masks), Nonce(self.number, self._nonce)]

    def _share(self, *polynomials: Blocks) -> list[Dealt]:
        """All members' shares, its own kept as if it had received them, the others' sealed."""
        members = self.rules.members
        rows = np.hstack([shares(rows, [*map(self.rules.point_of, members)]) for rows in polynomials])
        plain = {member: to_bytes(row) for member, row in zip(members, rows, strict=True)}
        self._plain.setdefault(self.number, []).append(plain[self.number])
        return [self._to(other, plain[other]) for other in self._channels]

    def _agree(self, keys: list[Keys]) -> None:
        """A channel to each other member that sent keys, and one from it."""
        rules = self.rules
        self._theirs = {key.client: key for key in keys}
        least = len(rules.members) - rules.byzantine - rules.dropouts - 1
        known = set(self._others)
        if not self._theirs.keys() <= known or len(self._theirs) < max(least, len(keys)):
            raise self._refusal(f"expected the keys of at least {least} of {self._others}")
        for other, key in self._theirs.items():
            place = [member for member in rules.members if member != other].index(self.number)
            self._channels[other] = agree(self._sending, key.receiving[place], PURPOSE)

    def _to(self, other: int, plain: bytes) -> Dealt:
        bound = header(self._session, ByzPhase(self._phase), self.number, other)
        return Dealt(self.number, other, seal(self._channels[other], plain, bound, stream=self._stream))

    def _from(self, message: Dealt, phase: ByzPhase) -> bytes:
        sending, secret = self._theirs[message.sender].sending, self._receiving[message.sender]
        return opened(message, sending, secret, self._session, phase)

    def prove(self, received: Iterable[Dealt], told: Reveal) -> list[Dealt]:
        """Keep the others' shares, and deal the bits of this vector's projections, now that it is fixed."""
        self._enter(ByzPhase.PROVE)
        self._check(told, self._committed.first)
        self._keep(received, ByzPhase.DEAL)
        self._seed = seed(told)
        written = elements(self._bits())[None]
        self._proof = hidden(
            with_blind(written, stream=self._stream), self.rules.colluders, stream=self._stream
        )
        return self._share(self._proof)

    def _bits(self) -> Integers:
        padded = np.zeros(self.rules.blocks * self.rules.length, np.int64)
        padded[: len(self._vector)] = self._vector
        if np.square(padded.astype(float)).sum() > self.rules.square * (1 + 1e-9):
            raise self._refusal("has a vector that is longer than agreed on")
        return bits(projections(self._seed, len(padded)) @ padded, self.rules.beta)

    def combine(self, received: Iterable[Dealt], told: Reveal) -> Numbers:
        """Keep the others' proofs, and publish the combinations of what was dealt, now that it is fixed."""
        self._enter(ByzPhase.COMBINE)
        self._check(told, self._committed.second)
        self._keep(received, ByzPhase.PROVE)
        self._coin, blocks = coin(told), self.rules.blocks
        for dealer in [dealer for dealer, plain in self._plain.items() if len(plain) == 2]:
            dealt, proof = self._plain[dealer]
            try:
                self._held[dealer] = read(dealt, proof, self.rules)
            except ValueError as reason:
                self._complain_of(dealer, reason)
        first, second = (combine(rows, self._coin) for rows in self._sharings)
        masks = np.delete(combine(self._masks, self._coin), blocks - 1)
        proof = combine(self._proof, self._coin)
        return Numbers(self.number, np.concatenate([first, second[blocks:], masks, proof]))

    def _check(self, told: Reveal, committed: bytes) -> None:
        if wrong := check_reveal(told, committed, self.number, self._nonce):
            raise self._refusal(wrong)

    def _keep(self, received: Iterable[Dealt], phase: ByzPhase) -> None:
        before: set[int] = set()
        for message in received:
            if self._is_mine(message, before):
                before.add(message.sender)
                try:
                    self._plain.setdefault(message.sender, []).append(self._from(message, phase))
                except ValueError as reason:
                    self._complain_of(message.sender, reason)

    def _complain_of(self, dealer: int, reason: ValueError) -> None:
        self.refused.append(f"shares of client {dealer}: {reason}")
        self._bad.add(dealer)

    def _is_mine(self, message: Dealt, before: Iterable[int]) -> bool:
        sender, wrong = message.sender, ""
        if message.recipient != self.number:
            wrong = f"got a message of client {sender} for client {message.recipient}"
        elif sender not in self._theirs:
            wrong = f"got a message of the stranger {sender}"
        elif sender in before:
            wrong = f"got a message of client {sender} a second time"
        self.refused += [wrong] if wrong else []
        return not wrong

    def complain(self, combinations: Iterable[Numbers]) -> Complaint:
        """The dealers whose shares cannot be read or do not fit what they published, with the proof."""
        self._enter(ByzPhase.COMPLAIN)
        published = {message.client: message.values for message in combinations}
        for dealer in published.keys() - self._held.keys() - self._bad:
            raise self._refusal(f"was forwarded no shares of client {dealer}")
        if any(len(values) != sum(self.rules.published) for values in published.values()):
            raise self._refusal("was forwarded a combination of another length")
        dealers = [dealer for dealer in published if dealer in self._held and dealer != self.number]
        held, theirs = [self._held[n] for n in dealers], [published[n] for n in dealers]
        fine = conform(held, theirs, self.rules, self.rules.point_of(self.number), self._coin)
        self._bad |= {dealer for dealer, fit in zip(dealers, fine, strict=True) if not fit}
        accused = tuple(dealer for dealer in published if dealer in self._bad)
        return Complaint(self.number, accused, tuple(self._receiving[dealer] for dealer in accused))

    def distances(self, accepted: Names) -> Numbers:
        """This holder's values of each accepted dealer's length, of its check, and of h for every pair."""
        self._enter(ByzPhase.DISTANCES)
        fine = self._held.keys() - self._bad
        if not set(accepted.names) <= fine or len(set(accepted.names)) < len(accepted.names):
            raise self._refusal(f"has no good shares of all of {accepted.names}")
        self._accepted = accepted.names
        rules = self.rules
        where = rules.blocks * rules.length, rules.blocks, rules.beta, rules.point_of(self.number)
        check = Check(self._seed, self._coin, *where)
        held = [self._held[dealer] for dealer in accepted.names]
        places = [self.rules.members.index(dealer) for dealer in accepted.names]
        # Last entries are blind.
        first, second, masks, proof = (np.stack(rows) for rows in zip(*held, strict=True))
        first, second, proof = first[:, :-1], second[:, :-1], proof[:, :-1]
        checks = np.concatenate([check.value(*both) for both in zip(first, proof, strict=True)])
        rows = [add(dot(first, second), masks[range(len(held)), places]), add(checks, masks[:, -2])]
        masks = masks[:, places]
        for n in range(len(held) - 1):
            product = dot(sub(first[n], first[n + 1 :]), sub(second[n], second[n + 1 :]))
            rows.append(add(product, add(masks[n, n + 1 :], masks[n + 1 :, n])))  # masked by both dealers
        return Numbers(self.number, np.concatenate(rows))

    def echo(self, selected: Names) -> list[Dealt]:
        """Tells every other member, unreadably for the server, which lists this client was told.

        Refused for fewer names than agreed on, or for strangers.
        """
        self._enter(ByzPhase.ECHO)
        names, least = set(selected.names), self.rules.selected
        if len(names) < max(least, len(selected.names)) or not names <= set(self._accepted):
            raise self._refusal(f"adds up {least} accepted clients or more, was asked for {selected.names}")
        self._selected = selected.names
        lists = Names(0, self._accepted).encode() + Names(0, self._selected).encode()
        self._told = sha256(lists).digest()
        return [self._to(other, self._told) for other in self._channels]

    def sum(self, echoes: Iterable[Dealt]) -> Numbers:
        """The sum of the selected dealers' shares, if enough members were told of the same."""
        self._enter(ByzPhase.SUM)
        same = {self.number}
        for message in echoes:
            # Whose channel was opened in a complaint could be spoken for by anyone.
            if self._is_mine(message, self._bad):
                try:
                    heard = self._from(message, ByzPhase.ECHO)
                except ValueError as reason:
                    self.refused.append(f"echo of client {message.sender}: {reason}")
                else:
                    same |= {message.sender} if heard == self._told else set()
        if len(same) < self.rules.quorum:
            wanted = f"{self.rules.quorum} members that were told the same lists"
            raise self._refusal(f"wants {wanted}, knows of {len(same)}")
        rows = np.stack([self._held[dealer].first[:-1] for dealer in self._selected])
        return Numbers(self.number, total(rows, 0))

    def lie(self, true: Numbers) -> Numbers:
        """What a liar answers instead: as many random numbers."""
        return Numbers(self.number, uniform(true.values.shape, stream=self._stream))

    def _enter(self, phase: ByzPhase) -> None:
        if phase != self._phase + 1:
            raise self._refusal(f"finds that {phase.name} comes out of order or again")
        self._phase = phase
