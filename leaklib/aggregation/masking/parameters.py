"""How many neighbors a client needs, and how many shares have to open its secrets.

Three things can go wrong on a graph whose vertices are the clients in random order, when c of n collude with
the server and d drop out, whoever these are, as long as nobody chose them for their place:

    opened       as many neighbors of an honest client collude as open its secrets
    lost         too few of those who hold a client's shares are left to open them
    cut          the graph of honest survivors is not connected

Bell et al. call what must hold instead E1, E3 and E2. How many of a client's neighbors are among c given
clients is hypergeometric on a ring, where each has k neighbors; the sum over clients bounds the probability
that it goes wrong for one. A ring can fall apart only where k/2 clients in a row are gone.

Source: Bell, Bonawitz, Gascón, Lepoint, Raykova, "Secure Single-Server Aggregation with (Poly)Logarithmic
Overhead", CCS 2020. Differs: one failure probability for all three; a client also holds a share of its own
secrets, so that t of k + 1 open them.
Chapters: 13, 14.
"""

from collections.abc import Collection, Mapping
from math import floor
from typing import Annotated, NamedTuple

import numpy as np
from scipy.special import gammaln
from scipy.stats import binom, hypergeom

from leaklib.aggregation.masking.graph import Graph, components
from leaklib.fields import Inner, Number, Range, Several, check

Fraction = Annotated[Number, Range("at least 0 and below 1", lambda fraction: 0 <= fraction < 1)]


class Recommended(NamedTuple):
    """``neighbors`` and ``threshold`` as ``SecAgg`` takes them, and a bound on the chance of ``failure``."""

    neighbors: int
    threshold: int
    failure: float


def opened(
    graph: Graph, thresholds: Mapping[int, int], clients: Collection[int], colluders: Collection[int]
) -> list[int]:
    """Those of ``clients`` of whose two secrets ``colluders`` hold as many shares as open them.

    The server gets one secret of each client anyway. With the other, it reads the client's update.
    """
    return [c for c in clients if len(graph[c].intersection(colluders)) >= thresholds[c]]


def private(
    graph: Graph,
    thresholds: Mapping[int, int],
    survivors: Collection[int],
    colluders: Collection[int] = (),
) -> bool:
    """Whether the server, with what ``colluders`` tell it, reads the sum of all others and no smaller one.

    It must not be able to open any honest survivor's secrets, and the graph of these must be connected. All
    follow the protocol otherwise.
    """
    honest = set(survivors).difference(colluders)
    return not opened(graph, thresholds, honest, colluders) and len(components(graph, honest)) <= 1


def recommended_graph(
    clients: int, colluding: Number, dropping: Number, failure: Number = 2**-40
) -> Recommended:
    """The sparsest ring on which a round goes wrong at most with probability ``failure``.

    ``colluding`` and ``dropping`` are fractions of the clients, rounded to whole numbers of them. Of several
    thresholds that will do it has the largest. ValueError if not even the complete graph is enough.
    """
    bad, gone = _numbers(clients, colluding, dropping, failure)
    for neighbors in range(2, clients + 1, 2):
        degree = min(neighbors, clients - 1)
        run = neighbors // 2
        cut = clients * hypergeom.pmf(run, clients, bad + gone, run) if degree < clients - 1 else 0.0
        total = _opened_or_lost(clients, bad, gone, degree, np.arange(degree + 2)) + cut
        if (total <= failure).any():
            threshold = int(np.flatnonzero(total <= failure).max())
            return Recommended(neighbors, threshold, float(total[threshold]))
    case = f"{bad} of {clients} clients colluding and {gone} dropping out"
    raise ValueError(f"no graph protects against {case}: expected fewer of them")


def _numbers(clients: int, colluding: Number, dropping: Number, failure: Number) -> tuple[int, int]:
    check("clients", clients, Several)
    check("colluding", colluding, Fraction)
    check("dropping", dropping, Fraction)
    check("failure", failure, Inner)
    return floor(clients * colluding + 0.5), floor(clients * dropping + 0.5)


def _opened_or_lost(
    clients: int, bad: int, gone: int, degree: int | np.ndarray, threshold: np.ndarray
) -> np.ndarray:
    """A bound on the probability that some client is, for each threshold, and degree if there are several."""
    others, left = clients - 1, clients - gone
    opened = hypergeom.sf(threshold - 1, others, bad, degree)
    # Of a survivor the other survivors and itself hold shares, of one that dropped out all survivors.
    alive = hypergeom.cdf(threshold - 2, others, left - 1, degree)
    dead = hypergeom.cdf(threshold - 1, others, min(left, others), degree)
    return (clients - bad) * opened + left * alive + gone * dead


def recommended_random_graph(
    clients: int, colluding: Number, dropping: Number, failure: Number = 2**-40
) -> float:
    """The least edge probability, within 10⁻⁴, at which a random graph with majorities does the same.

    Arguments are those of ``recommended_graph``. Against ``cut`` it counts the ways to part the survivors.
    """
    bad, gone = _numbers(clients, colluding, dropping, failure)
    degrees = np.arange(clients)
    wrong = np.minimum(_opened_or_lost(clients, bad, gone, degrees, (degrees + 1) // 2 + 1), clients)
    honest = clients - bad - gone
    sizes = np.arange(1, honest // 2 + 1)
    ways = gammaln(honest + 1) - gammaln(sizes + 1) - gammaln(honest - sizes + 1)

    def total(p: float) -> float:
        cut = np.exp(ways + sizes * (honest - sizes) * np.log1p(-p)).sum()
        return float(binom.pmf(degrees, clients - 1, p) @ wrong + cut)

    low, high = 0.0, 1.0 - 1e-12
    if total(high) > failure:
        raise ValueError(f"no edge probability is enough for {bad} of {clients} colluding, {gone} dropping")
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if total(middle) <= failure else (middle, high)
    return high
