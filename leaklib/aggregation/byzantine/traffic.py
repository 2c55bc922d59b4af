"""How many messages and bytes a round of ByzSecAgg takes, by formula: for rounds too large to run.

The tests hold it against the log of real rounds, phase by phase. Nobody complains in these rounds.
Chapter: 11.
"""

from leaklib.aggregation.byzantine.messages import ELEMENT, ByzPhase
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.crypto.primitives import KEY
from leaklib.aggregation.masking.traffic import Traffic
from leaklib.aggregation.parts.wire import NAME

_SEAL = 28  # bytes that encryption adds


def count_byzantine(protocol: ByzSecAgg, clients: int, entries: int) -> dict[ByzPhase, Traffic]:
    """The traffic of every phase for updates of ``entries`` numbers."""
    n, there, pairs = clients, clients - len(protocol.dropped), clients * (clients - 1)
    length = -(-entries // protocol.blocks)
    terms = protocol.blocks + protocol.colluders
    key, head = NAME + KEY, 2 * NAME
    dealt = 3 * NAME + _SEAL + ELEMENT * (2 * (length + 1) + n)
    combination = head + ELEMENT * (terms + protocol.colluders + 2 * terms - 2)
    return {
        ByzPhase.ADVERTISE_KEYS: Traffic(n, n * key, 0),
        ByzPhase.DEAL: Traffic(2 * pairs, pairs * dealt, pairs * key),
        ByzPhase.COMBINE: Traffic(pairs + 2 * n, n * combination, pairs * dealt + n * ELEMENT),
        ByzPhase.COMPLAIN: Traffic(n * n + n, n * head, n * n * combination),
        ByzPhase.DISTANCES: Traffic(
            2 * there, there * (head + ELEMENT * (pairs // 2)), there * (head + NAME * n)
        ),
        ByzPhase.SUM: Traffic(
            2 * there, there * (head + ELEMENT * length), there * (head + NAME * protocol.selected)
        ),
    }
