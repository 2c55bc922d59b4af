"""How many messages and bytes a round takes, counted without playing it: for rounds too large to run.

The tests hold both counts against the log of real rounds, phase by phase.
Chapters: 11 to 15.
"""

from collections.abc import Collection
from dataclasses import dataclass

from leaklib.aggregation.byzantine.messages import HASH, NONCE, ByzPhase
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.crypto.field import ELEMENT
from leaklib.aggregation.crypto.primitives import KEY, SEAL
from leaklib.aggregation.crypto.shamir import SHARE
from leaklib.aggregation.masking.graph import Graph
from leaklib.aggregation.masking.messages import PUBLIC, SEALED, SIGNATURE
from leaklib.aggregation.masking.phases import Drop, Phase, present
from leaklib.aggregation.parts.codec import NAME


@dataclass(frozen=True)
class Traffic:
    """Messages, and bytes up to the server and down from it, over all clients."""

    messages: int = 0
    up: int = 0
    down: int = 0


def count(
    graph: Graph, entries: int, *, dropped: Collection[Drop] = (), bits: int = 32, active: bool = False
) -> dict[Phase, Traffic]:
    """The traffic of every phase of a round that no client refuses, for updates of ``entries`` numbers."""
    # Who takes part in each phase, and how many of their neighbors took part in another.
    there = {phase: frozenset(present(list(graph), dropped, phase)) for phase in Phase}
    advertised, dealt, masked, signers, last = there.values()
    signers = signers if active else frozenset()

    def pairs(these: frozenset[int], those: frozenset[int]) -> int:
        return sum(len(graph[client] & those) for client in these)

    def listed(these: frozenset[int]) -> int:  # bytes of the lists of survivors that these clients get
        return len(these) * 3 * NAME + pairs(these, dealt) * NAME

    keys, sealed, signature = NAME + PUBLIC + SIGNATURE * active, 2 * NAME + SEALED, NAME + SIGNATURE
    share, words = NAME + SHARE, 3 * NAME + entries * -(-bits // 8)
    sharing, arriving, revealed = pairs(dealt, advertised), pairs(masked, dealt), pairs(last, dealt)
    shares = len(last) * (3 * NAME + share) + revealed * share
    forwarded = len(signers) * len(last)
    return {
        Phase.ADVERTISE_KEYS: Traffic(len(advertised), len(advertised) * keys, 0),
        Phase.SHARE_KEYS: Traffic(2 * sharing, sharing * sealed, sharing * keys),
        Phase.MASKED_INPUT: Traffic(len(masked) + arriving, len(masked) * words, arriving * sealed),
        Phase.CONSISTENCY_CHECK: Traffic(2 * len(signers), len(signers) * signature, listed(signers)),
        Phase.UNMASK: Traffic(2 * len(last) + forwarded, shares, listed(last) + forwarded * signature),
    }


def count_byzantine(protocol: ByzSecAgg, clients: int, entries: int) -> dict[ByzPhase, Traffic]:
    """The traffic of every phase for updates of ``entries`` numbers. Nobody complains in these rounds.

    Liars are out when distances are decoded.
    """
    n, pairs = clients, clients * (clients - 1)
    rules = protocol.rules(tuple(range(n)), entries)
    there, head = n - len(protocol.dropped), 2 * NAME
    left = n - len({*protocol.dropped, *protocol.liars})
    keys, nonce, reveal = head + n * KEY, NAME + NONCE, head + KEY + n * (NAME + NONCE)
    dealt, proof = (3 * NAME + SEAL + ELEMENT * numbers for numbers in (sum(rules.dealt), rules.proof))
    combination, echo = head + ELEMENT * sum(rules.published), 3 * NAME + SEAL + HASH
    told, chosen = head + NAME * n, head + NAME * protocol.selected
    squares, sums = head + ELEMENT * (pairs // 2 + 2 * n), head + ELEMENT * rules.length
    echoed, heard = left * (n - 1), left * (left - 1)
    return {
        ByzPhase.ADVERTISE_KEYS: Traffic(n, n * keys, 0),
        ByzPhase.DEAL: Traffic(2 * pairs + 2 * n, pairs * dealt + n * nonce, 2 * n * HASH + pairs * keys),
        ByzPhase.PROVE: Traffic(2 * pairs + n, pairs * proof, pairs * dealt + n * reveal),
        ByzPhase.COMBINE: Traffic(pairs + 2 * n, n * combination, pairs * proof + n * reveal),
        ByzPhase.COMPLAIN: Traffic(n * n + n, n * 3 * NAME, n * n * combination),
        ByzPhase.DISTANCES: Traffic(2 * there, there * squares, there * told),
        ByzPhase.ECHO: Traffic(left + echoed, echoed * echo, left * chosen),
        ByzPhase.SUM: Traffic(left + heard, left * sums, heard * echo),
    }
