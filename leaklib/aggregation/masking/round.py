"""A round of secure aggregation on any graph, phase by phase, and what the server reads in the end.

Source: see client.py.
Chapter: 10.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from leaklib.aggregation.crypto.fixed_point import Words, decode, encode, flat, shaped
from leaklib.aggregation.crypto.primitives import KEY, random_bytes, verification_key
from leaklib.aggregation.masking.client import Client, Rules
from leaklib.aggregation.masking.graph import Graph
from leaklib.aggregation.masking.messages import Drop, Phase
from leaklib.aggregation.masking.server import Server
from leaklib.aggregation.parts.pooled import pooled
from leaklib.aggregation.parts.wire import Clock, Wire, tally
from leaklib.types import Cost, Update, View


@dataclass
class Round:
    """The parties of one round, what has travelled between them, and how long each has worked."""

    clients: dict[int, Client]
    server: Server
    wire: Wire = field(default_factory=Wire)
    clock: Clock = field(default_factory=Clock)


def majorities(graph: Graph, threshold: int | None = None) -> dict[int, int]:
    """How many shares open a client's secrets: ``threshold``, or more than half of those who hold one.

    Holders are the client itself and its neighbors.
    """
    return {
        client: threshold if threshold is not None else (len(neighbors) + 1) // 2 + 1
        for client, neighbors in graph.items()
    }


def start(
    graph: Graph,
    thresholds: Mapping[int, int],
    *,
    generator: torch.Generator,
    bits: int = 32,
    active: bool = False,
    double: bool = True,
) -> Round:
    """Everyone ready for a round. With ``active`` all know each other's verification keys."""
    session = random_bytes(8, generator=generator)
    signing = {client: random_bytes(KEY, generator=generator) for client in graph} if active else {}
    verifiers = {client: verification_key(key) for client, key in signing.items()} if active else None
    rules = Rules(bits, session, verifiers, double)
    clients = {
        number: Client(
            number,
            neighbors,
            thresholds[number],
            rules,
            generator=generator,
            signing_key=signing.get(number),
        )
        for number, neighbors in graph.items()
    }
    return Round(clients, Server(graph, thresholds, rules))


def advertise_keys(r: Round, present: Collection[int]) -> None:
    """Every client that is ``present`` sends its public keys."""
    phase = Phase.ADVERTISE_KEYS
    for name in present:
        with r.clock.of(name):
            keys = r.wire.carry(phase, name, None, r.clients[name].advertise_keys())
        with r.clock.of(None):
            r.server.receive_keys(keys)


def share_keys(r: Round, present: Collection[int]) -> None:
    """They get their neighbors' public keys, and deal shares of their secrets to them."""
    phase = Phase.SHARE_KEYS
    for name in present:
        with r.clock.of(None):
            theirs = r.server.keys_for(name)
        with r.clock.of(name):
            received = [r.wire.carry(phase, None, name, keys) for keys in theirs]
            dealt = [
                r.wire.carry(phase, name, None, message) for message in r.clients[name].share_keys(received)
            ]
        with r.clock.of(None):
            for message in dealt:
                r.server.receive_shares(message)


def masked_input(r: Round, present: Collection[int], words: Mapping[int, Words]) -> None:
    """They get the shares dealt to them, and send their updates, masked."""
    phase = Phase.MASKED_INPUT
    for name in present:
        with r.clock.of(None):
            theirs = r.server.shares_for(name)
        with r.clock.of(name):
            received = [r.wire.carry(phase, None, name, message) for message in theirs]
            masked = r.wire.carry(phase, name, None, r.clients[name].masked_input(words[name], received))
        with r.clock.of(None):
            r.server.receive_input(masked)


def consistency_check(r: Round, present: Collection[int]) -> None:
    """They learn whose updates have come, and sign it. Only against an active server."""
    phase = Phase.CONSISTENCY_CHECK
    for name in present:
        with r.clock.of(None):
            survivors = r.server.survivors_for(name)
        with r.clock.of(name):
            told = r.wire.carry(phase, None, name, survivors)
            signature = r.wire.carry(phase, name, None, r.clients[name].check_consistency(told))
        with r.clock.of(None):
            r.server.receive_signature(signature)


def unmask(r: Round, present: Collection[int]) -> dict[tuple[int, ...], Words]:
    """They reveal the shares that the sums need. Returns the sums that the server can read."""
    phase = Phase.UNMASK
    for name in present:
        with r.clock.of(None):
            survivors, signatures = r.server.survivors_for(name), list(r.server.signatures.values())
        with r.clock.of(name):
            told = r.wire.carry(phase, None, name, survivors)
            signed = [r.wire.carry(phase, None, name, signature) for signature in signatures]
            revealed = r.wire.carry(phase, name, None, r.clients[name].unmask(told, signed))
        with r.clock.of(None):
            r.server.receive_revealed(revealed)
    with r.clock.of(None):
        return r.server.sums()


def present(clients: Collection[int], dropped: Collection[Drop], phase: Phase) -> list[int]:
    """Who is still there in ``phase``."""
    gone = {drop.client for drop in dropped if drop.before <= phase}
    return [client for client in clients if client not in gone]


def play(
    r: Round, words: Mapping[int, Words], dropped: Collection[Drop] = ()
) -> dict[tuple[int, ...], Words]:
    """All phases in a row. Returns the sum over each connected part of the survivors."""

    def there(phase: Phase) -> list[int]:
        return present(list(r.clients), dropped, phase)

    advertise_keys(r, there(Phase.ADVERTISE_KEYS))
    share_keys(r, there(Phase.SHARE_KEYS))
    masked_input(r, there(Phase.MASKED_INPUT), words)
    if r.server.rules.verifiers is not None:
        consistency_check(r, there(Phase.CONSISTENCY_CHECK))
    return unmask(r, there(Phase.UNMASK))


def view(updates: Sequence[Update], r: Round, dropped: Collection[Drop], fraction_bits: int) -> View:
    """What the server has after the round: sums that it can read, and masked updates that it cannot."""
    rules, by_client, words = r.server.rules, {update.client: update for update in updates}, {}
    if strange := sorted({drop.client for drop in dropped} - by_client.keys()):
        raise ValueError(f"dropped names client {strange[0]}, expected one of {sorted(by_client)}")
    for name, update in by_client.items():
        with r.clock.of(name):
            words[name] = encode(flat(update.tensors), fraction_bits, len(updates), rules.bits)
    sums = play(r, words, dropped)
    if not sums:
        raise ValueError("no client is left whose update could be read: let fewer of them drop out")
    read = []
    for part, total in sums.items():
        theirs = tuple(by_client[client] for client in part)
        average = decode(total, fraction_bits, rules.bits) / len(part)
        read.append(pooled(theirs, shaped(average, theirs[0].tensors)))
    sealed = tuple(
        replace(
            by_client[name],
            tensors=shaped(decode(masked.words, fraction_bits, rules.bits), by_client[name].tensors),
            mechanism=None,
            sensitivity=None,
        )
        for name, masked in r.server.masked.items()
    )
    leaks = {"survivors": tuple(sorted(r.server.masked))}
    return View(tuple(read), sealed, leaks, cost(r))


def cost(r: Round) -> Cost:
    """Messages, bytes and processor time of the round."""
    return tally(r.wire, r.clock, 5 if r.server.rules.verifiers is not None else 4, len(r.clients))
