"""Secure aggregation: the server reads the sum of the updates, and none of them.

Each client adds masks that cancel in the sum. Shares of what the masks were made from let the others remove
the masks of whoever drops out. That a masked update says nothing rests on X25519, ChaCha20 and
ChaCha20-Poly1305: it is a promise against computers, not one of information theory.

Source: Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017.
Bell, Bonawitz, Gascón, Lepoint, Raykova, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead",
CCS 2020, for ``neighbors``. Differs: the active variant signs a name of the round along, so that nothing
signed holds in another; on a ring the threshold is a majority and not computed from expected dropouts.
Chapter: 10.
"""

from dataclasses import dataclass

import torch

from leaklib.aggregation.crypto.fixed_point import Bits
from leaklib.aggregation.masking.graph import Even, complete, ring
from leaklib.aggregation.masking.phases import Dropped, check_fraction
from leaklib.aggregation.masking.round import majorities, start, view
from leaklib.fields import Checked, Count
from leaklib.rng import drawn
from leaklib.types import Update, View


@dataclass(frozen=True)
class SecAgg(Checked):
    """Bonawitz et al.'s protocol; with ``neighbors``, an even number, on a ring of so many, as in SecAgg+.

    ``threshold`` shares of those that a client deals, one to each neighbor and one to itself, open its
    secrets: the protection holds against a server with fewer clients on its side. None is a majority.
    ``dropped`` are clients that stop, before they send their update, or before the phase that a ``Drop``
    names. ``active`` adds signatures and the consistency check, against a server that tells clients
    different stories; it needs the complete graph, on which everyone sees the whole list of survivors.
    Entries are rounded to ``fraction_bits`` after the point and sent as words of ``bits`` bits.

    The call raises ValueError where the protocol ends without a result, and where a sum might overflow. The
    view's ``leaks`` name the survivors.
    """

    threshold: Count | None = None
    dropped: Dropped = ()
    neighbors: Even | None = None
    active: bool = False
    fraction_bits: int = 20
    bits: Bits = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fraction(self.fraction_bits, self.bits)
        if self.active and self.neighbors is not None:
            raise ValueError("active must be False with neighbors, got True: clients see different lists")

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View:
        clients = [update.client for update in updates]
        k = self.neighbors
        graph = complete(clients) if k is None else ring(clients, k, generator=drawn(generator))
        thresholds = majorities(graph, self.threshold)
        r = start(graph, thresholds, generator=generator, bits=self.bits, active=self.active)
        return view(updates, r, self.dropped, self.fraction_bits)
