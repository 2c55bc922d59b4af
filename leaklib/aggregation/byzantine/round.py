"""A round of ByzSecAgg, phase by phase.

Source and differences: see client.py.
Chapter: 11.
"""

from collections.abc import Collection

from leaklib.aggregation.byzantine.client import ByzClient, Integers
from leaklib.aggregation.byzantine.messages import ByzPhase, Coin, Dealt, Key, Names, Numbers
from leaklib.aggregation.byzantine.server import ByzServer, Squares
from leaklib.aggregation.crypto import fixed_point
from leaklib.aggregation.crypto.field import P
from leaklib.aggregation.parts.wire import Exchange
from leaklib.types import Tensors

Byzantine = Exchange[ByzClient, ByzServer]
"""A round's clients and server, with all that they say."""
Vectors = dict[int, Integers]
"""One of each client."""
Members = Collection[int]


def quantized(tensors: Tensors, fraction_bits: int) -> Integers:
    """The entries times 2^fraction_bits, as integers.

    ValueError if they are so large that a distance to another such vector might reach p: each client makes
    sure of it alone, by |w|² < p/8, since |a − b|² ≤ 2|a|² + 2|b|².
    """
    scaled = (fixed_point.flat(tensors) * 2.0**fraction_bits).round()
    square = scaled.square().sum().item()
    if not square < P / 8:
        most, got = (f"{length**0.5 / 2**fraction_bits:g}" for length in (P / 8, square))
        limit = f"with {fraction_bits} fraction bits an update may have at most the length {most}"
        raise ValueError(f"{limit}, got {got}: send a smaller update, or lower fraction_bits")
    return scaled.long().numpy()


def robust_sum(
    r: Byzantine, integers: Vectors, liars: Members = (), forgers: Members = (), dropped: Members = ()
) -> tuple[Squares, tuple[int, ...], Integers]:
    """All phases in a row: squared distances between accepted clients, who is selected, the sum of these."""
    deal(r, integers, forgers)
    check(r)
    there = [number for number in r.clients if number not in dropped]
    answer(r, ByzPhase.DISTANCES, r.server.accepted(), there, liars)
    with r.work_of(None):
        squares = r.server.distances()
        selected = r.server.select(squares)
    answer(r, ByzPhase.SUM, selected, there, liars)
    with r.work_of(None):
        return squares, selected, r.server.sum(len(next(iter(integers.values()))))


def deal(r: Byzantine, integers: Vectors, forgers: Members = ()) -> None:
    """Keys go round, and every client sends its sealed shares to the server."""

    def dealt(client: ByzClient, keys: list[Key]) -> list[Dealt]:
        vector = integers[client.number]
        return client.deal(vector, keys, -vector - 1 if client.number in forgers else None)

    server = r.server
    r.phase(ByzPhase.ADVERTISE_KEYS, r.clients, lambda client, _: client.advertise_key(), server.keys.put)
    r.phase(ByzPhase.DEAL, r.clients, dealt, server.dealt.put, server.keys_for)


def check(r: Byzantine) -> None:
    """Shares go to their holders, a coin is drawn, dealers publish their combinations, holders complain."""
    server, coin = r.server, r.server.draw_coin()

    def tell(name: int) -> list[Dealt | Coin]:
        return [*server.shares_for(name), coin]

    def combine(client: ByzClient, told: list) -> Numbers:
        return client.combine(told[:-1], told[-1])

    r.phase(ByzPhase.COMBINE, r.clients, combine, server.combinations.put, tell)
    published = server.combinations.values()
    r.phase(ByzPhase.COMPLAIN, r.clients, ByzClient.complain, server.complaints.put, lambda _: published)


def answer(r: Byzantine, phase: ByzPhase, names: tuple[int, ...], there: Members, liars: Members) -> None:
    """Those who are still there are told ``names``, and answer for them. Liars answer with random numbers."""
    distances = phase == ByzPhase.DISTANCES

    def numbers(client: ByzClient, told: list[Names]) -> Numbers:
        true = client.distances(*told) if distances else client.sum(*told)
        return client.lie(true) if client.number in liars else true

    receive = (r.server.answers if distances else r.server.sums).put
    r.phase(phase, there, numbers, receive, lambda name: [Names(name, names)])
