"""One client of secure aggregation: what it computes in each phase, and what it refuses.

    y_u = x_u + PRG(b_u) + Σ_{v < u} PRG(s_uv) − Σ_{v > u} PRG(s_uv)  mod 2^bits,   v among the neighbors of u

The masks s_uv, which two neighbors share, cancel in the sum. The seed b_u is u's own. u deals shares of b_u
and of the key behind its s_uv to its neighbors. Of another client they later give the server one or the
other, never both: b_v if v's update is in the sum, v's key if it is not. With its public keys u sends
SHA-256(b_u), so that wrong shares of either secret are found. What u seals for v is bound to all that both
have published: two who were shown different keys of each other cannot read it.

Source: Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning", CCS 2017,
Figure 4; for graphs that are not complete Bell, Bonawitz, Gascón, Lepoint, Raykova, "Secure
Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020.
Chapter: 11.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from leaklib.aggregation.crypto import primitives as crypto
from leaklib.aggregation.crypto.fixed_point import Words
from leaklib.aggregation.crypto.shamir import SHARE, split
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.masking.graph import Graph
from leaklib.aggregation.masking.messages import Keys, Masked, Revealed, SealedShares, Signature, Survivors
from leaklib.aggregation.masking.phases import Phase
from leaklib.aggregation.parts.party import Party


@dataclass(frozen=True)
class Rules:
    """What all parties of a round agree on beforehand.

    ``thresholds`` shares open each of the two secrets of a client. ``bits`` of a word. ``session`` names the
    round: nothing sealed or signed in one holds in another. ``verifiers`` has every client's verification
    key, which makes the variant against an active server; None is the one against a server that follows the
    protocol. ``minimum`` is how many of its neighborhood, itself among them, have to be left before a client
    unmasks. ``double`` False leaves out the mask of b_u, to show what it is for.
    """

    graph: Graph
    thresholds: Mapping[int, int]
    bits: int = 32
    session: bytes = b""
    verifiers: Mapping[int, bytes] | None = None
    minimum: int = 2
    double: bool = True


def pair_mask(
    secret: bytes, public: bytes, owner: int, other: int, entries: int, model: bytes = b""
) -> Words:
    """What ``owner`` adds for its neighbor ``other``. The other adds the opposite, modulo 2^32.

    It does so if both have the same ``model``, named by its fingerprint. Masks for two models are unrelated.
    """
    mask = crypto.keystream(crypto.agree(secret, public, b"mask" + model), entries)
    return mask if owner > other else np.negative(mask)


def signed_keys(keys: Keys, session: bytes) -> bytes:
    """What a client signs of its public keys."""
    return b"keys" + session + replace(keys, signature=b"").encode()


def signed_survivors(survivors: Survivors, session: bytes) -> bytes:
    """What a client signs of a list of survivors."""
    return b"survivors" + session + survivors.encode()


class Client(Party):
    """Client ``number``. Phases are called in order, each once. ValueError where the protocol says abort.

    ``model`` is the fingerprint of the model that it was sent, to which its masks are bound.
    """

    def __init__(
        self,
        number: int,
        rules: Rules,
        *,
        stream: Stream,
        signing_key: bytes | None = None,
        model: bytes = b"",
    ) -> None:
        super().__init__(number, rules.session, stream=stream)
        self.rules, self._threshold = rules, rules.thresholds[number]
        self._signing_key, self._model = signing_key, model
        self._keys: dict[int, Keys] = {}  # of the neighbors that take part
        self._held: dict[int, tuple[int, int]] = {}  # of whom it holds shares: of the seed, and of the key
        self._checked: Survivors | None = None

    def advertise_keys(self) -> Keys:
        """Two key pairs, made new for this round, and the commitment to its seed."""
        self._enter(Phase.ADVERTISE_KEYS)
        secrets = (self._stream.bytes(crypto.KEY) for _ in range(3))
        self._sealing, self._masking, self._seed = secrets
        sealing, masking = crypto.public_key(self._sealing), crypto.public_key(self._masking)
        keys = Keys(self.number, sealing, masking, sha256(self._seed).digest())
        self._public[self.number] = keys.public
        if self._signing_key is None:
            return keys
        return replace(keys, signature=crypto.sign(self._signing_key, signed_keys(keys, self.rules.session)))

    def share_keys(self, received: Iterable[Keys]) -> list[SealedShares]:
        """A share of the seed and of the masking key for each neighbor that advertised keys."""
        self._enter(Phase.SHARE_KEYS)
        for keys in received:
            self._expect(keys.client, self.rules.graph[self.number], self._keys, "keys")
            self._verify(keys, signed_keys(keys, self.rules.session))
            self._keys[keys.client] = keys
            self._public[keys.client] = keys.public
            self._channels[keys.client] = crypto.agree(self._sealing, keys.sealing, b"seal")
        self._enough(len(self._keys) + 1, "hold shares")
        different = {key for keys in self._keys.values() for key in (keys.sealing, keys.masking)}
        if len(different) < 2 * len(self._keys):
            raise self._refusal("sees two clients advertise the same key")
        holders, g = {self.number, *self._keys}, self._stream
        seeds, keys = (split(s, self._threshold, holders, stream=g) for s in (self._seed, self._masking))
        self._held[self.number] = seeds[self.number], keys[self.number]
        plain = {c: seeds[c].to_bytes(SHARE, "big") + keys[c].to_bytes(SHARE, "big") for c in self._keys}
        return [SealedShares(self.number, c, self._seal(c, shares)) for c, shares in plain.items()]

    def masked_input(self, words: Words, received: Iterable[SealedShares]) -> Masked:
        """The update under its masks, and the neighbors' shares kept for later."""
        self._enter(Phase.MASKED_INPUT)
        for message in received:
            if message.recipient != self.number:
                raise self._refusal(f"got shares meant for client {message.recipient}")
            self._expect(message.sender, self._keys, self._held, "shares")
            plain = self._unseal(message.sender, message.sealed)
            seed, key = (int.from_bytes(share, "big") for share in (plain[:SHARE], plain[SHARE:]))
            self._held[message.sender] = seed, key
        self._enough(len(self._held), "hold shares")
        total = words.copy()
        if self.rules.double:
            total += crypto.keystream(self._seed, len(words))
        for other in self._held.keys() - {self.number}:
            public, pair = self._keys[other].masking, (self.number, other)
            total += pair_mask(self._masking, public, *pair, len(words), self._model)
        total &= np.uint32(2**self.rules.bits - 1)
        return Masked(self.number, total, self.rules.bits)

    def check_consistency(self, survivors: Survivors) -> Signature:
        """Its signature on the list of survivors, for all others to compare."""
        self._enter(Phase.CONSISTENCY_CHECK)
        if self._signing_key is None:
            raise ValueError(f"client {self.number} has no signing_key: no consistency check")
        self._check(survivors)
        self._checked = survivors
        signed = signed_survivors(survivors, self.rules.session)
        return Signature(self.number, crypto.sign(self._signing_key, signed))

    def unmask(self, survivors: Survivors, signatures: Iterable[Signature] = ()) -> Revealed:
        """Its shares of the seeds of the living, and of the keys of the dead."""
        self._enter(Phase.UNMASK)
        self._check(survivors)
        if self.rules.verifiers is not None:
            self._compare(survivors, signatures)
        seeds = {other: self._held[other][0] for other in survivors.alive if self.rules.double}
        return Revealed(self.number, seeds, {other: self._held[other][1] for other in survivors.dead})

    def _check(self, survivors: Survivors) -> None:
        alive, dead = set(survivors.alive), set(survivors.dead)
        if both := sorted(alive & dead):
            raise self._refusal(f"is asked for both shares of client {both[0]}, as alive and as dead")
        if strange := sorted((alive | dead) - self._held.keys()):
            raise self._refusal(f"holds no shares of client {strange[0]}, which the list names")
        if self.number not in alive:
            raise self._refusal("sent its update, but is not on the list of survivors")
        self._enough(len(alive), "survive")

    def _compare(self, survivors: Survivors, signatures: Iterable[Signature]) -> None:
        """Enough of the survivors were told the same."""
        if survivors != self._checked:
            raise self._refusal("signed another list of survivors than it is shown now")
        seen: dict[int, Signature] = {}
        signed = signed_survivors(survivors, self.rules.session)
        for signature in signatures:
            self._expect(signature.client, survivors.alive, seen, "signatures")
            self._verify(signature, signed)
            seen[signature.client] = signature
        self._enough(len(seen), "signed the list of survivors")

    def _verify(self, message: Keys | Signature, signed: bytes) -> None:
        """In the active variant every message is what its sender ``signed``."""
        if self.rules.verifiers is not None:
            verifier, sender = self.rules.verifiers[message.client], f"client {message.client}"
            crypto.verify(verifier, signed, message.signature, sender)

    def _enter(self, phase: Phase) -> None:
        if phase <= self._phase:
            raise self._refusal(f"was in {phase.name} already, and each phase happens once")
        self._phase = phase

    def _expect(self, sender: int, allowed: Iterable[int], seen: Mapping[int, object], what: str) -> None:
        if sender not in allowed:
            raise self._refusal(f"expects no {what} from client {sender}")
        if sender in seen:
            raise self._refusal(f"got {what} from client {sender} twice")

    def _enough(self, got: int, do_what: str) -> None:
        least = max(self._threshold, self.rules.minimum)
        if got < least:
            wanted = f"{least} clients of its neighborhood that {do_what}"
            raise self._refusal(f"needs {wanted}, got {got}")
