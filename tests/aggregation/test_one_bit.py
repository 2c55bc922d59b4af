"""One bit flipped in any message: an error that names it, or the exact sum. Never another number.

On the way a checksum finds the bit, whatever the protocol. An adversary sets the checksum right, and then:

    message        what finds the bit
    Keys           the sealed shares, which are bound to both parties' keys; active: the signature, first
    SealedShares   the seal, whose header names both parties
    Masked         its name and length do; its words are the client's own, and it may send any: nothing can
    Survivors      active: the signatures of the others. Passive: a list with a client as alive and dead, or
                   with an unknown one, is refused; one without a client costs a share, and others come
    Signature      Ed25519
    Revealed       the commitment to the seed, the public masking key

So what a client sends to the server has to travel over a channel that authenticates it, as TLS does. The
enclave's messages are bytes of their own: see test_enclave.py.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum

import numpy as np
import pytest

from leaklib.aggregation.byzantine.round import robust_sum
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.masking.graph import complete, erdos_renyi, ring
from leaklib.aggregation.masking.messages import Masked
from leaklib.aggregation.masking.phases import Drop, Phase
from leaklib.aggregation.masking.round import majorities, masked_sums, start
from leaklib.aggregation.parts.codec import AnyMessage
from leaklib.aggregation.parts.wire import CHECK, Who, Wire, frame
from leaklib.rng import generator

Play = Callable[[Wire], bool]
"""A whole round over a wire: whether its result is the exact sum over those whom it names."""


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# --- the rounds; a new protocol needs one function here ---


def masking(graph, drops: tuple[Drop, ...] = (), active: bool = False) -> Play:
    draw = np.random.default_rng(0)
    inputs = {client: draw.integers(0, 2**32, 2, dtype=np.uint32) for client in graph}

    def play(wire: Wire) -> bool:
        r = start(graph, majorities(graph), generator=generator(0, "round"), active=active)
        r.wire = wire
        sums = masked_sums(r, inputs, drops)
        zero = np.zeros(2, np.uint32)
        exact = (np.array_equal(total, sum((inputs[c] for c in part), zero)) for part, total in sums.items())
        return len(sums) == 1 and all(exact)

    return play


def byzantine() -> Play:
    draw = np.random.default_rng(0)
    vectors = {client: draw.integers(-99, 99, 5) for client in range(8)}

    def play(wire: Wire) -> bool:
        r = ByzSecAgg().start(tuple(vectors), 5, generator=generator(0, "round"))
        r.wire = wire
        _, selected, total = robust_sum(r, vectors)
        return np.array_equal(total, sum((vectors[c] for c in selected), np.zeros(5, np.int64)))

    return play


DROPS = (Drop(4, Phase.MASKED_INPUT),)
G = generator(1, "graph")
MASKING = {
    "SecAgg": masking(complete(range(5)), DROPS),
    "SecAgg, active": masking(complete(range(5)), DROPS, active=True),
    "SecAgg, ring": masking(ring(range(7), 4, generator=G), DROPS),
    "CCESA": masking(erdos_renyi(range(7), 0.8, generator=G), DROPS),
}
ALL = MASKING | {"ByzSecAgg": byzantine()}


# --- on the way ---


class Noisy(Wire):
    """Every message is sent with one bit flipped first, several times over, and refused each time."""

    bit: int | None = None

    def transport(self, sent: bytes) -> bytes:
        return sent if self.bit is None else flipped(sent, self.bit)

    def carry(self, phase: IntEnum, sender: Who, recipient: Who, message: AnyMessage) -> AnyMessage:
        first = all(type(message).__name__ != sent.kind for sent in self.log)
        size, draw = 8 * (len(message.encode()) + CHECK), np.random.default_rng(len(self.log))
        named = ("the server" if who is None else f"client {who}" for who in (sender, recipient))
        who = " to ".join(named)
        what = f"the {type(message).__name__} from {who} in {phase.name} is refused: the checksum"
        for self.bit in range(size) if first else draw.integers(0, size, 2).tolist():
            with pytest.raises(ValueError, match=what):
                super().carry(phase, sender, recipient, message)
            self.log.pop()
        self.bit = None
        return super().carry(phase, sender, recipient, message)


@pytest.mark.parametrize("play", ALL.values(), ids=ALL)
def test_a_bit_flipped_on_the_way_is_noticed_at_once_and_the_round_goes_on(play: Play) -> None:
    assert play(Noisy())


# --- by an adversary, who sets the checksum right ---


class Forged(Wire):
    """One bit of message number ``place`` is flipped, and its checksum is that of what it then says."""

    place: int = -1
    bit: int = 0

    def transport(self, sent: bytes) -> bytes:
        if len(self.log) - 1 != self.place:
            return sent
        return frame(flipped(sent[:-CHECK], self.bit))


def places(play: Play) -> Iterator[tuple[str, int, int]]:
    """Of each kind of message, in each phase and direction: the first and one in the middle."""
    wire, found = Wire(), {}
    assert play(wire)
    for place, sent in enumerate(wire.log):
        way = "up" if sent.recipient is None else "down"
        found.setdefault(f"{sent.phase.name} {sent.kind} {way}", []).append((place, sent.size))
    for kind, all_of_it in found.items():
        for place, size in {all_of_it[0], all_of_it[len(all_of_it) // 2]}:
            yield kind, place, size


@pytest.mark.slow
@pytest.mark.sampled(3)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("play", MASKING.values(), ids=MASKING)
def test_a_bit_flipped_by_an_adversary_gives_an_error_or_the_exact_sum(play: Play, seed: int) -> None:
    draw, errors = np.random.default_rng(seed), 0
    for kind, place, size in places(play):
        # All that says who, what and how much; of what is longer, a draw.
        known = 96 if "Masked" in kind else 8 * size
        for bit in (*draw.integers(0, min(96, known), 2).tolist(), int(draw.integers(0, known))):
            wire = Forged()
            wire.place, wire.bit = place, bit
            try:
                assert play(wire), f"{kind}, message {place}, bit {bit}: another number"
            except ValueError as error:
                assert "client" in str(error) or "server" in str(error), error
                errors += 1
    assert errors > 20


def test_only_a_clients_own_words_are_its_to_change() -> None:
    play, wire = MASKING["SecAgg"], Wire()
    assert play(wire)
    forged = Forged()
    forged.place = next(i for i, sent in enumerate(wire.log) if sent.kind == Masked.__name__)
    forged.bit = 8 * 12
    assert not play(forged)
