"""Secure aggregation: exact sums for whoever survives, nothing for anyone else, and what parties refuse."""

from collections.abc import Collection
from dataclasses import replace
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from leaklib.aggregation import ccesa, secagg
from leaklib.aggregation.ccesa import CCESA
from leaklib.aggregation.crypto.primitives import keystream, public_key, sign
from leaklib.aggregation.crypto.shamir import PRIME, recover
from leaklib.aggregation.masking.client import Client, pair_mask, signed_survivors
from leaklib.aggregation.masking.graph import Graph, complete, ring
from leaklib.aggregation.masking.messages import Keys, Masked, Revealed, SealedShares, Signature, Survivors
from leaklib.aggregation.masking.phases import Drop, Phase
from leaklib.aggregation.masking.round import (
    Masking,
    advertise_keys,
    consistency_check,
    majorities,
    masked_input,
    masked_sums,
    share_keys,
    start,
)
from leaklib.aggregation.secagg import SecAgg
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Aggregation, Update

PHASES = [Phase.ADVERTISE_KEYS, Phase.SHARE_KEYS, Phase.MASKED_INPUT, Phase.UNMASK]


def words(clients: Collection[int], entries: int = 6, seed: int = 0) -> dict[int, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {client: draw.integers(0, 2**32, entries, dtype=np.uint32) for client in clients}


def ready(graph: Graph, seed: int = 0, threshold: int | None = None, **options) -> Masking:
    return start(graph, majorities(graph, threshold), generator=generator(seed, "round"), **options)


def until(phase: Phase, graph: Graph | None = None, seed: int = 0, **options) -> Masking:
    """A round among five clients, or on the graph, in which all phases before ``phase`` have happened."""
    r = ready(complete(range(5)) if graph is None else graph, seed, **options)
    everyone = list(r.clients)
    if phase > Phase.ADVERTISE_KEYS:
        advertise_keys(r, everyone)
    if phase > Phase.SHARE_KEYS:
        share_keys(r, everyone)
    if phase > Phase.MASKED_INPUT:
        masked_input(r, everyone, words(everyone))
    return r


def check(drops: tuple[Drop, ...], threshold: int, active: bool = False, **options) -> None:
    """Five clients: the exact sum of those that sent an update, if enough are there to unmask it."""
    r, inputs = ready(complete(range(5)), threshold=threshold, active=active, **options), words(range(5))
    at_the_end = 5 - len({drop.client for drop in drops})
    if at_the_end < threshold:
        with pytest.raises(ValueError, match=r"needs \d clients|cannot be unmasked"):
            assert not masked_sums(r, inputs, drops), "nothing was refused"
            raise ValueError("cannot be unmasked: nobody is left")
        return
    survivors = sorted(set(range(5)) - {d.client for d in drops if d.before <= Phase.MASKED_INPUT})
    sums = masked_sums(r, inputs, drops)
    assert list(sums) == [tuple(survivors)]
    expected = sum((inputs[client] for client in survivors), np.zeros(6, np.uint32))
    assert np.array_equal(sums[tuple(survivors)], expected)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("threshold", [2, 3, 5])
def test_every_set_of_dropouts_in_one_phase(phase: Phase, threshold: int) -> None:
    for k in range(6):
        for dropped in combinations(range(5), k):
            check(tuple(Drop(client, phase) for client in dropped), threshold)


def test_every_pattern_of_dropouts_over_the_phases() -> None:
    # Who drops out of which phase, up to the names of the clients, which are shuffled.
    names = generator(0, "names")
    for pattern in combinations_with_replacement([None, *PHASES], 5):
        clients = torch.randperm(5, generator=names).tolist()
        check(tuple(Drop(c, p) for c, p in zip(clients, pattern, strict=True) if p is not None), 3)


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("two", list(product([None, *PHASES], repeat=2)))
def test_every_pattern_of_dropouts_over_the_phases_by_name(two: tuple[Phase | None, ...]) -> None:
    for others in product([None, *PHASES], repeat=3):
        pattern = *two, *others
        check(tuple(Drop(c, p) for c, p in enumerate(pattern) if p is not None), 3)


def test_every_pattern_of_dropouts_in_the_active_variant() -> None:
    names = generator(1, "names")
    for pattern in combinations_with_replacement([None, Phase.MASKED_INPUT, *list(Phase)[3:]], 5):
        clients = torch.randperm(5, generator=names).tolist()
        drops = tuple(Drop(c, p) for c, p in zip(clients, pattern, strict=True) if p is not None)
        check(drops, 3, active=True)


def updates(clients: Collection[int], entries: int, seed: int = 0) -> tuple[Update, ...]:
    g = generator(seed, "updates")
    return tuple(
        Update({"w": torch.randn(entries, generator=g)}, FedSGD(), 1, (3, 32, 32), client=c) for c in clients
    )


@pytest.mark.parametrize("seed", range(25))
def test_the_server_reads_the_mean_of_the_survivors(seed: int) -> None:
    g = generator(seed, "case")

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=g))

    n, entries = draw(2, 12), draw(1, 200)
    clients = (torch.randperm(40, generator=g)[:n]).tolist()
    active = seed % 3 == 0
    threshold = draw(n // 2 + 1 if active else 1, n)
    dropped = clients[: draw(0, min(n - threshold, n - 2))]
    phases = [PHASES[draw(0, 3)] for _ in dropped]
    aggregation = SecAgg(
        threshold, tuple(Drop(c, p) for c, p in zip(dropped, phases, strict=True)), active=active
    )
    sent = updates(clients, entries, seed)
    view = aggregation(sent, generator=g)
    survivors = [c for c in clients if c not in dropped or phases[dropped.index(c)] == Phase.UNMASK]
    (read,) = view.updates
    assert sorted(read.clients) == sorted(survivors) == list(view.leaks["survivors"])
    true = torch.stack([u.tensors["w"].double() for u in sent if u.client in survivors]).mean(0)
    assert (read.tensors["w"] - true).abs().max() <= 2.0**-21 + 1e-6  # half a step, and float32
    assert [u.client for u in view.sealed] == [c for c in clients if c in survivors]
    assert view.cost is not None and view.cost.rounds == (5 if aggregation.active else 4)


def test_dropped_by_number_means_before_the_update_is_sent() -> None:
    sent = updates(range(6), 10)
    view = SecAgg(dropped=(1, 4))(sent, generator=generator(0, "a"))
    assert view.updates[0].clients == (0, 2, 3, 5)
    again = SecAgg(dropped=(Drop(1), Drop(4, Phase.MASKED_INPUT)))(sent, generator=generator(0, "a"))
    assert torch.equal(view.updates[0].tensors["w"], again.updates[0].tensors["w"])
    with pytest.raises(ValueError, match="dropped names client 7, expected one of"):
        SecAgg(dropped=(7,))(sent, generator=generator(0, "a"))
    with pytest.raises(ValueError, match="needs 4 clients"):
        SecAgg(dropped=(1, 2, 4))(sent, generator=generator(0, "a"))


def test_the_ring_gives_the_same_sum_as_the_complete_graph() -> None:
    sent = updates(range(12), 30)
    whole, sparse = (SecAgg(dropped=(3,), neighbors=k)(sent, generator=generator(0, "a")) for k in (None, 4))
    assert torch.equal(whole.updates[0].tensors["w"], sparse.updates[0].tensors["w"])
    assert sparse.cost.messages < whole.cost.messages / 2
    with pytest.raises(ValueError, match="active must be False with neighbors"):
        SecAgg(neighbors=4, active=True)


def test_a_sum_that_might_overflow_is_refused_before_anything_is_sent() -> None:
    sent = updates(range(4), 5)
    loud = replace(sent[2], tensors={"w": torch.tensor([1.0, 0, 600.0, 0, 0])})
    with pytest.raises(
        ValueError, match="over 4 clients fits into 32 bits only if no entry is larger than 512"
    ):
        SecAgg()((*sent[:2], loud, sent[3]), generator=generator(0, "a"))


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("value", [0, 1, 2**31 + 5])
def test_a_masked_update_is_uniform_whatever_it_hides(bits: int, value: int) -> None:
    graph, entries = complete(range(3)), 20_000
    r = ready(graph, bits=bits)
    advertise_keys(r, graph)
    share_keys(r, graph)
    masked_input(r, graph, {c: np.full(entries, value % 2**bits, np.uint32) for c in graph})
    seen = r.server.masked[1].words
    assert seen.max() < 2**bits
    for shift in range(0, bits, 8):
        counts = np.bincount((seen >> np.uint32(shift)) & np.uint32(255), minlength=256)
        assert chisquare(counts).pvalue > 1e-3


def late(double: bool) -> tuple[Masking, np.ndarray]:
    """The server says that client 2 dropped out, unmasks the sum of the others, and keeps what 2 sent."""
    r = until(Phase.UNMASK, double=double)
    arrived = r.server.masked.pop(2)
    for client in (0, 1, 3, 4):
        r.server.revealed.put(r.clients[client].unmask(r.server.survivors_for(client)))
    assert set(r.server.sums()) == {(0, 1, 3, 4)}
    # With client 2's key the server takes off every mask that 2 shares with another.
    key, r.server.masked[2] = r.server.masking_key(2), arrived
    found = arrived.words.copy()
    for other in (0, 1, 3, 4):
        found -= pair_mask(key, r.server.keys[other].masking, 2, other, 6)
    return r, found


def test_a_server_that_declares_a_live_client_dead_reads_its_update_without_the_second_mask() -> None:
    _, found = late(double=False)
    assert np.array_equal(found, words(range(5))[2])


def test_and_with_the_second_mask_it_does_not() -> None:
    r, found = late(double=True)
    assert not (found == words(range(5))[2]).any()
    # What is left is hidden by the seed, of which clients gave no share and will not give any.
    assert np.array_equal(found - keystream(r.clients[2]._seed, 6), words(range(5))[2])
    assert all(2 not in revealed.seeds for revealed in r.server.revealed.values())
    for client in (0, 1, 3, 4):
        with pytest.raises(ValueError, match="each phase happens once"):
            r.clients[client].unmask(Survivors((0, 1, 2, 3, 4), ()))


@pytest.mark.parametrize(
    ("survivors", "message"),
    [
        (Survivors((0, 1, 2, 3), (3, 4)), "asked for both shares of client 3, as alive and as dead"),
        (Survivors((0, 1), (2, 3, 4)), "needs 3 clients of its neighborhood that survive, got 2"),
        (Survivors((1, 2, 3, 4), (0,)), "sent its update, but is not on the list"),
        (Survivors((0, 1, 2, 9), ()), "holds no shares of client 9"),
    ],
)
def test_a_client_refuses_lists_of_survivors_that_would_undo_its_masks(
    survivors: Survivors, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        until(Phase.UNMASK).clients[0].unmask(survivors)


def test_a_client_refuses_to_share_among_too_few() -> None:
    r = ready(complete(range(5)))
    advertise_keys(r, [0, 1])
    with pytest.raises(
        ValueError, match="client 0 needs 3 clients of its neighborhood that hold shares, got 2"
    ):
        share_keys(r, [0])
    r = until(Phase.MASKED_INPUT)
    few = r.server.shares_for(0)[:1]
    with pytest.raises(ValueError, match="hold shares, got 2"):
        r.clients[0].masked_input(words([0])[0], few)


def test_changed_misrouted_replayed_and_repeated_messages_are_refused() -> None:
    def deliver(change) -> None:
        r = until(Phase.MASKED_INPUT)
        r.clients[0].masked_input(words([0])[0], change(r.server.shares_for(0), r))

    deliver(lambda messages, r: messages)
    attempts = {
        "was changed": lambda m, r: [replace(m[0], sealed=m[0].sealed[:-1] + bytes([m[0].sealed[-1] ^ 1]))],
        "meant for client 1": lambda m, r: [r.server.shares[2, 1]],
        "meant for someone else": lambda m, r: [replace(r.server.shares[2, 1], recipient=0)],
        "0' was changed": lambda m, r: [replace(m[0], sender=2)],
        "from client 1 twice": lambda m, r: [m[0], m[0], *m[1:]],
        "for .*client 0' was changed": lambda m, r: until(Phase.MASKED_INPUT, seed=1).server.shares_for(0),
        "no shares from client 0": lambda m, r: [replace(m[0], sender=0)],
    }
    for message, attempt in attempts.items():
        with pytest.raises(ValueError, match=message):
            deliver(attempt)


def test_public_keys_are_taken_once_from_neighbors_and_must_differ() -> None:
    keys = until(Phase.SHARE_KEYS).server.keys_for(0)
    strangers = {
        "keys from client 1 twice": [*keys, keys[0]],
        "no keys from client 7": [*keys, replace(keys[0], client=7)],
        "two clients advertise the same key": [*keys[1:], replace(keys[1], client=1)],
    }
    for message, received in strangers.items():
        with pytest.raises(ValueError, match=message):
            until(Phase.SHARE_KEYS).clients[0].share_keys(received)


def test_the_server_refuses_what_it_has_and_what_it_expects_of_nobody() -> None:
    r = until(Phase.UNMASK)
    server = r.server
    for receive, message in (
        (server.keys.put, server.keys[1]),
        (server.shares.put, server.shares[1, 0]),
        (server.masked.put, server.masked[1]),
    ):
        with pytest.raises(ValueError, match=r"has the .* of client .* already"):
            receive(message)
    with pytest.raises(ValueError, match="expects no Keys of client 9"):
        server.keys.put(Keys(9, bytes(32), bytes(32), bytes(32)))
    revealed = r.clients[0].unmask(server.survivors_for(0))
    server.revealed.put(revealed)
    with pytest.raises(ValueError, match="has the Revealed of client 0 already"):
        server.revealed.put(revealed)


def reveal(r: Masking, change, survivors: Collection[int] = range(5)) -> None:
    """Everyone reveals its shares, and ``change`` what some clients say."""
    for client in survivors:
        r.server.revealed.put(change(r.clients[client].unmask(r.server.survivors_for(client))))


def wrong(revealed: Revealed, owner: int, holders: Collection[int]) -> Revealed:
    """Its share of the owner's secret, changed (that of holder 0 by 1) if one of ``holders`` says it."""
    if revealed.client not in holders:
        return revealed
    change = 7**revealed.client
    seeds, keys = (
        {who: (share + change * (who == owner)) % PRIME for who, share in shares.items()}
        for shares in (revealed.seeds, revealed.keys)
    )
    return Revealed(revealed.client, seeds, keys)


@pytest.mark.parametrize("liars", [(), (0,), (2,), (3,), (0, 1), (1, 3)])
@pytest.mark.parametrize("owner", [1, 4])
def test_wrong_shares_are_found_and_done_without_or_refused(owner: int, liars: tuple[int, ...]) -> None:
    """Client 4 drops out, its key is needed; of the others the seeds. Three of four shares do."""
    r = until(Phase.MASKED_INPUT)
    masked_input(r, range(4), words(range(5)))
    reveal(r, lambda revealed: wrong(revealed, owner, liars), range(4))
    lying = set(liars)
    if len(lying) < 2:
        (total,) = r.server.sums().values()
        assert np.array_equal(total, sum((words(range(5))[c] for c in range(4)), np.zeros(6, np.uint32)))
        assert r.server.wrong == {(liar, owner) for liar in lying - {3}}  # after three nobody is asked
        return
    what = "masking key" if owner == 4 else "seed"
    with pytest.raises(ValueError, match=f"UNMASK: the {what} of client {owner} cannot be recovered"):
        r.server.sums()


@pytest.mark.parametrize(("liars", "named"), [((0, 1), (0, 1)), ((0, 1, 2, 5), ()), ((7, 8), ())])
def test_several_wrong_shares_do_no_harm_if_enough_are_right(
    liars: tuple[int, ...], named: tuple[int, ...]
) -> None:
    r = until(Phase.UNMASK, complete(range(9)))
    reveal(r, lambda revealed: wrong(revealed, 3, liars), range(9))
    (total,) = r.server.sums().values()
    assert np.array_equal(total, sum(words(range(9)).values(), np.zeros(6, np.uint32)))
    assert r.server.wrong == {(liar, 3) for liar in named}


def test_the_view_names_wrong_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, plain = updates(range(5), 3), Client.unmask
    monkeypatch.setattr(Client, "unmask", lambda client, *told: wrong(plain(client, *told), 1, [2]))
    view = SecAgg()(sent)
    assert view.leaks["wrong shares"] == ((2, 1),)
    monkeypatch.undo()
    honest = SecAgg()(sent)
    assert honest.leaks["wrong shares"] == ()
    assert torch.equal(view.updates[0].tensors["w"], honest.updates[0].tensors["w"])


def test_what_comes_late_twice_or_from_strangers_leaves_the_round_unharmed() -> None:
    r, inputs = until(Phase.MASKED_INPUT), words(range(5))
    with pytest.raises(ValueError, match="expects no Keys of client 7"):
        r.server.keys.put(Keys(7, bytes(32), bytes(32), bytes(32)))
    for stranger in (SealedShares(7, 1, bytes(160)), SealedShares(1, 7, bytes(160))):
        with pytest.raises(ValueError, match="expects no SealedShares of client"):
            r.server.shares.put(stranger)
    for early in (Masked(1, inputs[1]), Masked(7, inputs[1])):
        with pytest.raises(ValueError, match=f"expects no Masked of client {early.client}"):
            r.server.masked.put(early)
    masked_input(r, range(4), inputs)
    late = r.clients[4].masked_input(inputs[4], r.server.shares_for(4))
    told = [r.server.survivors_for(client) for client in range(4)]
    attempts = {
        "takes no Masked of client 4 any more": late,
        "has the Masked of client 3 already": r.server.masked[3],
        "expects no Masked of client 9": replace(late, client=9),
    }
    for message, attempt in attempts.items():
        with pytest.raises(ValueError, match=message):
            r.server.masked.put(attempt)
    assert [r.server.survivors_for(client) for client in range(4)] == told
    for stranger in (4, 9):
        with pytest.raises(ValueError, match=f"expects no Signature of client {stranger}"):
            r.server.signatures.put(Signature(stranger, bytes(64)))
    reveal(r, lambda revealed: revealed, range(4))
    for stranger in (4, 9):
        with pytest.raises(ValueError, match=f"expects no Revealed of client {stranger}"):
            r.server.revealed.put(Revealed(stranger, {0: 1}, {}))
    sums = r.server.sums()
    assert list(sums) == [(0, 1, 2, 3)]
    assert np.array_equal(sums[0, 1, 2, 3], sum((inputs[c] for c in range(4)), np.zeros(6, np.uint32)))


def test_keys_and_shares_that_come_late_are_refused() -> None:
    r = ready(complete(range(5)))
    advertise_keys(r, range(4))
    share_keys(r, range(4))
    with pytest.raises(ValueError, match="takes no Keys of client 4 any more"):
        r.server.keys.put(r.clients[4].advertise_keys())
    r = until(Phase.SHARE_KEYS)
    share_keys(r, range(4))
    dealt = r.clients[4].share_keys(r.server.keys_for(4))
    r.server.shares.put(dealt[0])
    masked_input(r, range(4), words(range(5)))
    with pytest.raises(ValueError, match="takes no SealedShares of client 4 for 1 any more"):
        r.server.shares.put(dealt[1])
    reveal(r, lambda revealed: revealed, range(4))
    # Client 4 dealt to one neighbor only: as if it had dealt to none.
    sums, inputs = r.server.sums(), words(range(5))
    assert np.array_equal(sums[0, 1, 2, 3], sum((inputs[c] for c in range(4)), np.zeros(6, np.uint32)))


@pytest.mark.parametrize("protocol", [SecAgg(), SecAgg(neighbors=2), SecAgg(active=True), CCESA()], ids=repr)
def test_a_sum_of_one_is_refused(protocol: Aggregation) -> None:
    with pytest.raises(
        ValueError, match="client 0 needs 2 clients of its neighborhood that hold shares, got 1"
    ):
        protocol(updates([0], 4))
    (read,) = replace(protocol, minimum=1)(updates([0], 4)).updates
    assert read.clients == (0,)


def test_what_colluders_sent_does_not_count_towards_the_minimum() -> None:
    """Two survivors and one on the server's side: their sum, less what that one sent, is a single update."""
    sent = updates(range(4), 5)
    assert SecAgg(2, dropped=(3,), colluders=1)(sent).updates[0].clients == (0, 1, 2)
    with pytest.raises(ValueError, match="needs 3 clients of its neighborhood that survive, got 2"):
        SecAgg(2, dropped=(2, 3), colluders=1)(sent)


@pytest.mark.parametrize("minimum", [1, 2, 3, 4])
def test_clients_unmask_no_sum_over_fewer_than_the_minimum(minimum: int) -> None:
    protocol = SecAgg(1, dropped=(1, 2), minimum=minimum)
    if minimum <= 3:
        assert protocol(updates(range(5), 4)).updates[0].clients == (0, 3, 4)
        return
    with pytest.raises(ValueError, match="client 0 needs 4 clients of its neighborhood that survive, got 3"):
        protocol(updates(range(5), 4))


@pytest.mark.parametrize("protocol", [SecAgg(), SecAgg(neighbors=2), CCESA(0.9)], ids=repr)
def test_masks_of_clients_with_one_model_cancel_and_of_two_do_not(protocol) -> None:
    one = dict.fromkeys(range(6), b"a" * 32)
    two = one | {2: b"b" * 32}
    for binds, models, readable in ((True, one, True), (True, two, False), (False, two, True)):
        sent = tuple(replace(u, model=models[u.client]) for u in updates(range(6), 500))
        (read,) = replace(protocol, bind_model=binds)(sent, generator=generator(0, "a")).updates
        error = (read.tensors["w"] - torch.stack([u.tensors["w"] for u in sent]).mean(0)).abs().max()
        assert error < 1e-5 if readable else error > 100


def test_the_sum_over_two_models_is_uniform() -> None:
    models = {0: b"a" * 32, 1: b"a" * 32, 2: b"b" * 32, 3: b"a" * 32}
    r = ready(complete(range(4)), models=models)
    inputs = {c: np.full(20_000, 7, np.uint32) for c in range(4)}
    (total,) = masked_sums(r, inputs).values()
    assert (total == 28).mean() < 0.001
    for shift in (0, 8, 16, 24):
        counts = np.bincount((total >> np.uint32(shift)) & np.uint32(255), minlength=256)
        assert chisquare(counts).pvalue > 1e-3
    # Nor does it help to leave out the one with the other model: it shares masks with all the rest.
    left = {c: r.server.still_masked(c, {}) for c in range(4)}
    rest = left[0] + left[1] + left[3]
    assert chisquare(np.bincount(rest >> np.uint32(24), minlength=256)).pvalue > 1e-3


def test_masks_of_the_dead_come_off_whatever_their_model() -> None:
    models = {c: b"a" * 32 for c in range(5)} | {4: b"b" * 32}
    inputs = words(range(5))
    sums = masked_sums(ready(complete(range(5)), models=models), inputs, (Drop(4),))
    assert np.array_equal(sums[0, 1, 2, 3], sum((inputs[c] for c in range(4)), np.zeros(6, np.uint32)))


def test_a_phase_happens_once_and_in_its_place() -> None:
    r = until(Phase.UNMASK)
    with pytest.raises(ValueError, match="client 3 was in MASKED_INPUT already"):
        r.clients[3].masked_input(words([3])[3], [])
    with pytest.raises(ValueError, match="client 3 was in ADVERTISE_KEYS already"):
        r.clients[3].advertise_keys()


def signed_round() -> Masking:
    """The active variant: client 4 drops out, and the others have signed who is left."""
    r = until(Phase.MASKED_INPUT, active=True)
    masked_input(r, range(4), words(range(5)))
    consistency_check(r, range(4))
    return r


def test_an_active_server_cannot_tell_clients_different_stories() -> None:
    # It wants client 3's seed from 0, 1 and its key from 2, 3: majorities would need only a few more.
    r = until(Phase.UNMASK, active=True)
    story, other = Survivors((0, 1, 2, 3, 4), ()), Survivors((0, 1, 2, 4), (3,))
    signatures = [r.clients[c].check_consistency(story) for c in (0, 1, 3)]
    signatures += [r.clients[c].check_consistency(other) for c in (2, 4)]
    with pytest.raises(ValueError, match=r"not client 3's on this message|expects no signatures"):
        r.clients[2].unmask(other, signatures[2:])
    with pytest.raises(ValueError, match=r"needs 3 clients of its neighborhood that signed .*got 2"):
        r.clients[4].unmask(other, signatures[3:])
    with pytest.raises(ValueError, match="signed another list"):
        r.clients[0].unmask(other, signatures)
    assert r.clients[1].unmask(story, signatures[:3]).seeds.keys() == {0, 1, 2, 3, 4}


def test_signatures_are_checked() -> None:
    r = signed_round()
    survivors, signatures = r.server.survivors_for(0), list(r.server.signatures.values())
    forged = replace(signatures[1], signature=bytes(64))
    earlier = list(signed_round_of(1).server.signatures.values())
    attempts = {
        "not client 1's on this message": [signatures[0], forged, *signatures[2:]],
        "not client 0's on this message": earlier,
        "from client 1 twice": [signatures[0], signatures[1], signatures[1]],
        "signed the list of survivors, got 2": signatures[:2],
    }
    for message, attempt in attempts.items():
        with pytest.raises(ValueError, match=message):
            signed_round().clients[0].unmask(survivors, attempt)
    assert signed_round().clients[0].unmask(survivors, signatures).keys.keys() == {4}


def signed_round_of(seed: int) -> Masking:
    r = until(Phase.MASKED_INPUT, active=True, seed=seed)
    masked_input(r, range(4), words(range(5)))
    consistency_check(r, range(4))
    return r


def test_public_keys_are_signed_in_the_active_variant() -> None:
    r = until(Phase.SHARE_KEYS, active=True)
    keys = r.server.keys_for(0)
    swapped = replace(keys[0], masking=keys[1].sealing)
    with pytest.raises(ValueError, match="not client 1's on this message"):
        r.clients[0].share_keys([swapped, *keys[1:]])


def test_the_consistency_check_needs_a_signing_key() -> None:
    with pytest.raises(ValueError, match="no signing_key"):
        until(Phase.UNMASK).clients[0].check_consistency(Survivors((0, 1, 2), ()))


def test_what_is_left_of_a_masked_update_within_a_part_stays_uniform() -> None:
    # Three clients in a row, all alive: with all seeds, the sum of the first two still hides behind the mask
    # between the second and the third. Only the sum of all three is free of masks.
    path = {0: frozenset({1}), 1: frozenset({0, 2}), 2: frozenset({1})}
    r, entries = ready(path), 20_000
    sums = masked_sums(r, {client: np.full(entries, 7, np.uint32) for client in path})
    assert (sums[0, 1, 2] == 21).all()
    left = {client: r.server.still_masked(client, {}) for client in path}
    for some in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2)):
        total = sum((left[client] for client in some), np.zeros(entries, np.uint32))
        counts = np.bincount(total >> np.uint32(24), minlength=256)
        assert chisquare(counts).pvalue > 1e-3


