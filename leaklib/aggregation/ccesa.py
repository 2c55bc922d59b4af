"""CCESA: secure aggregation on a sparse random graph.

Only neighbors in a graph G(n, p) agree on masks and hold each other's shares. Two things can then go wrong,
and each is an event of its own:

    reliable   for every mask that has to come off, enough of those who hold shares are still there
    private    the graph of the honest survivors is connected, and no majority of a client's holders
               colludes; if not, the server reads each part's sum, or that client's update

With majorities as thresholds, Hoeffding's inequality and √((n−1) ln(n−1)) of slack for every degree, a round
in which each client is still there at the end with probability 1 − q is, in all likelihood, reliable if

    p ≥ p* = (3 √((n−1) ln(n−1)) − 1) / ((n−1) (2(1−q) − 1)),

while connectivity asks for no more than about ln n / n. p* allows for no colluders: with them see
``masking.parameters.recommended_random_graph``. What this promises, against whom and under which assumptions
is as for the passive ``SecAgg``, with the probability that both events happen.

Source: Choi, Sohn, Han, Moon, "Communication-Computation Efficient Secure Aggregation for Federated
Learning", arXiv 2012.05433, 2020. Differs: a threshold of None is a majority of each client's own holders,
not one number for all.
Chapters: 13, 14.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import log, sqrt
from typing import Annotated

import torch

from leaklib.aggregation.crypto.fixed_point import Bits
from leaklib.aggregation.masking.graph import Graph, Probability, erdos_renyi
from leaklib.aggregation.masking.phases import Drop, Dropped, Phase, check_fraction, present
from leaklib.aggregation.masking.round import fingerprints, majorities, start, view
from leaklib.fields import Checked, Count, Number, Range, check
from leaklib.rng import drawn
from leaklib.types import Update, View

Dropout = Annotated[Number, Range("in 0..0.5, 0.5 left out", lambda fraction: 0 <= fraction < 0.5)]


def recommended_probability(clients: int, dropout: float = 0.0) -> float:
    """p* for so many clients, at most 1. ``dropout`` is the fraction of clients that are gone at the end."""
    check("dropout", dropout, Dropout)
    others = clients - 1
    if others < 2:
        return 1.0
    return min(1.0, (3 * sqrt(others * log(others)) - 1) / (others * (2 * (1 - dropout) - 1)))


def recommended_threshold(clients: int, edge_probability: float) -> int:
    """One threshold for all, as in the paper: a majority of the largest neighborhood to be expected."""
    others = clients - 1
    slack = sqrt(others * log(others)) if others > 1 else 0.0
    return int((others * edge_probability + slack + 1) / 2) + 1


def reliable(
    graph: Graph, thresholds: Mapping[int, int], dropped: Collection[Drop] = (), minimum: int = 2
) -> bool:
    """Whether a round ends with a result: nobody refuses, and every mask that has to come off can."""
    advertised, dealt, masked, _, last = (set(present(graph, dropped, phase)) for phase in Phase)

    def held(client: int, there: set[int]) -> int:
        return len((graph[client] | {client}) & there)

    def enough(clients: set[int], there: set[int]) -> bool:
        return all(held(client, there) >= max(thresholds[client], minimum) for client in clients)

    needed = masked | {client for client in dealt if not graph[client].isdisjoint(masked)}
    nobody_refuses = enough(dealt, advertised) and enough(masked, dealt) and enough(last, masked)
    return bool(masked) and nobody_refuses and all(held(c, last) >= thresholds[c] for c in needed)


@dataclass(frozen=True)
class CCESA(Checked):
    """Secure aggregation on a random graph in which ``edge_probability`` joins a pair; None is p*.

    ``dropout`` is the fraction of clients that p* allows for. The other fields are those of ``SecAgg``.

    The server reads the sum of every connected part of the graph of survivors: at least ``minimum`` clients,
    since clients with fewer survivors around them refuse. The call raises ValueError
    where the round is not reliable; what the server could read of some parts is then not told.
    """

    edge_probability: Probability | None = None
    threshold: Count | None = None
    dropped: Dropped = ()
    dropout: Dropout = 0.0
    minimum: Count = 2
    bind_model: bool = True
    fraction_bits: int = 20
    bits: Bits = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction(self.fraction_bits, self.bits)

    def graph(self, clients: list[int], *, generator: torch.Generator) -> Graph:
        """A random graph over these clients."""
        p, n = self.edge_probability, len(clients)
        probability = recommended_probability(n, self.dropout) if p is None else p
        return erdos_renyi(clients, probability, generator=generator)

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View:
        graph = self.graph([update.client for update in updates], generator=drawn(generator))
        r = start(
            graph,
            majorities(graph, self.threshold),
            generator=generator,
            bits=self.bits,
            minimum=self.minimum,
            models=fingerprints(updates) if self.bind_model else None,
        )
        return view(updates, r, self.dropped, self.fraction_bits)
