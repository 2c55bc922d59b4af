"""ByzSecAgg: the server reads the sum of those updates that stand close together, and no single update.

Of N clients up to A are *Byzantine*: they deal, complain, answer, are silent and come late as they like,
and together. Up to D others *drop out* at any time and do not come back. The server follows the protocol
and is curious; T clients tell it all they have. K blocks make shares shorter, m updates are added up. Let

    N ≥ 2A + D + max(2K + 2T − 1, m + 3, D + T + 1).

*Robust.* Every round ends with the exact sum over m accepted clients, chosen by their true distances. Every
accepted vector is at most ``max_norm`` long. No honest client is called guilty, none that stays is left
out, and whoever is called guilty deviated. Against A Byzantine clients with any computing power, if the
server follows the protocol, keys are genuine (a PKI), the seal is authentic and SHA-256 a random oracle;
but for a chance of max(L, N + 1, M + 63)/p + 2^−64 for each Byzantine dealer, with shares of L entries and
M bits, of 1/p for each decoding, and of 2^−44 for each honest client, which then drops out. Outside of the
condition the round may raise ValueError, which names who is guilty or gone.

*Private.* Beyond ``leaks`` and the sum the server and T clients learn nothing of an update. That needs no
assumption on their computing power but for the seals, as shares travel through the server. A Byzantine
client that complains of an honest dealer tells the server its share, so it is one of the T.

*Against a server that deviates* three things are checked by clients: the coin (coin.py), that a sum is over
``selected`` clients or more, and that everyone was told of the same: each client echoes its lists to all
others and answers for the sum if ⌊(N + T)/2⌋ + 1 members were told the same ones. So no two sums are read
whose difference is one update. It is not claimed that such a server learns nothing: one that alters sealed
messages gets complaints, and with these the shares.

Source and differences: see byzantine/client.py. The condition is the paper's as far as we know it but for
its last part: the first of the maximum decodes distances, the second is multi-Krum's. The last is the
echo's: N − A − D honest clients must be enough. With g clients guilty and a gone, at most
A − g − max(0, a − D) of the others lie, and N − g − a answers correct so many lies.
Chapters: 13, 14.
"""

from dataclasses import dataclass
from typing import Annotated

import torch

from leaklib.aggregation.byzantine.client import ByzClient
from leaklib.aggregation.byzantine.norm import LONGEST
from leaklib.aggregation.byzantine.round import Byzantine, quantized, robust_sum
from leaklib.aggregation.byzantine.rules import ByzRules
from leaklib.aggregation.byzantine.server import ByzServer
from leaklib.aggregation.crypto.stream import session_name, streams
from leaklib.aggregation.parts.pooled import check_alike, ciphertext, readable
from leaklib.fields import Checked, Clients, Count, FinitePositive, Natural, within
from leaklib.types import Update, View


