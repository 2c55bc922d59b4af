"""A round of secure aggregation on any graph, phase by phase, and what the server reads in the end.

Source: see client.py.
Chapter: 11.
"""

from collections.abc import Collection, Mapping

import torch

from leaklib.aggregation.crypto.fixed_point import Words, decode, encode, flat
from leaklib.aggregation.crypto.primitives import KEY, verification_key
from leaklib.aggregation.crypto.stream import session_name, streams
from leaklib.aggregation.masking.client import Client, Rules
from leaklib.aggregation.masking.graph import Graph
from leaklib.aggregation.masking.messages import Masked, Revealed, SealedShares, Signature, Survivors
from leaklib.aggregation.masking.phases import Drop, Dropped, Phase, present
from leaklib.aggregation.masking.server import Server, Sums
from leaklib.aggregation.parts.pooled import check_alike, readable, unreadable
from leaklib.aggregation.parts.wire import Exchange
from leaklib.types import Update, View

Masking = Exchange[Client, Server]
"""A round's clients and server, with all that they say."""


def majorities(graph: Graph, threshold: int | None = None) -> dict[int, int]:
    """How many shares open a client's secrets: ``threshold``, or more than half of those who hold one.

    Holders are the client itself and its neighbors.
    """
    return {client: threshold or (len(neighbors) + 1) // 2 + 1 for client, neighbors in graph.items()}


def start(
    graph: Graph,
    thresholds: Mapping[int, int],
    *,
    generator: torch.Generator | None,
    bits: int = 32,
    active: bool = False,
    minimum: int = 2,
    models: Mapping[int, bytes] | None = None,
    double: bool = True,
) -> Masking:
    """Everyone ready for a round. With ``active`` all know each other's verification keys.

    ``models`` has the fingerprints of the models that clients were sent, None binds no mask to any. Secrets
    come from the operating system; for teaching, from ``generator``.
    """
    own = streams(graph, generator)
    signing = {client: own[client].bytes(KEY) for client in graph} if active else {}
    verifiers = {client: verification_key(key) for client, key in signing.items()} if active else None
    rules = Rules(graph, thresholds, bits, session_name(generator), verifiers, minimum, double)
    models = dict.fromkeys(graph, b"") if models is None else models
    clients = {c: Client(c, rules, stream=own[c], signing_key=signing.get(c), model=models[c]) for c in graph}
    return Exchange(clients, Server(rules, models))


def fingerprints(updates: tuple[Update, ...]) -> dict[int, bytes]:
    """Of the model that each client was sent; empty where nobody took it."""
    return {update.client: update.model or b"" for update in updates}


def advertise_keys(r: Masking, present: Collection[int]) -> None:
    """Every client that is ``present`` sends its public keys."""
    r.phase(Phase.ADVERTISE_KEYS, present, lambda client, _: client.advertise_keys(), r.server.keys.put)


def share_keys(r: Masking, present: Collection[int]) -> None:
    """They get their neighbors' public keys, and deal shares of their secrets to them."""
    r.phase(Phase.SHARE_KEYS, present, Client.share_keys, r.server.shares.put, r.server.keys_for)


def masked_input(r: Masking, present: Collection[int], words: Mapping[int, Words]) -> None:
    """They get the shares dealt to them, and send their updates, masked."""

    def answer(client: Client, shares: list[SealedShares]) -> Masked:
        return client.masked_input(words[client.number], shares)

    r.phase(Phase.MASKED_INPUT, present, answer, r.server.masked.put, r.server.shares_for)


def consistency_check(r: Masking, present: Collection[int]) -> None:
    """They learn whose updates have come, and sign it. Only against an active server."""

    def tell(name: int) -> list[Survivors]:
        return [r.server.survivors_for(name)]

    def answer(client: Client, told: list[Survivors]) -> Signature:
        return client.check_consistency(*told)

    r.phase(Phase.CONSISTENCY_CHECK, present, answer, r.server.signatures.put, tell)


def unmask(r: Masking, present: Collection[int]) -> Sums:
    """They reveal the shares that the sums need. Returns the sums that the server can read."""

    def tell(name: int) -> list[Survivors | Signature]:
        return [r.server.survivors_for(name), *r.server.signatures.values()]

    def answer(client: Client, told: list) -> Revealed:
        return client.unmask(told[0], told[1:])

    r.phase(Phase.UNMASK, present, answer, r.server.revealed.put, tell)
    with r.work_of(None):
        return r.server.sums()


def masked_sums(r: Masking, words: Mapping[int, Words], dropped: Collection[Drop] = ()) -> Sums:
    """All phases in a row. Returns the sum over each connected part of the survivors."""
    there = {phase: present(r.clients, dropped, phase) for phase in Phase}
    advertise_keys(r, there[Phase.ADVERTISE_KEYS])
    share_keys(r, there[Phase.SHARE_KEYS])
    masked_input(r, there[Phase.MASKED_INPUT], words)
    if r.server.rules.verifiers is not None:
        consistency_check(r, there[Phase.CONSISTENCY_CHECK])
    return unmask(r, there[Phase.UNMASK])


def view(updates: tuple[Update, ...], r: Masking, dropped: Dropped, fraction_bits: int) -> View:
    """What the server has after the round: sums that it can read, and masked updates that it cannot."""
    check_alike(updates)
    bits, by_client, words = r.server.rules.bits, {update.client: update for update in updates}, {}
    drops = [drop if isinstance(drop, Drop) else Drop(drop) for drop in dropped]
    if strange := sorted({drop.client for drop in drops} - by_client.keys()):
        raise ValueError(f"dropped names client {strange[0]}, expected one of {sorted(by_client)}")
    for name, update in by_client.items():
        with r.work_of(name):
            words[name] = encode(flat(update.tensors), fraction_bits, len(updates), bits)
    sums = masked_sums(r, words, drops)
    if not sums:
        raise ValueError("no client is left whose update could be read: let fewer of them drop out")

    means = {part: decode(total, fraction_bits, bits) / len(part) for part, total in sums.items()}
    read = tuple(readable(tuple(by_client[c] for c in part), mean) for part, mean in means.items())
    masked = {name: decode(message.words, fraction_bits, bits) for name, message in r.server.masked.items()}
    sealed = tuple(unreadable(by_client[name], values) for name, values in masked.items())
    leaks = {"survivors": tuple(sorted(masked)), "wrong shares": tuple(sorted(r.server.wrong))}
    return View(read, sealed, leaks, r.cost())
