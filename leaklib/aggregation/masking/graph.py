"""Who masks with whom: graphs over clients.

Secure aggregation as first published uses the complete graph, SecAgg+ a ring of k neighbors, CCESA a random
graph.

Source: Erdős, Rényi, "On random graphs I", Publicationes Mathematicae 6, 1959; Harary, "The maximum
connectivity of a graph", Proceedings of the National Academy of Sciences 48, 1962, for the ring.
Chapters: 11, 13, 14.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import numpy as np
import torch

from leaklib.fields import Number, Range, check, within

Graph = Mapping[int, frozenset[int]]
"""For every client its neighbors. Whoever is a neighbor has the other as one."""
Even = Annotated[int, Range("even and at least 2", lambda count: count >= 2 and count % 2 == 0)]
Probability = Annotated[Number, within(0, 1)]


def complete(clients: Sequence[int]) -> Graph:
    """Everyone is everyone's neighbor."""
    everyone = frozenset(clients)
    return {client: everyone - {client} for client in clients}


def ring(clients: Sequence[int], neighbors: int, *, generator: torch.Generator) -> Graph:
    """The clients in a circle, in random order, each joined to ``neighbors``, half of them on each side.

    No choice of fewer than ``neighbors`` clients separates the others. With too few clients for that many
    it is the complete graph.
    """
    check("neighbors", neighbors, Even)
    n = len(clients)
    if neighbors >= n - 1:
        return complete(clients)
    circle = [clients[i] for i in torch.randperm(n, generator=generator).tolist()]
    steps = [step for step in range(-neighbors // 2, neighbors // 2 + 1) if step]
    return {circle[i]: frozenset(circle[(i + step) % n] for step in steps) for i in range(n)}


def erdos_renyi(clients: Sequence[int], edge_probability: float, *, generator: torch.Generator) -> Graph:
    """Every pair is joined with this probability, independently of all others."""
    check("edge_probability", edge_probability, Probability)
    n = len(clients)
    coin = torch.rand(n, n, generator=generator, dtype=torch.float64) < edge_probability
    joined = coin.triu(1)
    rows = (joined | joined.T).numpy()
    names = np.asarray(clients)
    return {client: frozenset(names[row].tolist()) for client, row in zip(clients, rows, strict=True)}


def edges(graph: Graph) -> int:
    """How many pairs are joined."""
    return sum(len(neighbors) for neighbors in graph.values()) // 2


def components(graph: Graph, among: Collection[int] | None = None) -> tuple[tuple[int, ...], ...]:
    """The connected parts of the graph, or of what is left of it ``among`` some clients. Sorted."""
    left = set(graph if among is None else among)
    parts = []
    while left:
        front = {min(left)}
        part: set[int] = set()
        while front:
            part |= front
            front = {other for client in front for other in graph[client] if other in left} - part
        parts.append(tuple(sorted(part)))
        left -= part
    return tuple(parts)
