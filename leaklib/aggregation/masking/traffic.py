"""How many messages and bytes a round takes, counted on its graph alone: for rounds too large to run.

The tests hold it against the log of real rounds, message by message.
Chapters: 10, 11.
"""

from collections.abc import Collection
from dataclasses import dataclass

from leaklib.aggregation.crypto.primitives import KEY
from leaklib.aggregation.crypto.shamir import SHARE
from leaklib.aggregation.masking.graph import Graph
from leaklib.aggregation.masking.messages import SEALED, SIGNATURE, Drop, Phase
from leaklib.aggregation.masking.round import present
from leaklib.aggregation.parts.wire import NAME


@dataclass(frozen=True)
class Traffic:
    """Messages, and bytes up to the server and down from it, over all clients."""

    messages: int = 0
    up: int = 0
    down: int = 0


def count(
    graph: Graph,
    entries: int,
    *,
    dropped: Collection[Drop] = (),
    bits: int = 32,
    active: bool = False,
) -> dict[Phase, Traffic]:
    """The traffic of every phase of a round that no client refuses, for updates of ``entries`` numbers."""
    # Who takes part in each phase, and how many of their neighbors took part in another.
    there = {phase: frozenset(present(list(graph), dropped, phase)) for phase in Phase}
    advertised, dealt, masked, _, last = there.values()

    def pairs(these: frozenset[int], those: frozenset[int]) -> int:
        return sum(len(graph[client] & those) for client in these)

    def listed(these: frozenset[int]) -> int:  # bytes of the lists of survivors that these clients get
        return len(these) * 3 * NAME + pairs(these, dealt) * NAME

    n, signed = len(masked), SIGNATURE if active else 0
    keys = NAME + 2 * KEY + signed
    sealed, signature, share = 2 * NAME + SEALED, NAME + SIGNATURE, NAME + SHARE
    traffic = {
        Phase.ADVERTISE_KEYS: Traffic(len(advertised), len(advertised) * keys, 0),
        Phase.SHARE_KEYS: Traffic(
            2 * pairs(dealt, advertised), pairs(dealt, advertised) * sealed, pairs(dealt, advertised) * keys
        ),
        Phase.MASKED_INPUT: Traffic(
            n + pairs(masked, dealt),
            n * (3 * NAME + entries * -(-bits // 8)),
            pairs(masked, dealt) * sealed,
        ),
        Phase.CONSISTENCY_CHECK: Traffic(),
        Phase.UNMASK: Traffic(
            2 * len(last),
            len(last) * (3 * NAME + share) + pairs(last, dealt) * share,
            listed(last),
        ),
    }
    if active:
        signers = there[Phase.CONSISTENCY_CHECK]
        traffic[Phase.CONSISTENCY_CHECK] = Traffic(
            2 * len(signers), len(signers) * signature, listed(signers)
        )
        forwarded, rest = len(signers) * len(last), traffic[Phase.UNMASK]
        traffic[Phase.UNMASK] = Traffic(rest.messages + forwarded, rest.up, rest.down + forwarded * signature)
    return traffic