def test_a_ring_that_dropouts_cut_tells_the_sums_of_its_parts() -> None:
    circle = ring(range(8), 2, generator=generator(0, "ring"))
    r, inputs = ready(circle, threshold=1, minimum=1), words(range(8))
    one = 0
    two = next(c for c in circle if c not in circle[one] | {one})
    sums = masked_sums(r, inputs, (Drop(one), Drop(two)))
    assert len(sums) == 2 and sorted(c for part in sums for c in part) == sorted(set(range(8)) - {one, two})
    for part, total in sums.items():
        assert np.array_equal(total, sum((inputs[c] for c in part), np.zeros(6, np.uint32)))


@pytest.mark.parametrize(("n", "colluding"), [(6, 0), (6, 1), (6, 2), (7, 0), (9, 3)])
def test_a_server_that_lies_opens_a_client_below_the_bound_on_the_threshold_and_not_above(
    n: int, colluding: int
) -> None:
    """It tells one half of the honest clients that client 0 lives, the other that it is dead.

    Its colluders sign and answer both stories. At the largest threshold that SecAgg refuses it reads client
    0's update, at the smallest that it accepts nobody unmasks anything.
    """
    largest = (n + colluding) // 2
    with pytest.raises(ValueError, match=f"threshold must be above {largest} against a server that lies"):
        SecAgg(largest, active=True, colluders=colluding)(updates(range(n), 3))
    found = two_stories(n, colluding, largest)
    assert np.array_equal(found, words(range(n))[0])
    view = SecAgg(largest + 1, active=True, colluders=colluding)(updates(range(n), 3))
    assert view.updates[0].clients == tuple(range(n))
    assert SecAgg(active=True, colluders=colluding)._threshold(n) == largest + 1
    with pytest.raises(ValueError, match=f"needs {largest + 1} clients .* that (survive|signed)"):
        two_stories(n, colluding, largest + 1)


