"""The server of secure aggregation: it passes messages on, and takes off the masks that clients let it.

What is left of y_u after PRG(b_u) and the masks that u shared with the dead are gone still holds the masks
that u shares with the living. These cancel in the sum over every connected part of the graph of survivors,
and in no smaller sum.

Source: see client.py.
Chapter: 11.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from leaklib.aggregation.crypto.fixed_point import Words
from leaklib.aggregation.crypto.primitives import KEY, keystream, public_key
from leaklib.aggregation.crypto.shamir import recover_checked
from leaklib.aggregation.masking.client import Rules, pair_mask
from leaklib.aggregation.masking.graph import components
from leaklib.aggregation.masking.messages import Keys, Masked, Revealed, SealedShares, Signature, Survivors
from leaklib.aggregation.parts.party import Inbox

Sums = dict[tuple[int, ...], Words]
"""For each connected part of the survivors, the sum of their updates."""


class Those:
    """Whatever ``holds`` is true of, at the time when it is asked."""

    def __init__(self, holds: Callable[[Any], bool]) -> None:
        self._holds = holds

    def __contains__(self, one: object) -> bool:
        return self._holds(one)


class Server:
    """A server that follows the protocol. It takes each message once, in time, and from who may send it.

    ``models`` are the fingerprints of those that it sent to clients. ``wrong`` has, once the sums are read,
    holder and owner of shares that stood in the way and do not fit what the owner committed to: one of the
    two is to blame, unless more of the holders lie than ``recover_checked`` can tell apart.
    """

    def __init__(self, rules: Rules, models: Mapping[int, bytes]) -> None:
        self.rules, self.graph, self.models = rules, rules.graph, models
        self.keys: Inbox[Keys] = Inbox(self.graph)
        self.shares: Inbox[SealedShares] = Inbox(Those(self._joined), "sender", "recipient")
        dealt = Those(lambda client: self.shares.closed and client in self.dealers)
        self.masked: Inbox[Masked] = Inbox(dealt)
        self.signatures: Inbox[Signature] = Inbox(self.masked)
        self.revealed: Inbox[Revealed] = Inbox(self.masked)
        self.wrong: set[tuple[int, int]] = set()

    def _joined(self, pair: tuple[int, int]) -> bool:
        one, other = pair
        return one in self.keys and other in self.keys and other in self.graph[one]

    def keys_for(self, client: int) -> list[Keys]:
        """Its neighbors' public keys. From now on no more are taken."""
        return [keys for other, keys in self.keys.close().items() if other in self.graph[client]]

    def shares_for(self, client: int) -> list[SealedShares]:
        """What its neighbors dealt to it."""
        return [self.shares[other, client] for other in self.dealers if other in self.graph[client]]

    @cached_property
    def dealers(self) -> tuple[int, ...]:
        """Who dealt shares to all of its neighbors that take part. From now on no shares are taken."""
        whole = {c: len(self.graph[c] & self.keys.keys()) for c in self.keys}
        for dealer, _ in self.shares.close():
            whole[dealer] -= 1
        return tuple(client for client, missing in whole.items() if not missing)

    def survivors_for(self, client: int) -> Survivors:
        """Whose update came, of the client and those neighbors that dealt shares, and whose did not.

        From now on no update is taken: all clients are told the same.
        """
        known, alive = self.graph[client] & set(self.dealers) | {client}, self.masked.close().keys()
        return Survivors(tuple(sorted(known & alive)), tuple(sorted(known - alive)))

    def sums(self) -> Sums:
        """What the server can read.

        ValueError if not enough shares have come for some mask, or not enough right ones.
        """
        gone = [client for client in self.dealers if client not in self.masked]
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
            words -= keystream(self.seed(client), len(words))
        for other in self.graph[client] & dead.keys():
            public, pair = self.keys[client].masking, (other, client)
            words += pair_mask(dead[other], public, *pair, len(words), self.models[client])
        return words

    def seed(self, client: int) -> bytes:
        """The seed of a client, from its neighbors' shares, as it committed to it."""
        shares = {r.client: r.seeds[client] for r in self.revealed.values() if client in r.seeds}
        known = self.keys[client].commitment
        return self._secret(client, "seed", shares, lambda seed: sha256(seed).digest() == known)

    def masking_key(self, client: int) -> bytes:
        """The secret masking key of a client, from its neighbors' shares, as its public key says."""
        shares = {r.client: r.keys[client] for r in self.revealed.values() if client in r.keys}
        known = self.keys[client].masking
        return self._secret(client, "masking key", shares, lambda key: public_key(key) == known)

    def _secret(
        self, client: int, what: str, shares: dict[int, int], right: Callable[[bytes], bool]
    ) -> bytes:
        needed = self.rules.thresholds[client]
        if len(shares) < needed:
            few = f"it takes {needed} shares of its {what}, got {len(shares)}"
            raise ValueError(f"UNMASK: client {client} cannot be unmasked: {few}")
        try:
            secret, wrong = recover_checked(shares, KEY, needed, right)
        except ValueError as error:
            raise ValueError(f"UNMASK: the {what} of client {client} cannot be recovered: {error}") from error
        self.wrong |= {(holder, client) for holder in wrong}
        return secret
