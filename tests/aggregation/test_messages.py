"""Messages are bytes: they read as they were written, and not at all if something is missing."""

from dataclasses import fields

import numpy as np
import pytest

from leaklib.aggregation.masking.graph import complete, erdos_renyi, ring
from leaklib.aggregation.masking.messages import (
    SEALED,
    Keys,
    Masked,
    Revealed,
    SealedShares,
    Signature,
    Survivors,
)
from leaklib.aggregation.masking.phases import Drop, Phase
from leaklib.aggregation.masking.round import majorities, masked_sums, start
from leaklib.aggregation.parts.codec import Message
from leaklib.aggregation.parts.traffic import Traffic, count
from leaklib.aggregation.parts.wire import Wire
from leaklib.rng import generator

DRAW = np.random.default_rng(0)
MESSAGES: list[Message] = [
    Keys(3, bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))),
    Keys(3, bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96)), bytes(range(64))),
    SealedShares(3, 900, DRAW.bytes(SEALED)),
    *(Masked(7, DRAW.integers(0, 2**b, 11, dtype=np.uint32), b) for b in (8, 9, 16, 17, 24, 25, 31, 32)),
    Survivors((1, 2, 70_000), (5,)),
    Survivors((), ()),
    Signature(8, bytes(range(64))),
    Revealed(2, {1: 2**521 - 2, 4: 0}, {7: 12345}),
    Revealed(2),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_reads_as_it_was_written(message: Message) -> None:
    again = type(message).decode(message.encode())
    for field in fields(message):
        ours, theirs = getattr(message, field.name), getattr(again, field.name)
        assert np.array_equal(ours, theirs) if isinstance(ours, np.ndarray) else ours == theirs


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_of_another_length_is_refused(message: Message) -> None:
    data = message.encode()
    for damaged in (*(data[:end] for end in range(len(data))), data + b"\0"):
        if isinstance(message, Keys) and len(damaged) == 100:
            continue  # without its signature it is one of the other variant, which no client verifies
        with pytest.raises(
            ValueError, match=f"{type(message).__name__}: expected .* bytes, got {len(damaged)}"
        ):
            type(message).decode(damaged)


def test_words_take_as_many_bytes_as_they_need() -> None:
    sizes = [len(Masked(0, np.zeros(100, np.uint32), bits).encode()) - 12 for bits in (8, 12, 24, 32)]
    assert sizes == [100, 200, 300, 400]


def test_the_wire_remembers_what_it_carries() -> None:
    wire = Wire()
    read = wire.carry(Phase.UNMASK, None, 3, Survivors((1,), ()))
    assert read == Survivors((1,), ())
    (sent,) = wire.log
    assert (sent.phase, sent.sender, sent.recipient, sent.kind, sent.size) == (
        Phase.UNMASK,
        None,
        3,
        "Survivors",
        12,
    )


def test_nobody_sends_in_anothers_name() -> None:
    message = Signature(3, bytes(64))
    assert Wire().carry(Phase.UNMASK, 3, None, message) == message
    assert Wire().carry(Phase.UNMASK, None, 4, message) == message  # forwarded by the server
    refused = (
        "the Signature from client 2 to the server in UNMASK is refused: it names client 3 as its sender"
    )
    with pytest.raises(ValueError, match=refused):
        Wire().carry(Phase.UNMASK, 2, None, message)
    with pytest.raises(ValueError, match="names client 3 as its sender"):
        Wire().carry(Phase.SHARE_KEYS, 2, None, SealedShares(3, 1, bytes(SEALED)))


@pytest.mark.parametrize("seed", range(12))
def test_counting_without_running_is_exact(seed: int) -> None:
    g, draw = generator(seed, "graph"), np.random.default_rng(seed)
    n, entries, bits = int(draw.integers(4, 14)), int(draw.integers(1, 50)), int(draw.integers(8, 33))
    active = seed % 3 == 0
    sparse = (ring(range(n), 4, generator=g), erdos_renyi(range(n), 0.7, generator=g))
    graph = complete(range(n)) if active else sparse[seed % 2]
    drops = [Drop(int(c), Phase(int(draw.integers(0, 5)))) for c in draw.choice(n, n // 4, replace=False)]
    r = start(graph, majorities(graph, 1), generator=g, bits=bits, active=active)
    masked_sums(r, {c: draw.integers(0, 2**bits, entries, dtype=np.uint32) for c in range(n)}, drops)
    counted = count(graph, entries, dropped=drops, bits=bits, active=active)
    for phase in Phase:
        here = [sent for sent in r.wire.log if sent.phase == phase]
        up = sum(sent.size for sent in here if sent.recipient is None)
        down = sum(sent.size for sent in here if sent.sender is None)
        assert counted[phase] == Traffic(len(here), up, down)
    assert r.cost().messages == sum(traffic.messages for traffic in counted.values())