def two_stories(n: int, colluding: int, threshold: int) -> np.ndarray:
    """What the server reads of client 0 by telling two stories."""
    r = until(Phase.UNMASK, complete(range(n)), threshold=threshold, active=True)
    honest, colluders = range(n - colluding), range(n - colluding, n)
    half = -(-len(honest) // 2)
    sides = [*honest[:half], *colluders], [*honest[half:], *colluders]
    dead = tuple(honest[:half])
    alive = tuple(c for c in range(n) if c not in dead)
    stories = Survivors(tuple(range(n)), ()), Survivors(alive, dead)
    shares: list[dict[int, int]] = []
    for side, story in zip(sides, stories, strict=True):
        signed = signed_survivors(story, r.server.rules.session)
        signatures = [
            Signature(c, sign(r.clients[c]._signing_key, signed))
            if c in colluders
            else r.clients[c].check_consistency(story)
            for c in side
        ]
        for c in side:
            if c not in colluders:
                r.clients[c].unmask(story, signatures)
        place = 0 if story.dead == () else 1
        shares.append({c: r.clients[c]._held[0][place] for c in side})
    seed, key = (recover(dict(list(some.items())[:threshold]), 32) for some in shares)
    found = r.server.masked[0].words - keystream(seed, 6)
    for other in range(1, n):
        found -= pair_mask(key, r.server.keys[other].masking, 0, other, 6)
    return found


def test_a_threshold_that_colluders_reach_is_refused() -> None:
    with pytest.raises(ValueError, match=r"above 3 against a server with 3 of 6 clients on its side, got 3"):
        SecAgg(3, colluders=3)(updates(range(6), 3))
    assert [SecAgg(colluders=c)._threshold(6) for c in range(6)] == [4, 4, 4, 4, 5, 6]
    assert [SecAgg(active=True, colluders=c)._threshold(6) for c in range(5)] == [4, 4, 5, 5, 6]


@pytest.mark.parametrize(("module", "protocol"), [(secagg, SecAgg(neighbors=4)), (ccesa, CCESA(0.8))])
def test_the_graph_is_drawn_from_public_chance_alone(module, protocol, monkeypatch) -> None:
    """Without a seed: the same public draw gives the same graph, and other secrets each time."""
    graphs = []

    def seen(graph: Graph, *arguments, **options) -> Masking:
        graphs.append(graph)
        return start(graph, *arguments, **options)

    monkeypatch.setattr(module, "start", seen)
    words = []
    for public in (5, 5, 6):
        monkeypatch.setattr("leaklib.rng.secrets.randbits", lambda bits, public=public: public)
        words.append(protocol(updates(range(9), 4)).sealed[0].tensors["w"])
    assert graphs[0] == graphs[1] != graphs[2]
    assert not (words[0] == words[1]).any()


@pytest.mark.parametrize("changed", ["sealing", "masking", "commitment"])
def test_clients_who_were_shown_other_keys_of_each_other_cannot_go_on(changed: str) -> None:
    """The server shows client 0 a key of client 1 that is not client 1's; nothing is signed."""
    r = until(Phase.SHARE_KEYS)
    told = {c: r.server.keys_for(c) for c in range(5)}
    other = public_key(bytes(range(32)))
    told[0] = [replace(keys, **{changed: other}) if keys.client == 1 else keys for keys in told[0]]
    for c, client in r.clients.items():
        for shares in client.share_keys(told[c]):
            r.server.shares.put(shares)
    for c, peer in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match=f"client {peer} > client {c}' was changed"):
            r.clients[c].masked_input(words([c])[c], r.server.shares_for(c))
    assert r.clients[2].masked_input(words([2])[2], r.server.shares_for(2)).client == 2