@dataclass(frozen=True)
class ByzSecAgg(Checked):
    """Jahani-Nezhad, Maddah-Ali and Caire's protocol for up to ``byzantine`` clients that do as they like.

    ``blocks`` K, ``colluders`` T and ``dropouts`` D are as in the condition above; ``selected`` updates are
    kept by multi-Krum and added up, at least ``minimum``. Entries are rounded to ``fraction_bits`` after the
    point. An update may be ``max_norm`` long; None is the most that p allows, 695 with 16 bits and twice that
    with each bit less.

    What goes wrong in this run is up to three fields with clients' numbers: ``liars`` answer with random
    numbers when asked for distances and sums, ``forgers`` put another vector into their second sharing, and
    ``dropped`` deal and are then gone. A client that sends an outlier needs no field: its update is one.

    The view's ``leaks``: ``accepted``, the clients of whom nothing wrong was found; ``squared distances``
    between their updates and their ``squared norms``, float64, in that order; ``selected``; and ``liars``,
    all that were proven guilty. Of these the server read lengths and distances too, modulo p.
    The call raises ValueError if there are too few clients for the fields, if more go wrong than these
    allow for, and for an update that is too long.
    """

    byzantine: Natural = 1
    blocks: Count = 2
    colluders: Natural = 1
    dropouts: Natural = 0
    selected: Count = 3
    fraction_bits: Annotated[int, within(0, 24)] = 16
    minimum: Count = 2
    max_norm: FinitePositive | None = None
    liars: Clients = ()
    forgers: Clients = ()
    dropped: Clients = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.selected < self.minimum:
            wanted = f"selected must be at least minimum={self.minimum}"
            raise ValueError(f"{wanted}, or single updates come out, got {self.selected}")
        if not 1 <= self.square <= LONGEST:
            most = f"{LONGEST**0.5 / 2**self.fraction_bits:.4g}"
            what = f"with {self.fraction_bits} fraction bits max_norm can be at most {most}"
            raise ValueError(f"{what}, got {self.max_norm}: lower fraction_bits, or the norm")

    @property
    def square(self) -> int:
        """The largest squared length of an update, in steps of 2^−fraction_bits."""
        return LONGEST if self.max_norm is None else int((self.max_norm * 2.0**self.fraction_bits) ** 2)

    @property
    def least(self) -> int:
        """How many clients a round needs."""
        decoding, krum = 2 * (self.blocks + self.colluders) - 1, self.selected + 3
        echo = self.dropouts + self.colluders + 1
        return 2 * self.byzantine + self.dropouts + max(decoding, krum, echo)

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View:
        check_alike(updates)
        by_client, integers = {update.client: update for update in updates}, {}
        entries = sum(tensor.numel() for tensor in updates[0].tensors.values())
        r = self.start(tuple(by_client), entries, generator=generator)
        for name, update in by_client.items():
            with r.work_of(name):
                integers[name] = quantized(update.tensors, self.fraction_bits, r.server.rules.square)
        squares, selected, total = robust_sum(r, integers, self.liars, self.forgers, self.dropped)
        scale = 2**self.fraction_bits
        mean = torch.from_numpy(total).double() / (scale * len(selected))
        distances = torch.tensor([[s / scale**2 for s in row] for row in squares], dtype=torch.float64)
        theirs = tuple(by_client[client] for client in selected)
        leaks = {"accepted": r.server.accepted, "squared distances": distances, "selected": selected}
        norms = torch.tensor([s / scale**2 for s in r.server.squares], dtype=torch.float64)
        leaks |= {"squared norms": norms, "liars": tuple(sorted(r.server.guilty))}
        sealed = tuple(_sealed(update, r.server) for update in updates)
        return View((readable(theirs, mean),), sealed, leaks, r.cost())

    def rules(self, members: tuple[int, ...], entries: int, session: bytes = b"") -> ByzRules:
        """What all parties agree on."""
        limits = self.byzantine, self.blocks, self.colluders, self.dropouts, self.selected
        return ByzRules(members, entries, *limits, self.square, session)

    def start(
        self, members: tuple[int, ...], entries: int, *, generator: torch.Generator | None
    ) -> Byzantine:
        """Everyone ready for a round over vectors of so many ``entries``.

        ValueError if the members are too few, or strangers are among the fields.
        """
        if len(members) < self.least:
            raise ValueError(f"{self} needs at least {self.least} clients, got {len(members)}")
        if strangers := sorted({*self.liars, *self.forgers, *self.dropped} - set(members)):
            raise ValueError(f"liars, forgers and dropped name client {strangers[0]}, which sent no update")
        own = streams((*members, None), generator)  # None is the server
        rules = self.rules(members, entries, session_name(generator))
        clients = {number: ByzClient(number, rules, stream=own[number]) for number in members}
        return Byzantine(clients, ByzServer(rules, stream=own[None]))


def _sealed(update: Update, server: ByzServer) -> Update:
    """The encrypted shares that came from a client, as so many numbers as its update has."""
    sent = b"".join(message.sealed for message in server.dealt.values() if message.sender == update.client)
    return ciphertext(update, sent, 4, 2.0**20)
