"""The server of ByzSecAgg: what it collects, decodes and decides, and whom it finds guilty.

Source and differences: see client.py.
Chapters: 13, 14.
"""

from collections.abc import Mapping
from itertools import permutations

import numpy as np
import torch

from leaklib.aggregation.byzantine.channel import usable
from leaklib.aggregation.byzantine.client import Integers
from leaklib.aggregation.byzantine.coin import coin, commitment, reveal
from leaklib.aggregation.byzantine.dispute import guilty, well_formed
from leaklib.aggregation.byzantine.krum import multi_krum
from leaklib.aggregation.byzantine.messages import (
    HASH,
    ByzPhase,
    Commitment,
    Complaint,
    Dealt,
    Keys,
    Nonce,
    Numbers,
    Reveal,
)
from leaklib.aggregation.byzantine.rules import ByzRules
from leaklib.aggregation.crypto.decode import correct
from leaklib.aggregation.crypto.field import ELEMENT, Elements, signed
from leaklib.aggregation.crypto.primitives import KEY, SEAL
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.parts.codec import Message
from leaklib.aggregation.parts.party import Inbox

Squares = tuple[tuple[int, ...], ...]


class ByzServer:
    """Follows the protocol, and is curious. Whatever a client sends does not stop it.

    ``present`` are the members that sent all that was asked for so far, ``gone`` those that did not, and
    ``guilty`` those that are proven to have deviated, with the reason. ``accepted`` are the dealers whose
    vectors can still be used. ``refused`` tells what was not taken: what comes late or twice, from someone
    who is out or in another's name.
    """

    def __init__(self, rules: ByzRules, *, stream: Stream) -> None:
        self.rules, self._stream = rules, stream
        self.present, self.gone, self.guilty = set(rules.members), set[int](), dict[int, str]()
        self.accepted: tuple[int, ...] = rules.members
        self.refused: list[str] = []
        self._secrets = stream.bytes(KEY), stream.bytes(KEY)
        members, pairs = rules.members, frozenset(permutations(rules.members, 2))
        self.keys: Inbox[Keys] = Inbox(members)
        self.dealt: Inbox[Dealt] = Inbox(pairs, "sender", "recipient")
        self.nonces: Inbox[Nonce] = Inbox(members)
        self.proofs: Inbox[Dealt] = Inbox(pairs, "sender", "recipient")
        self.combinations: Inbox[Numbers] = Inbox(members)
        self.complaints: Inbox[Complaint] = Inbox(members)
        self.answers: Inbox[Numbers] = Inbox(members)
        self.echoes: Inbox[Dealt] = Inbox(pairs, "sender", "recipient")
        self.sums: Inbox[Numbers] = Inbox(members)
        self._phase = ByzPhase.ADVERTISE_KEYS
        self._expected: dict[ByzPhase, dict[type[Message], Inbox]] = {
            ByzPhase.ADVERTISE_KEYS: {Keys: self.keys},
            ByzPhase.DEAL: {Dealt: self.dealt, Nonce: self.nonces},
            ByzPhase.PROVE: {Dealt: self.proofs},
            ByzPhase.COMBINE: {Numbers: self.combinations},
            ByzPhase.COMPLAIN: {Complaint: self.complaints},
            ByzPhase.DISTANCES: {Numbers: self.answers},
            ByzPhase.ECHO: {Dealt: self.echoes},
            ByzPhase.SUM: {Numbers: self.sums},
        }

    def open(self, phase: ByzPhase) -> None:
        """From here on what belongs to ``phase`` is taken, and nothing else."""
        rules, n = self.rules, len(self.accepted)
        self._phase = phase
        self._size = {
            ByzPhase.DEAL: SEAL + ELEMENT * sum(rules.dealt),
            ByzPhase.PROVE: SEAL + ELEMENT * rules.proof,
            ByzPhase.COMBINE: sum(rules.published),
            ByzPhase.DISTANCES: 2 * n + n * (n - 1) // 2,
            ByzPhase.ECHO: SEAL + HASH,
            ByzPhase.SUM: rules.length,
        }.get(phase, 0)

    def receive(self, phase: ByzPhase, sender: int, message: Message) -> None:
        """What ``sender`` sent. Never an error, whatever it is."""
        try:
            self._take(phase, sender, message)
        except ValueError as reason:
            self.refused.append(str(reason))

    def _take(self, phase: ByzPhase, sender: int, message: Message) -> None:
        what = f"{type(message).__name__} of client {sender}"
        if phase != self._phase:
            raise ValueError(f"the {what} for {phase.name} comes in {self._phase.name}: refused")
        if sender not in self.present:
            raise ValueError(f"the {what} comes from one that is out of the round: refused")
        if message.author != sender:
            raise ValueError(f"the {what} says that client {message.author} sent it: refused")
        for kind, inbox in self._expected[phase].items():
            if isinstance(message, kind):
                if wrong := self._malformed(message):
                    self._convict(sender, wrong)
                    raise ValueError(f"the {what} is {wrong}: refused")
                return inbox.put(message)
        raise ValueError(f"the {what} has no place in {phase.name}: refused")

    def _malformed(self, message: Message) -> str:
        """What is wrong with the form of a message; empty if nothing."""
        if isinstance(message, Dealt) and len(message.sealed) != self._size:
            return f"a sealed message of {len(message.sealed)} bytes, not {self._size}"
        if isinstance(message, Numbers) and len(message.values) != self._size:
            return f"a row of {len(message.values)} numbers, not {self._size}"
        if isinstance(message, Complaint) and not well_formed(message, self.accepted):
            return "a complaint that does not give a secret for each dealer"
        if isinstance(message, Keys):
            every = (message.sending, *message.receiving)
            if len(every) != len(self.rules.members) or not all(map(usable, every)):
                return f"not {len(self.rules.members)} keys that one can agree on"
        return ""

    def _convict(self, client: int, why: str) -> None:
        self.guilty.setdefault(client, why)
        self.present.discard(client)
        self.gone.discard(client)

    def close(self) -> None:
        """Who did not send all that the phase asks for is gone. ValueError if that is more than may go wrong.

        A client that is gone does not come back: it may have missed that a share was bad.
        """
        for kind, inbox in self._expected[self._phase].items():
            for client in tuple(self.present):
                others = {(client, other) for other in self.keys if other != client}
                if not (others if kind is Dealt else {client}) <= inbox.keys():
                    self.present.discard(client)
                    self.gone.add(client)
        if self._phase == ByzPhase.COMPLAIN:
            self._judge()
        elif self._phase < ByzPhase.COMPLAIN:
            self.accepted = tuple(client for client in self.rules.members if client in self.present)
        if self._phase == ByzPhase.DEAL:
            nonces = {client: self.nonces[client].nonce for client in self.accepted}
            self.coins = [reveal(secret, nonces) for secret in self._secrets]
        if self._lying < 0:
            raise self._failure("more went wrong than a round allows for")

    def _judge(self) -> None:
        """Find who is guilty in each dispute. The dealers that are not are accepted."""
        rules, rho = self.rules, coin(self.coins[1])
        for complaint in self.complaints.values():
            holder = self.keys[complaint.client]
            for dealer, secret in zip(complaint.dealers, complaint.secrets, strict=True):
                dealt = self.dealt[dealer, holder.client], self.proofs[dealer, holder.client]
                published = self.combinations[dealer].values
                who = guilty(holder, self.keys[dealer], secret, dealt, published, rules, rho)
                dispute = f"client {holder.client} complained of client {dealer}"
                self._convict(who, f"{dispute}, and the evidence is against client {who}")
        self.accepted = tuple(client for client in self.accepted if client not in self.guilty)

    @property
    def _lying(self) -> int:
        """How many Byzantine members there may still be among those present."""
        rules, gone = self.rules, max(0, len(self.gone) - self.rules.dropouts)
        return rules.byzantine - len(self.guilty) - gone

    def _failure(self, what: str) -> ValueError:
        names = (
            "; ".join(f"client {client} ({why})" for client, why in sorted(self.guilty.items())) or "nobody"
        )
        gone = ", ".join(map(str, sorted(self.gone))) or "nobody"
        allowed = f"byzantine={self.rules.byzantine} and dropouts={self.rules.dropouts}"
        return ValueError(f"{what}, {allowed}: guilty: {names}; gone: {gone}")

    def keys_for(self, client: int) -> list[Commitment | Keys]:
        """The commitments to both coins, and all others' public keys."""
        keys = [key for key in self.keys.values() if key.client != client]
        return [Commitment(*map(commitment, self._secrets)), *keys]

    def shares_for(self, client: int) -> list[Dealt | Reveal]:
        """What was dealt to it by those who dealt to everyone, and the first coin, now that all have."""
        return [*(self.dealt[dealer, client] for dealer in self.accepted if dealer != client), self.coins[0]]

    def proofs_for(self, client: int) -> list[Dealt | Reveal]:
        """The bits that they dealt to it, and the second coin."""
        return [*(self.proofs[dealer, client] for dealer in self.accepted if dealer != client), self.coins[1]]

    def published(self) -> list[Numbers]:
        """The combinations of all dealers that are still accepted."""
        return [self.combinations[dealer] for dealer in self.accepted]

    def echoes_for(self, client: int) -> list[Dealt]:
        """What the others were told, as they say."""
        return [echo for (_, recipient), echo in self.echoes.items() if recipient == client]

    def distances(self) -> Squares:
        """Squared distances between all accepted dealers, as integers of their vectors.

        Who did not show that its vector is short is guilty, and accepted no more. ``squares`` are the others'
        squared lengths.
        """
        n = len(self.accepted)
        row = self._decoded(self.answers, self.rules.product_terms)[self.rules.blocks - 1]
        squares, checks, apart = np.split(row, [n, 2 * n])
        for dealer, square, check in zip(self.accepted, squares.tolist(), checks.tolist(), strict=True):
            if check or square > self.rules.square:
                self._convict(dealer, "dealt a vector that is not shown to be short")
        left = [place for place, dealer in enumerate(self.accepted) if dealer not in self.guilty]
        upper = np.zeros((n, n), np.uint64)
        upper[np.triu_indices(n, 1)] = apart
        self.accepted = tuple(self.accepted[place] for place in left)
        self.squares = tuple(squares[left].tolist())
        return tuple(map(tuple, (upper + upper.T)[left][:, left].tolist()))

    def select(self, distances: Squares) -> tuple[int, ...]:
        """The clients that multi-Krum keeps.

        It reckons with as many Byzantine ones among them as there may still be: A, less those that are
        guilty, less those that must be among the members that are gone and dealt nothing.
        """
        missing = len(self.gone.difference(self.accepted))
        byzantine = self.rules.byzantine - len(self.guilty) - max(0, missing - self.rules.dropouts)
        squares = torch.tensor(distances, dtype=torch.float64)
        return tuple(self.accepted[i] for i in multi_krum(squares, byzantine, self.rules.selected))

    def sum(self) -> Integers:
        """The sum of the selected vectors, integers."""
        coefficients = self._decoded(self.sums, self.rules.terms)
        return signed(coefficients[: self.rules.blocks].reshape(-1)[: self.rules.entries])

    def _decoded(self, answers: Mapping[int, Numbers], terms: int) -> Elements:
        """Coefficients through the answers of those present, of whom all that may be Byzantine may lie."""
        holders = [member for member in answers if member in self.present]
        points = [self.rules.point_of(holder) for holder in holders]
        values = np.stack([answers[holder].values for holder in holders])
        try:
            coefficients, wrong = correct(points, values, terms, self._lying, stream=self._stream)
        except ValueError as reason:
            raise self._failure(str(reason)) from reason
        for place in wrong:
            self._convict(holders[place], f"answered wrongly in {self._phase.name}")
        return coefficients
