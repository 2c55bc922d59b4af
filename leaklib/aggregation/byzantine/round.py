"""A round of ByzSecAgg, phase by phase.

Source and differences: see client.py.
Chapter: 11.
"""

from dataclasses import dataclass, field

import torch

from leaklib.aggregation.byzantine.client import ByzClient, Integers
from leaklib.aggregation.byzantine.messages import ByzPhase, Names, Numbers
from leaklib.aggregation.byzantine.server import ByzServer
from leaklib.aggregation.crypto import fixed_point
from leaklib.aggregation.crypto.field import P, uniform
from leaklib.aggregation.parts.wire import Clock, Wire
from leaklib.types import Tensors


@dataclass
class ByzRound:
    """The parties of one round, what has travelled between them, and how long each has worked."""

    clients: dict[int, ByzClient]
    server: ByzServer
    generator: torch.Generator
    wire: Wire = field(default_factory=Wire)
    clock: Clock = field(default_factory=Clock)


def quantized(tensors: Tensors, fraction_bits: int) -> Integers:
    """The entries times 2^fraction_bits, as integers.

    ValueError if they are so large that a distance to another such vector might reach p: each client makes
    sure of it alone, by |w|² < p/8, since |a − b|² ≤ 2|a|² + 2|b|².
    """
    scaled = (fixed_point.flat(tensors) * 2.0**fraction_bits).round()
    square = scaled.square().sum().item()
    if not square < P / 8:
        raise ValueError(
            f"with {fraction_bits} fraction bits an update may have at most the length "
            f"{(P / 8) ** 0.5 / 2**fraction_bits:g}, got {square**0.5 / 2**fraction_bits:g}: send a smaller "
            f"update, or lower fraction_bits"
        )
    return scaled.long().numpy()


def play(
    r: ByzRound,
    integers: dict[int, Integers],
    liars: tuple[int, ...] = (),
    forgers: tuple[int, ...] = (),
    dropped: tuple[int, ...] = (),
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...], Integers]:
    """All phases in a row: squared distances between accepted clients, who is selected, the sum of these."""
    deal(r, integers, forgers)
    check(r)
    there = [number for number in r.clients if number not in dropped]
    answer(r, ByzPhase.DISTANCES, r.server.accepted(), there, liars)
    with r.clock.of(None):
        squares = r.server.distances()
        selected = r.server.select(squares)
    answer(r, ByzPhase.SUM, selected, there, liars)
    with r.clock.of(None):
        total = r.server.sum(len(next(iter(integers.values()))))
    return squares, selected, total


def deal(r: ByzRound, integers: dict[int, Integers], forgers: tuple[int, ...] = ()) -> None:
    """Keys go round, and every client sends its sealed shares to the server."""
    for number, client in r.clients.items():
        with r.clock.of(number):
            key = r.wire.carry(ByzPhase.ADVERTISE_KEYS, number, None, client.advertise_key())
        r.server.receive_key(key)
    for number, client in r.clients.items():
        others = [key for key in r.server.keys.values() if key.client != number]
        with r.clock.of(number):
            keys = [r.wire.carry(ByzPhase.DEAL, None, number, key) for key in others]
            second = -integers[number] - 1 if number in forgers else None
            dealt = [
                r.wire.carry(ByzPhase.DEAL, number, None, message)
                for message in client.deal(integers[number], keys, second)
            ]
        with r.clock.of(None):
            for message in dealt:
                r.server.receive_shares(message)


def check(r: ByzRound) -> None:
    """Shares go to their holders, a coin is drawn, dealers publish their combinations, holders complain."""
    coin = r.server.draw_coin()
    for number, client in r.clients.items():
        theirs = [message for message in r.server.dealt.values() if message.recipient == number]
        with r.clock.of(number):
            received = [r.wire.carry(ByzPhase.COMBINE, None, number, message) for message in theirs]
            told = r.wire.carry(ByzPhase.COMBINE, None, number, coin)
            published = r.wire.carry(ByzPhase.COMBINE, number, None, client.combine(received, told))
        r.server.receive_combination(published)
    for number, client in r.clients.items():
        with r.clock.of(number):
            combinations = [
                r.wire.carry(ByzPhase.COMPLAIN, None, number, message)
                for message in r.server.combinations.values()
            ]
            complaints = r.wire.carry(ByzPhase.COMPLAIN, number, None, client.complain(combinations))
        r.server.receive_complaints(complaints)


def answer(
    r: ByzRound, phase: ByzPhase, names: tuple[int, ...], there: list[int], liars: tuple[int, ...]
) -> None:
    """Those who are still there are told ``names``, and answer for them. Liars answer with random numbers."""
    distances = phase == ByzPhase.DISTANCES
    for number in there:
        client = r.clients[number]
        with r.clock.of(number):
            told = r.wire.carry(phase, None, number, Names(number, names))
            numbers = client.distances(told) if distances else client.sum(told)
        if number in liars:
            numbers = Numbers(number, uniform(numbers.values.shape, generator=r.generator))
        with r.clock.of(None):
            sent = r.wire.carry(phase, number, None, numbers)
            (r.server.receive_distances if distances else r.server.receive_sum)(sent)
