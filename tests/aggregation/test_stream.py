"""Who draws what: each party from its own stream, and the operating system unless a seed is given."""

import hashlib

import pytest
import torch

from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.ccesa import CCESA
from leaklib.aggregation.crypto.field import P, uniform
from leaklib.aggregation.crypto.stream import SESSION, Stream, session_name, streams
from leaklib.aggregation.enclave import Enclave
from leaklib.aggregation.masking.graph import complete
from leaklib.aggregation.masking.round import majorities, start
from leaklib.aggregation.parts.wire import Exchange
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Aggregation, Update

PROTOCOLS = [SecAgg(), SecAgg(active=True), SecAgg(neighbors=4), CCESA(0.8), ByzSecAgg(), Enclave()]


def updates(clients: int = 10) -> tuple[Update, ...]:
    draw = generator(0, "updates")
    vectors = (0.3 * torch.randn(9, generator=draw) for _ in range(clients))
    return tuple(Update({"w": w}, FedSGD(), 1, (9,), client=c) for c, w in enumerate(vectors))


def sealed(protocol: Aggregation, seed: int | None) -> list[torch.Tensor]:
    """What the server got and cannot read; ``seed`` None leaves it to the operating system."""
    view = protocol(updates(), generator=None if seed is None else generator(seed, "round"))
    return [update.tensors["w"] for update in view.sealed]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_a_seed_decides_every_secret(protocol: Aggregation) -> None:
    before = torch.get_rng_state()
    once, again, other = (sealed(protocol, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for one, two, three in zip(once, again, other, strict=True):
        assert torch.equal(one, two) and not (one == three).any()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=repr)
def test_without_a_seed_no_two_rounds_are_alike(protocol: Aggregation) -> None:
    for one, two in zip(sealed(protocol, None), sealed(protocol, None), strict=True):
        assert not (one == two).any()


def masking(seed: int | None) -> Exchange:
    graph = complete(range(4))
    return start(graph, majorities(graph), generator=None if seed is None else generator(seed, "round"))


def byzantine(seed: int | None) -> Exchange:
    members = tuple(range(8))
    return ByzSecAgg().start(members, 3, generator=None if seed is None else generator(seed, "round"))


@pytest.mark.parametrize("play", [masking, byzantine])
def test_the_rounds_name_says_nothing_of_the_seed(play) -> None:
    names = {play(seed).server.rules.session for seed in range(3)}
    assert len(names) == 1
    free = {play(None).server.rules.session for _ in range(3)}
    assert len(free) == 3 and all(len(name) == SESSION for name in free)


def reachable(thing: object, seen: dict[int, object]) -> dict[int, object]:
    """Everything that an object holds, however deep."""
    if id(thing) not in seen and not isinstance(thing, (type, torch.Tensor)):
        seen[id(thing)] = thing
        inner = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
        if isinstance(thing, dict):
            inner += [*thing, *thing.values()]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            inner += thing
        for one in inner:
            reachable(one, seen)
    return seen


@pytest.mark.parametrize("play", [masking, byzantine])
@pytest.mark.parametrize("seed", [0, None])
def test_no_party_can_reach_anothers_randomness(play, seed: int | None) -> None:
    r = play(seed)
    parties = [*r.clients.values(), r.server]
    held = [
        {key for key, thing in reachable(party, {}).items() if isinstance(thing, (Stream, torch.Generator))}
        for party in parties
    ]
    assert all(len(streams) == 1 for streams in held[:-1]) and len(held[-1]) <= 1
    assert len(set().union(*held)) == sum(map(len, held))


def test_streams_are_independent_of_each_other_and_of_the_order_of_drawing() -> None:
    one, two = (streams(order, generator(0, "s")) for order in ((0, 1, None), (None, 1, 0)))
    first = {who: stream.bytes(40) for who, stream in one.items()}
    assert first == {who: stream.bytes(40) for who, stream in two.items()}
    assert len(set(first.values())) == 3
    assert len({stream.bytes(40) for stream in streams(range(9), None).values()}) == 9
    other = streams((0, 1, None), generator(1, "s"))
    assert all(other[who].bytes(40) != drawn for who, drawn in first.items())


def test_a_streams_bytes_follow_one_another_and_look_uniform() -> None:
    whole, parts = Stream(0, "k"), Stream(0, "k")
    data = whole.bytes(80_000)
    assert data == parts.bytes(1) + parts.bytes(79_999)
    counts = torch.bincount(torch.frombuffer(bytearray(data), dtype=torch.uint8).long(), minlength=256)
    assert ((counts - 312.5).square().sum() / 312.5).item() < 360  # chi-square of 255 degrees: 1 in 50,000
    assert hashlib.sha256(data).digest() != hashlib.sha256(Stream(1, "k").bytes(80_000)).digest()


def test_elements_are_61_bits_drawn_again_where_they_are_p(monkeypatch: pytest.MonkeyPatch) -> None:
    source = iter(
        [b"\xff" * 8 + bytes(8) + b"\xff" * 8, b"\xff" * 8 + b"\x05" + bytes(7), b"\x07" + bytes(7)]
    )
    stream = Stream(0)
    monkeypatch.setattr(stream, "bytes", lambda count: next(source))
    assert uniform((3,), stream=stream).tolist() == [7, 0, 5]
    drawn = uniform((4, 5), stream=Stream(0))
    assert drawn.shape == (4, 5) and (drawn < P).all() and len(set(drawn.reshape(-1).tolist())) == 20


def test_a_rounds_name_is_random_or_zero() -> None:
    assert session_name(generator(5, "x")) == bytes(SESSION)
    assert session_name(None) != session_name(None)
