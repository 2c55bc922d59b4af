"""A round of ByzSecAgg, phase by phase.

Source and differences: see client.py.
Chapters: 13, 14.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

from leaklib.aggregation.byzantine.client import ByzClient, Integers
from leaklib.aggregation.byzantine.messages import ByzPhase, Names
from leaklib.aggregation.byzantine.server import ByzServer, Squares
from leaklib.aggregation.crypto import fixed_point
from leaklib.aggregation.parts.codec import Message
from leaklib.aggregation.parts.wire import Exchange
from leaklib.types import Tensors

Vectors = dict[int, Integers]
"""One of each client."""
Members = Collection[int]
Answer = Message | list[Any]
"""One message of a client or several."""


class Byzantine(Exchange[ByzClient, ByzServer]):
    """A round's clients and server, with all that they say."""

    def ask(
        self,
        phase: ByzPhase,
        answer: Callable[[ByzClient, list[Any]], Answer],
        tell: Callable[[int], Iterable[Message]] = lambda name: (),
        dropped: Members = (),
    ) -> None:
        """As ``Exchange.phase``, with all who are still there, and whatever they answer does not end it."""
        self.server.open(phase)
        for name in [name for name in self.clients if name in self.server.present and name not in dropped]:
            with self.work_of(None):
                told = list(tell(name))
            with self.work_of(name):
                heard = [self.wire.carry(phase, None, name, message) for message in told]
                said = answer(self.clients[name], heard)
            for message in said if isinstance(said, list) else [said]:
                self._send(phase, name, message)
        with self.work_of(None):
            self.server.close()

    def _send(self, phase: ByzPhase, name: int, message: Message) -> None:
        try:
            with self.work_of(name):
                arrived = self.wire.carry(phase, name, None, message)
        except ValueError as damaged:  # as if nothing had come
            self.server.refused.append(f"client {name} in {phase.name}: {damaged}")
        else:
            with self.work_of(None):
                self.server.receive(phase, name, arrived)


def quantized(tensors: Tensors, fraction_bits: int, square: int) -> Integers:
    """The entries times 2^fraction_bits, as integers. ValueError if they are longer than √``square``."""
    scaled = (fixed_point.flat(tensors) * 2.0**fraction_bits).round()
    got = scaled.square().sum().item()
    if not got < 2 * square or (got := int(np.square(scaled.long().numpy()).sum())) > square:
        most, length = (f"{value**0.5 / 2**fraction_bits:.7g}" for value in (square, got))
        limit = f"with {fraction_bits} fraction bits an update may have at most the length {most}"
        raise ValueError(f"{limit}, got {length}: send a smaller update, or lower fraction_bits")
    return scaled.long().numpy()


def robust_sum(
    r: Byzantine, integers: Vectors, liars: Members = (), forgers: Members = (), dropped: Members = ()
) -> tuple[Squares, tuple[int, ...], Integers]:
    """All phases in a row: squared distances between accepted clients, who is selected, the sum of these."""
    deal(r, integers, forgers)
    check(r)
    squares = distances(r, liars, dropped)
    with r.work_of(None):
        selected = r.server.select(squares)
    return squares, selected, sum_of(r, selected, liars, dropped)


def deal(r: Byzantine, integers: Vectors, forgers: Members = ()) -> None:
    """Keys go round, and every client sends its sealed shares to the server."""

    def dealt(client: ByzClient, told: list) -> list:
        vector = integers[client.number]
        return client.deal(vector, told, -vector - 1 if client.number in forgers else None)

    r.ask(ByzPhase.ADVERTISE_KEYS, lambda client, _: client.advertise_keys())
    r.ask(ByzPhase.DEAL, dealt, r.server.keys_for)


def check(r: Byzantine) -> None:
    """Holders get their shares, dealers prove and publish what the coins ask for, holders complain."""
    r.ask(ByzPhase.PROVE, lambda client, told: client.prove(told[:-1], told[-1]), r.server.shares_for)
    r.ask(ByzPhase.COMBINE, lambda client, told: client.combine(told[:-1], told[-1]), r.server.proofs_for)
    published = r.server.published()
    r.ask(ByzPhase.COMPLAIN, lambda client, told: client.complain(told), lambda _: published)


def distances(r: Byzantine, liars: Members = (), dropped: Members = ()) -> Squares:
    """Holders answer for the distances, and the server decodes them. Liars answer with random numbers."""

    def answer(client: ByzClient, told: list[Names]) -> Answer:
        true = client.distances(*told)
        return client.lie(true) if client.number in liars else true

    r.ask(ByzPhase.DISTANCES, answer, lambda name: [Names(name, r.server.accepted)], dropped)
    with r.work_of(None):
        return r.server.distances()


def sum_of(r: Byzantine, selected: tuple[int, ...], liars: Members = (), dropped: Members = ()) -> Integers:
    """Clients tell each other who is selected, then answer for the sum, and the server decodes it."""

    def answer(client: ByzClient, told: list) -> Answer:
        true = client.sum(told)
        return client.lie(true) if client.number in liars else true

    r.ask(
        ByzPhase.ECHO, lambda client, told: client.echo(*told), lambda name: [Names(name, selected)], dropped
    )
    r.ask(ByzPhase.SUM, answer, r.server.echoes_for, dropped)
    with r.work_of(None):
        return r.server.sum()
