"""Secure aggregation: the server reads the sum of the updates, and none of them.

Each client adds masks that cancel in the sum. Shares of what the masks were made from let the others remove
the masks of whoever drops out.

    what         the server and c clients on its side learn the sum over the survivors' updates, and nothing
                 else about those of the others
    against      passive: they follow the protocol, and pool what they see:         t > c
                 active: they say and claim what they like, each client another:    t > (n + c)/2
    assuming     gap Diffie-Hellman on X25519; HKDF-SHA256 and SHA-256 as random oracles; ChaCha20 as a
                 pseudorandom generator; ChaCha20-Poly1305 as authenticated encryption. Active: Ed25519 cannot
                 be forged, and all know each other's verification keys (a PKI)
    probability  but for what it takes to break one of these: a promise against computers, not one of
                 information theory

Why (n + c)/2: both secrets of a client open if t holders are told that it is alive and t that it is dead. An
honest client answers, and signs, once; a colluder does so for both stories. Two stories take
2t ≤ (n − c) + 2c = n + c.

What it does not promise: that the sum is right if clients send what they like, that few clients hide one, or
that the server sent an honest model. ``bind_model`` makes masks of clients with different models unrelated,
so a server that sends one of them another model to single it out reads noise. It does not help where all get
the same malicious model.

Source: Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017.
Bell, Bonawitz, Gascón, Lepoint, Raykova, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead",
CCS 2020, for ``neighbors``. Differs: the active variant signs a name of the round along, so that nothing
signed holds in another; clients commit to their seeds by a hash, so that wrong shares are found; on a ring
the threshold is a majority unless given. Binding masks to the model is meant against Pasquini, Francati,
Ateniese, "Eluding Secure Aggregation in Federated Learning via Model Inconsistency", CCS 2022.
Chapter: 11.
"""

from dataclasses import dataclass

import torch

from leaklib.aggregation.crypto.fixed_point import Bits
from leaklib.aggregation.masking.graph import Even, complete, ring
from leaklib.aggregation.masking.phases import Dropped, check_fraction
from leaklib.aggregation.masking.round import fingerprints, start, view
from leaklib.fields import Checked, Count, Natural
from leaklib.rng import drawn
from leaklib.types import Update, View


@dataclass(frozen=True)
class SecAgg(Checked):
    """Bonawitz et al.'s protocol; with ``neighbors``, an even number, on a ring of so many, as in SecAgg+.

    ``threshold`` shares of those that a client deals, one to each neighbor and one to itself, open its
    secrets. None is the least that protects against ``colluders`` clients on the server's side, wherever they
    stand, and at least a majority; one that does not is refused. On a ring, where few colluders at random
    places do no harm, take both numbers from ``masking.parameters.recommended_graph``. ``dropped``
    are clients that stop, before they send their update, or before the phase that a ``Drop`` names.
    ``active`` adds signatures and the consistency check, against a server that tells clients different
    stories; it needs the complete graph, on which everyone sees the whole list of survivors.
    Clients unmask nothing if fewer than ``minimum`` of their neighborhood besides ``colluders``, they
    themselves among them, are left; 1 switches that off. With ``bind_model`` masks are derived from the
    client's ``Update.model``.
    Entries are rounded to ``fraction_bits`` after the point and sent as words of ``bits`` bits.

    The call raises ValueError where the protocol ends without a result, and where a sum might overflow. The
    view's ``leaks`` name the survivors, and (holder, owner) of the wrong shares that were found.
    """

    threshold: Count | None = None
    dropped: Dropped = ()
    neighbors: Even | None = None
    active: bool = False
    colluders: Natural = 0
    minimum: Count = 2
    bind_model: bool = True
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
        thresholds = {client: self._threshold(len(others) + 1) for client, others in graph.items()}
        r = start(
            graph,
            thresholds,
            generator=generator,
            bits=self.bits,
            active=self.active,
            minimum=self.minimum + self.colluders,  # who can take off the sum what they sent
            models=fingerprints(updates) if self.bind_model else None,
        )
        return view(updates, r, self.dropped, self.fraction_bits)

    def _threshold(self, holders: int) -> int:
        """That of a client with so many ``holders`` of its shares. ValueError if it does not protect."""
        c = self.colluders
        largest = (holders + c) // 2 if self.active else c  # that does not protect
        if self.threshold is None:
            return max(largest, holders // 2) + 1
        if self.threshold <= largest:
            server = "a server that lies" if self.active else "a server"
            case = f"against {server} with {c} of {holders} clients on its side"
            raise ValueError(f"threshold must be above {largest} {case}, got {self.threshold}")
        return self.threshold
