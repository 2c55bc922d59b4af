"""Small laws of whole rounds and of what travels in them: what the longer tests walk past."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leaklib.aggregation.byzantine.krum import multi_krum
from leaklib.aggregation.byzantine.messages import Complaint, Dealt, Names, Numbers
from leaklib.aggregation.byzantine.messages import Keys as ByzKeys
from leaklib.aggregation.byzantine.round import quantized
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.crypto.field import P, elements, from_bytes, to_bytes
from leaklib.aggregation.crypto.primitives import (
    agree,
    keystream,
    public_key,
    seal,
    unseal,
)
from leaklib.aggregation.crypto.ramp import point
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.masking.client import pair_mask, signed_keys, signed_survivors
from leaklib.aggregation.masking.graph import complete
from leaklib.aggregation.masking.messages import Keys, Masked, Revealed, SealedShares, Signature, Survivors
from leaklib.aggregation.masking.round import advertise_keys, majorities, start
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.mechanisms.sign import SignSGD
from leaklib.rng import generator
from leaklib.types import Aggregation, Update

TOP = 2**32 - 1  # the last name that four bytes hold


def updates(clients: int) -> tuple[Update, ...]:
    g = generator(0, "updates")
    drawn = (0.3 * torch.randn(5, generator=g) for _ in range(clients))
    return tuple(Update({"w": w}, FedSGD(), 1, (3,), client=c) for c, w in enumerate(drawn))


@pytest.mark.parametrize(("bits", "fraction_bits"), [(8, 0), (13, 7), (32, 20)])
def test_the_mean_is_read_with_its_sign_whatever_the_size_of_a_word(bits: int, fraction_bits: int) -> None:
    sent = tuple(replace(u, tensors={"w": torch.tensor([-3.0, 1.0, 0.0, -1.0])}) for u in updates(5))
    view = SecAgg(bits=bits, fraction_bits=fraction_bits)(sent, generator=generator(0, "round"))
    assert view.updates[0].tensors["w"].tolist() == [-3, 1, 0, -1]
    half = 2.0 ** (bits - 1 - fraction_bits)
    assert all(-half <= w < half for sealed in view.sealed for w in sealed.tensors["w"].tolist())
    assert any(w < 0 for sealed in view.sealed for w in sealed.tensors["w"].tolist())


@pytest.mark.parametrize("protocol", [SecAgg(), ByzSecAgg()], ids=repr)
def test_what_arrives_sealed_claims_nothing_of_what_was_done_to_it(protocol: Aggregation) -> None:
    sent = tuple(replace(u, mechanism=SignSGD(), sensitivity=0.5) for u in updates(8))
    view = protocol(sent, generator=generator(0, "round"))
    assert {(u.mechanism, u.sensitivity) for u in view.sealed} == {(None, None)}
    (read,) = view.updates
    assert read.mechanism is None and read.sensitivity == 0.5 / len(read.clients)


def test_the_server_takes_shares_for_neighbors_that_take_part_alone() -> None:
    path = {0: frozenset({1, 3}), 1: frozenset({0, 2}), 2: frozenset({1}), 3: frozenset({0})}
    r = start(path, majorities(path), generator=generator(0, "round"))
    advertise_keys(r, [0, 1, 2])
    for recipient in (2, 3):  # no neighbor; one that sent no keys
        with pytest.raises(ValueError, match=f"no SealedShares of client 0 for {recipient}"):
            r.server.shares.put(SealedShares(0, recipient, bytes(160)))
    r.server.shares.put(SealedShares(0, 1, bytes(160)))


def test_fraction_bits_stay_below_the_bits_of_a_word() -> None:
    for fraction_bits in (-1, 8):
        with pytest.raises(ValueError, match=rf"fraction_bits must be in 0..7, got {fraction_bits}"):
            SecAgg(bits=8, fraction_bits=fraction_bits)


# --- what is signed and sealed ---


def test_a_signature_covers_every_field_and_the_round_and_one_kind_of_message() -> None:
    keys = Keys(3, bytes(32), bytes([1] * 32), bytes([2] * 32))
    changed = (
        replace(keys, client=4),
        replace(keys, sealing=keys.masking),
        replace(keys, masking=bytes(32)),
        replace(keys, commitment=bytes(32)),
    )
    told = Survivors((1, 2), (3,))
    others = (
        Survivors((1,), (2, 3)),
        Survivors((1, 2), ()),
        Survivors((1, 2), (4,)),
        Survivors((2, 1), (3,)),
    )
    signed = [signed_keys(one, session) for one in (keys, *changed) for session in (b"one", b"two")]
    signed += [signed_survivors(one, session) for one in (told, *others) for session in (b"one", b"two")]
    assert len(set(signed)) == len(signed) == 20
    assert all(b"one" in text or b"two" in text for text in signed)
    assert signed_keys(replace(keys, signature=bytes(64)), b"one") == signed[0]
    # Without a session nothing of one kind can pass for the other.
    assert signed_keys(keys, b"")[:4] != signed_survivors(told, b"")[:4]


def test_two_neighbors_masks_cancel_and_each_is_the_stream_of_their_key() -> None:
    one, two = (Stream(seed, "k").bytes(32) for seed in range(2))
    stream = keystream(agree(one, public_key(two), b"mask"), 7)
    assert np.array_equal(pair_mask(two, public_key(one), 5, 3, 7), stream)
    assert np.array_equal(pair_mask(one, public_key(two), 3, 5, 7), -stream)
    assert len(stream) == 7 and stream.dtype == np.uint32 and len(set(stream.tolist())) == 7
    assert not np.array_equal(stream, keystream(agree(one, public_key(two), b"seal"), 7))


def test_no_two_seals_are_alike() -> None:
    g, key = Stream(0, "k"), bytes(32)
    one, two = (seal(key, b"text", b"head", stream=g) for _ in range(2))
    assert one[:12] != two[:12] and one[12:] != two[12:]
    assert one[:12] == Stream(0, "k").bytes(12)
    assert unseal(key, one, b"head") == unseal(key, two, b"head") == b"text"


# --- what travels ---


@pytest.mark.parametrize(
    "message",
    [
        Keys(TOP, bytes([255] * 32), bytes(range(32)), bytes(range(32, 64))),
        Masked(TOP, np.array([TOP, 0, 258], np.uint32)),
        Masked(TOP, np.array([255, 7], np.uint32), 8),
        Survivors((TOP, 0), (TOP - 1,)),
        Signature(TOP, bytes(range(64))),
        Revealed(TOP, {TOP: 2**521 - 2, 1: 3}, {TOP - 1: 258}),
        ByzKeys(TOP, bytes([255] * 32), (bytes(32), bytes([255] * 32))),
        Dealt(TOP, TOP - 1, b"sealed"),
        Complaint(TOP, (TOP - 1,), (bytes([255] * 32),)),
        Names(TOP, (TOP, 0)),
        Numbers(TOP, elements([P - 1, 0, 258])),
    ],
    ids=lambda message: type(message).__name__,
)
def test_the_largest_names_and_numbers_travel(message) -> None:
    data = message.encode()
    again = type(message).decode(data)
    for name, value in vars(message).items():
        assert np.array_equal(getattr(again, name), value) and type(getattr(again, name)) is type(value)
    if not isinstance(message, Survivors):
        assert data[:4] == bytes([255] * 4)
    for wrong in (data[:-1], data[:3], b"", data + b"\0"):
        with pytest.raises(ValueError, match=rf"{type(message).__name__}: expected .* got {len(wrong)}: cut"):
            type(message).decode(wrong)


def test_numbers_travel_with_the_smallest_byte_first() -> None:
    assert Names(258, (1,)).encode() == bytes([2, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    assert Survivors((1,), (2,)).encode() == bytes([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0])
    assert (
        Numbers(1, elements([258])).encode()[8:]
        == bytes([2, 1, 0, 0, 0, 0, 0, 0])
        == to_bytes(elements([258]))
    )
    assert Masked(1, np.array([772], np.uint32), 16).encode()[12:] == bytes([4, 3])
    assert Keys(1, bytes(32), bytes(32), bytes(32)).encode()[:4] == bytes([1, 0, 0, 0])
    assert SealedShares(1, 2, bytes(160)).encode()[:8] == bytes([1, 0, 0, 0, 2, 0, 0, 0])
    assert Revealed(1, {2: 3}).encode()[12:] == bytes([2, 0, 0, 0, *[0] * 65, 3])


def test_holder_i_stands_at_i_plus_1() -> None:
    assert [point(holder) for holder in (0, 1, 7)] == [1, 2, 8]


def test_p_is_no_element() -> None:
    assert from_bytes((P - 1).to_bytes(8, "little")).tolist() == [P - 1]
    for number in (P, 2**64 - 1):
        with pytest.raises(ValueError, match="no element of the field"):
            from_bytes(bytes(8) + number.to_bytes(8, "little"))


# --- who decides ---


def test_more_than_half_of_the_holders_open_a_secret() -> None:
    for n, needed in ((2, 2), (3, 2), (4, 3), (5, 3), (6, 4)):
        assert set(majorities(complete(range(n))).values()) == {needed}
    assert set(majorities(complete(range(5)), 2).values()) == {2}
    assert majorities({0: frozenset({1}), 1: frozenset({0, 2}), 2: frozenset({1})}) == {0: 2, 1: 2, 2: 2}


def test_multi_krum_takes_the_first_of_equals_and_as_few_clients_as_it_says() -> None:
    assert multi_krum(torch.zeros(5, 5), 2, 5) == (0, 1, 2, 3, 4)
    assert multi_krum(torch.zeros(40, 40), 1, 2) == (0, 1)
    with pytest.raises(
        ValueError, match="at least 6 clients to select 1, 3 Byzantine ones among them, got 5"
    ):
        multi_krum(torch.zeros(5, 5), 3, 1)


def test_an_update_is_rounded_to_the_grid_and_no_longer_than_it_may_be() -> None:
    tensors = {"w": torch.tensor([0.3, -0.3]), "b": torch.tensor([2.0])}
    assert quantized(tensors, 2, 66).tolist() == [1, -1, 8]
    with pytest.raises(
        ValueError,
        match=r"with 2 fraction bits an update may have at most the length 2\.015564, got 2\.03101",
    ):
        quantized(tensors, 2, 65)
    longest = {"w": torch.tensor([float(2**25)], dtype=torch.float64)}
    assert quantized(longest, 0, 2**50).tolist() == [2**25]
    with pytest.raises(ValueError, match="send a smaller update, or lower fraction_bits"):
        quantized(longest, 0, 2**50 - 1)
