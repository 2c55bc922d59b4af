"""The server of secure aggregation: it passes messages on, and takes off the masks that clients let it.

What is left of y_u after PRG(b_u) and the masks that u shared with the dead are gone still holds the masks
that u shares with the living. These cancel in the sum over every connected part of the graph of survivors,
and in no smaller sum.

Source: see client.py.
Chapter: 10.
"""

from collections.abc import Callable, Mapping

import numpy as np

from leaklib.aggregation.crypto.fixed_point import Words
from leaklib.aggregation.crypto.primitives import KEY, keystream, public_key
from leaklib.aggregation.crypto.shamir import recover
from leaklib.aggregation.masking.client import Rules, pair_mask
from leaklib.aggregation.masking.graph import components
from leaklib.aggregation.masking.messages import Keys, Masked, Revealed, SealedShares, Signature, Survivors
from leaklib.aggregation.parts.party import Inbox

Sums = dict[tuple[int, ...], Words]
"""For each connected part of the survivors, the sum of their updates."""


class Server:
    """A server that follows the protocol. It takes each message once, and from those who may send it."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.graph = rules, rules.graph
        self.keys: Inbox[Keys] = Inbox(self.graph)
        self.shares: dict[int, Inbox[SealedShares]] = {}  # by sender, then by recipient
        self.masked: Inbox[Masked] = Inbox(self.keys)
        self.signatures: Inbox[Signature] = Inbox(self.masked)
        self.revealed: Inbox[Revealed] = Inbox(self.masked)

    def keys_for(self, client: int) -> list[Keys]:
        """Its neighbors' public keys."""
        return [keys for other, keys in self.keys.items() if other in self.graph[client]]

    def receive_shares(self, shares: SealedShares) -> None:
        """What one client deals to one neighbor."""
        neighbors = self.graph[shares.sender] & self.keys.keys()
        self.shares.setdefault(shares.sender, Inbox(neighbors, "recipient")).put(shares)

    def shares_for(self, client: int) -> list[SealedShares]:
        """What its neighbors dealt to it."""
        return [dealt[client] for dealt in self.shares.values() if client in dealt]

    def survivors_for(self, client: int) -> Survivors:
        """Whose update came, of the client and those neighbors that dealt shares, and whose did not."""
        known = (self.graph[client] & self.shares.keys()) | {client}
        return Survivors(tuple(sorted(known & self.masked.keys())), tuple(sorted(known - self.masked.keys())))

    def sums(self) -> Sums:
        """What the server can read.

        ValueError if not enough shares have come for some mask.
        """
        gone = [client for client in self.shares if client not in self.masked]
        # Of these the masks have to come off that survivors added for them.
        dead = {c: self.masking_key(c) for c in gone if not self.graph[c].isdisjoint(self.masked)}
        sums = {}
        for part in components(self.graph, self.masked):
            total = sum((self.still_masked(client, dead) for client in part), np.uint32(0))
            sums[part] = total & np.uint32(2**self.rules.bits - 1)
        return sums

    def still_masked(self, client: int, dead: Mapping[int, bytes]) -> Words:
        """The client's update under no other masks than those that it shares with the living."""
        words = self.masked[client].words.copy()
        if self.rules.double:
            words -= keystream(self._secret(client, lambda revealed: revealed.seeds), len(words))
        for other in self.graph[client] & dead.keys():
            words += pair_mask(dead[other], self.keys[client].masking, other, client, len(words))
        return words

    def masking_key(self, client: int) -> bytes:
        """The secret masking key of a client, from its neighbors' shares."""
        key = self._secret(client, lambda revealed: revealed.keys)
        if public_key(key) != self.keys[client].masking:
            raise ValueError(f"the shares of client {client}'s key do not give it: one was tampered with")
        return key

    def _secret(self, client: int, kind: Callable[[Revealed], dict[int, int]]) -> bytes:
        shares = {r.client: kind(r)[client] for r in self.revealed.values() if client in kind(r)}
        needed, got = self.rules.thresholds[client], len(shares)
        if got < needed:
            raise ValueError(f"client {client} cannot be unmasked: it takes {needed} shares, got {got}")
        return recover(dict(list(shares.items())[:needed]), KEY)
