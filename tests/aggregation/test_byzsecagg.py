"""ByzSecAgg: exact distances and sums despite liars, cheating dealers caught, and what the server learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from leaklib.aggregation.byzantine.channel import belongs, opened
from leaklib.aggregation.byzantine.consistency import combine, fits, with_blind
from leaklib.aggregation.byzantine.messages import (
    ByzPhase,
    Commitment,
    Complaint,
    Dealt,
    Keys,
    Names,
    Nonce,
    Numbers,
    Reveal,
)
from leaklib.aggregation.byzantine.norm import LONGEST
from leaklib.aggregation.byzantine.round import check, deal, distances, quantized, robust_sum
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.crypto.decode import correct
from leaklib.aggregation.crypto.field import P, add, elements, matmul, sub, uniform
from leaklib.aggregation.crypto.ramp import cut, hidden, point, shares
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.parts.traffic import Traffic, count_byzantine
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Update

PAPER = ByzSecAgg(byzantine=2, blocks=3, colluders=2, dropouts=1, selected=4)


def updates(clients: int, entries: int, outliers=(), seed: int = 0) -> tuple[Update, ...]:
    g = generator(seed, "updates")
    vectors = [0.3 * torch.randn(entries, generator=g) + 5.0 * (c in outliers) for c in range(clients)]
    return tuple(Update({"w": v}, FedSGD(), 1, (3, 32, 32), client=c) for c, v in enumerate(vectors))


def exact(some: tuple[Update, ...], bits: int = 16):
    """The integers of the updates, and all squared distances, by Python's integers."""
    rows = [quantized(update.tensors, bits, LONGEST).astype(object) for update in some]
    return rows, [[int(((a - b) ** 2).sum()) for b in rows] for a in rows]


def test_the_stated_bound_at_full_size() -> None:
    everyone = updates(16, 15_826, outliers=(3, 7))
    protocol = replace(PAPER, liars=(3, 7), dropped=(15,))
    view = protocol(everyone, generator=generator(0, "g"))
    rows, squares = exact(everyone)
    scale, accepted = 4**16, view.leaks["accepted"]
    assert view.leaks["liars"] == (3, 7) and accepted == tuple(c for c in range(16) if c not in (3, 7))
    expected = torch.tensor(
        [[squares[a][b] / scale for b in accepted] for a in accepted], dtype=torch.float64
    )
    assert torch.equal(view.leaks["squared distances"], expected)
    norms = torch.tensor([int((rows[c] ** 2).sum()) / scale for c in accepted], dtype=torch.float64)
    assert torch.equal(view.leaks["squared norms"], norms)
    selected = view.leaks["selected"]
    assert len(selected) == 4 and not {3, 7} & set(selected)
    (read,) = view.updates
    assert read.clients == selected and read.num_examples == 4
    mean = torch.tensor([int(x) / (2**16 * 4) for x in sum(rows[c] for c in selected)], dtype=torch.float64)
    assert torch.equal(read.tensors["w"], mean.float())


CASES = [(A, K, T, D, m) for A, K, T, D, m in np.ndindex(3, 4, 4, 3, 4) if K and m > 1]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("seed", range(16))
def test_any_fields_give_exact_integers_with_the_fewest_clients(seed: int) -> None:
    g = np.random.default_rng(seed)
    A, K, T, D, m = CASES[g.integers(len(CASES))]
    protocol = ByzSecAgg(byzantine=A, blocks=K, colluders=T, dropouts=D, selected=m)
    n, entries = protocol.least, int(g.integers(1, 12))
    order = g.permutation(n).tolist()
    liars, dropped = order[:A], order[A : A + D]
    some = updates(n, entries, outliers=liars, seed=seed)
    r = protocol.start(tuple(range(n)), entries, generator=generator(seed, "g"))
    integers = {u.client: quantized(u.tensors, 16, LONGEST) for u in some}
    squares, selected, total = robust_sum(r, integers, tuple(liars), (), tuple(dropped))
    places = [c for c in range(n) if c not in liars]
    assert squares == tuple(tuple(exact(some)[1][a][b] for b in places) for a in places)
    assert not set(selected) & set(liars) and len(selected) == m
    assert total.tolist() == [int(x) for x in sum(integers[c] for c in selected)]
    assert r.server.guilty.keys() == set(liars)


def test_the_largest_and_smallest_numbers_come_through() -> None:
    bound = int(LONGEST**0.5) - 1
    integers = {c: np.array([(-1) ** c * (bound - c), 0, c]) for c in range(8)}
    r = ByzSecAgg().start(tuple(range(8)), 3, generator=generator(0, "g"))
    squares, selected, total = robust_sum(r, integers)
    assert squares[0][1] == (2 * bound - 1) ** 2 + 1
    assert total.tolist() == sum(integers[c] for c in selected).tolist()


@pytest.mark.parametrize("value", [1e9, float("inf"), float("nan")])
def test_an_update_whose_length_cannot_be_shown_is_refused(value: float) -> None:
    broken = updates(8, 4)
    broken[2].tensors["w"][1] = value
    with pytest.raises(ValueError, match=r"an update may have at most the length 695\.1143, got"):
        ByzSecAgg()(broken, generator=generator(0, "g"))


def test_too_few_clients_or_too_much_trouble_is_refused() -> None:
    g = generator(0, "g")
    with pytest.raises(ValueError, match=r"selected=4.* needs at least 14 clients, got 13"):
        PAPER(updates(13, 3), generator=g)
    with pytest.raises(ValueError, match="name client 9, which sent no update"):
        ByzSecAgg(liars=(9,))(updates(8, 3), generator=g)
    nobody = "guilty: nobody; gone: nobody"
    with pytest.raises(ValueError, match=f"more than 1 holders sent wrong values.* dropouts=0: {nobody}"):
        ByzSecAgg(liars=(1, 2))(updates(8, 3), generator=g)
    with pytest.raises(ValueError, match=r"more went wrong than .*: guilty: nobody; gone: 1, 2"):
        ByzSecAgg(dropped=(1, 2))(updates(8, 3), generator=g)
    with pytest.raises(ValueError, match=r"guilty: client 3 \(client 0 complained of client 3, .*gone: 1$"):
        ByzSecAgg(dropped=(1,), forgers=(3,))(updates(8, 3), generator=g)
    # One silent client may be the Byzantine one: then nobody else lies.
    assert len(ByzSecAgg(dropped=(1,))(updates(8, 3), generator=g).leaks["accepted"]) == 8


def test_a_forger_is_found_by_every_holder_and_left_out() -> None:
    some = updates(14, 30, outliers=(5,))
    protocol = replace(PAPER, dropouts=0, forgers=(5,), liars=(2,))
    view = protocol(some, generator=generator(0, "g"))
    assert view.leaks["accepted"] == tuple(c for c in range(14) if c not in (2, 5))
    assert view.leaks["squared distances"].shape == (12, 12)
    assert view.leaks["liars"] == (2, 5)
    r = protocol.start(tuple(range(14)), 30, generator=generator(0, "g"))
    deal(r, {u.client: quantized(u.tensors, 16, LONGEST) for u in some}, (5,))
    check(r)
    assert {c: m.dealers for c, m in r.server.complaints.items() if c != 5} == dict.fromkeys(
        [c for c in range(14) if c != 5], (5,)
    )


def sharing(seed: int):
    blocks = with_blind(cut(uniform((30,), stream=Stream(seed, "v")), 3), stream=Stream(seed, "b"))
    return hidden(blocks, 2, stream=Stream(seed, "n"))


def test_the_check_accepts_honest_shares_and_nothing_else() -> None:
    for seed in range(5):
        coefficients, coin = sharing(seed), int(uniform((), stream=Stream(seed, "coin")))
        published = combine(coefficients, coin)[None]
        dealt = shares(coefficients, [point(i) for i in range(7)])
        assert all(fits(dealt[i : i + 1], published, point(i), coin).all() for i in range(7))
        assert not fits(dealt[:1], published, point(1), coin).any()
        # Every single entry counts: one dealer for each, whose share is off by one there.
        entries = dealt.shape[1]
        bad = add(np.tile(dealt[2], (entries, 1)), np.eye(entries, dtype=np.uint64))
        assert not fits(bad, np.tile(published, (entries, 1)), point(2), coin).any()


def test_what_a_dealer_publishes_fits_any_vector() -> None:
    # For the same published numbers and another vector there is a last entry that explains them.
    coefficients, other, coin = sharing(0), sharing(1), int(uniform((), stream=Stream(0, "coin")))
    published, entries = combine(coefficients, coin), coefficients.shape[1]
    gap = sub(published, combine(other, coin))
    inverse = elements([pow(coin, -(entries - 1), P)])
    other[:, -1] = add(other[:, -1], matmul(gap[:, None], inverse[:, None])[:, 0])
    assert np.array_equal(combine(other, coin), published)


def test_no_coin_no_check() -> None:
    # Who knows the coin beforehand deals two vectors that it cannot tell apart: it must come afterwards.
    coin = int(uniform((), stream=Stream(0, "coin")))
    change = elements([0, coin, -1])
    vector = uniform((1, 3), stream=Stream(0, "v"))
    assert combine(vector, coin) == combine(add(vector, change[None]), coin)
    later = int(uniform((), stream=Stream(1, "coin")))
    assert combine(vector, later) != combine(add(vector, change[None]), later)


def answered(seed: int = 0):
    """A round up to the distances, with what holders answered."""
    some = updates(8, 6, seed=seed)
    r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(seed, "g"))
    deal(r, {u.client: quantized(u.tensors, 16, LONGEST) for u in some})
    check(r)
    distances(r)
    return some, r


def polynomials(r):
    values = np.stack([r.server.answers[c].values for c in range(8)])[:, 16:]  # after lengths and checks
    return correct([point(c) for c in range(8)], values, 5, 1, stream=Stream(0, "d"))[0]


def test_of_the_distance_polynomials_only_one_coefficient_is_not_random() -> None:
    # The same updates under other randomness: that coefficient stays, all others differ, and sums over
    # triangles of pairs, where masks made once per client would cancel, differ too.
    some = updates(8, 6)
    integers = {u.client: quantized(u.tensors, 16, LONGEST) for u in some}
    seen = []
    for seed in range(2):
        r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(seed, "g"))
        deal(r, integers)
        check(r)
        distances(r)
        seen.append(polynomials(r))
    same = seen[0] == seen[1]
    assert same[1].all() and not np.delete(same, 1, 0).any()
    # Pairs are (0,1), (0,2), …, (0,7), (1,2): the triangle 0, 1, 2 is entries 0, 7 and 1.
    triangle = [sub(add(p[:, 0], p[:, 7]), p[:, 1]) for p in seen]
    assert (triangle[0] == triangle[1]).tolist() == [False, True, False, False, False]


def test_distances_lengths_and_known_vectors_give_an_update_away() -> None:
    for entries in (1, 2, 8):
        n = entries + 8
        some = updates(n, entries, seed=entries)
        leaks = ByzSecAgg(fraction_bits=20)(some, generator=generator(0, "g")).leaks
        known = torch.stack([some[c].tensors["w"] for c in range(1, entries + 1)]).double()
        # 2 ⟨w, a⟩ = |w|² + |a|² − |w − a|²: each known vector gives one equation.
        squares = leaks["squared norms"]
        right = squares[0] + squares[1 : entries + 1] - leaks["squared distances"][0, 1 : entries + 1]
        truth = some[0].tensors["w"].double()
        assert torch.allclose(2 * known @ truth, right, atol=1e-3)
        assert torch.linalg.matrix_rank(known) == entries
        assert torch.allclose(torch.linalg.solve(2 * known, right), truth, atol=1e-3)


def dealt():
    """Eight clients that have dealt, and what the server got."""
    r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(0, "g"))
    deal(r, {c: np.arange(6) + c for c in range(8)})
    return r


def test_what_is_forwarded_wrongly_does_not_count_and_a_bad_message_is_kept_as_evidence() -> None:
    def refused(change) -> tuple[str, set[int]]:
        r = dealt()
        message = r.server.dealt[0, 1]
        r.clients[1].prove([*change(message, r.server.dealt[0, 2])], r.server.coins[0])
        (reason,) = r.clients[1].refused
        return reason, r.clients[1]._bad

    for start, end in ((1, 400), (0, -8), (0, 0)):
        reason, bad = refused(lambda good, _, a=start, b=end: [replace(good, sealed=good.sealed[a:b])])
        assert "changed, cut" in reason and bad == {0}
    reason, bad = refused(lambda good, other: [replace(other, recipient=1)])
    assert "meant for someone else" in reason and bad == {0}
    reason, bad = refused(lambda good, other: [replace(good, sender=2)])
    assert "meant for someone else" in reason and bad == {2}
    for change, wanted in (
        (lambda good, other: [other], "a message of client 0 for client 2"),
        (lambda good, other: [replace(good, sender=77)], "the stranger 77"),
        (lambda good, other: [replace(good, sender=1)], "the stranger 1"),
        (lambda good, other: [good, good], "of client 0 a second time"),
    ):
        reason, bad = refused(change)
        assert wanted in reason and bad == set()


def test_a_dealer_whose_message_cannot_be_read_is_out_and_its_reader_is_not() -> None:
    integers = {u.client: quantized(u.tensors, 16, LONGEST) for u in updates(8, 6)}
    r = ByzSecAgg().start(tuple(range(8)), 6, generator=generator(0, "g"))
    deal(r, integers)
    bad = r.server.dealt[2, 5]
    r.server.dealt[2, 5] = replace(bad, sealed=bad.sealed[:-1] + bytes([bad.sealed[-1] ^ 1]))
    check(r)
    assert {c: m.dealers for c, m in r.server.complaints.items() if m.dealers} == {5: (2,)}
    assert r.server.guilty.keys() == {2} and "client 5 complained of client 2" in r.server.guilty[2]
    assert r.server.accepted == (0, 1, 3, 4, 5, 6, 7)
    rows = [integers[c].astype(object) for c in r.server.accepted]
    assert distances(r) == tuple(tuple(int(((a - b) ** 2).sum()) for b in rows) for a in rows)
    assert r.server.guilty.keys() == {2}


def test_a_complaint_opens_one_channel_and_no_other() -> None:
    r = dealt()
    r.server.dealt[2, 5] = replace(r.server.dealt[2, 5], sealed=bytes(len(r.server.dealt[2, 5].sealed)))
    check(r)
    (secret,) = r.server.complaints[5].secrets
    keys = r.server.keys
    places = [c for c in range(8) if c != 5]
    assert [belongs(secret, public) for public in keys[5].receiving] == [c == 2 for c in places]
    for dealer in (0, 1, 3, 4, 6, 7):
        with pytest.raises(ValueError, match="changed, cut"):
            opened(r.server.dealt[dealer, 5], keys[dealer].sending, secret, bytes(16), ByzPhase.DEAL)
    assert opened(r.server.proofs[2, 5], keys[2].sending, secret, bytes(16), ByzPhase.PROVE)
    with pytest.raises(ValueError, match="changed, cut"):  # sealed in one phase, unreadable in another
        opened(r.server.proofs[2, 5], keys[2].sending, secret, bytes(16), ByzPhase.DEAL)


def test_a_client_answers_each_phase_once_and_what_it_may() -> None:
    _, r = answered()
    with pytest.raises(ValueError, match="DISTANCES comes out of order or again"):
        r.clients[0].distances(Names(0, (1, 2)))
    with pytest.raises(ValueError, match="SUM comes out of order or again"):
        r.clients[0].sum([])
    for names in ((1, 99), (1, 1, 2)):
        r = dealt()
        check(r)
        with pytest.raises(ValueError, match="has no good shares of all of"):
            r.clients[0].distances(Names(0, names))
    r = dealt()
    check(r)
    r.clients[0]._bad = {3}
    with pytest.raises(ValueError, match="has no good shares of all of"):
        r.clients[0].distances(Names(0, (1, 2, 3)))


def test_a_client_deals_to_members_and_to_enough_of_them() -> None:
    def keys(change) -> None:
        protocol = ByzSecAgg(byzantine=1, dropouts=1)
        r = protocol.start(tuple(range(9)), 6, generator=generator(0, "g"))
        theirs = [client.advertise_keys() for client in r.clients.values()]
        r.clients[0].deal(np.arange(6), [Commitment(bytes(32), bytes(32)), *change(theirs[1:])])

    keys(lambda theirs: theirs[:6])
    for change in (
        lambda theirs: theirs[:5],
        lambda theirs: [*theirs, theirs[0]],
        lambda theirs: [*theirs[1:], replace(theirs[0], client=77)],
        lambda theirs: [*theirs[1:], replace(theirs[0], client=0)],
    ):
        with pytest.raises(ValueError, match="expected the keys of at least 6 of"):
            keys(change)


def test_a_client_complains_of_nobody_whose_shares_were_not_forwarded() -> None:
    r = dealt()
    told = r.server.shares_for(0)
    r.clients[0].prove(told[1:-1], told[-1])
    r.clients[0].combine([], r.server.coins[1])
    length = sum(r.server.rules.published)
    with pytest.raises(ValueError, match="was forwarded no shares of client 1"):
        r.clients[0].complain([Numbers(1, elements([0] * length))])
    r = dealt()
    check(r)
    client = r.clients[0]
    client._phase = ByzPhase.COMBINE
    with pytest.raises(ValueError, match="a combination of another length"):
        client.complain([Numbers(1, elements([1]))])


def test_the_server_takes_every_message_once_from_its_sender_and_in_time() -> None:
    _, r = answered()
    server, row = r.server, r.server.answers[3]
    late = server.complaints[3]
    for phase, sender, message, wanted in (
        (ByzPhase.DISTANCES, 3, row, "has the Numbers of client 3 already"),
        (ByzPhase.COMPLAIN, 3, late, "the Complaint of client 3 for COMPLAIN comes in DISTANCES"),
        (ByzPhase.DISTANCES, 3, late, "the Complaint of client 3 has no place in DISTANCES"),
        (ByzPhase.DISTANCES, 3, replace(row, client=4), "says that client 4 sent it"),
        (ByzPhase.DISTANCES, 3, Dealt(4, 5, b""), "says that client 4 sent it"),
        (ByzPhase.DISTANCES, 99, replace(row, client=99), "comes from one that is out of the round"),
    ):
        server.receive(phase, sender, message)
        assert wanted in server.refused[-1]
    assert len(server.refused) == 6 and not server.guilty and not server.gone
    server.receive(ByzPhase.DISTANCES, 3, Numbers(3, elements([1])))
    assert server.guilty == {3: "a row of 1 numbers, not 44"} and 3 not in server.present
    server.receive(ByzPhase.DISTANCES, 3, row)
    assert "out of the round" in server.refused[-1]


def test_messages_are_read_as_written_and_cut_ones_refused() -> None:
    messages = [
        Keys(3, bytes(range(32)), (bytes(32), bytes(range(32)))),
        Commitment(bytes(range(32)), bytes(32)),
        Dealt(1, 2, b"sealed"),
        Nonce(1, bytes(range(16))),
        Reveal(bytes(range(32)), (3, 4), (bytes(16), bytes(range(16)))),
        Complaint(4, (5, 6), (bytes(32), bytes(range(32)))),
        Names(4, (5, 6)),
        Numbers(7, elements([1, P - 1])),
    ]
    for message in messages:
        data = message.encode()
        assert type(message).decode(data).encode() == data
        for cut_at in range(len(data)):
            with pytest.raises(ValueError, match="cut or damaged"):
                type(message).decode(data[:cut_at])
    with pytest.raises(ValueError, match="no element of the field"):
        Numbers.decode(Numbers(0, elements([0])).encode()[:-8] + b"\xff" * 8)


@pytest.mark.parametrize("seed", range(4))
def test_the_formula_counts_what_a_round_sends(seed: int) -> None:
    g = np.random.default_rng(seed)
    A, K, T, D, m = CASES[g.integers(len(CASES))]
    protocol = ByzSecAgg(byzantine=A, blocks=K, colluders=T, dropouts=D, selected=m, dropped=tuple(range(D)))
    n, entries = protocol.least + int(g.integers(3)), int(g.integers(1, 30))
    protocol = replace(protocol, liars=tuple(range(D, D + A)))
    r = protocol.start(tuple(range(n)), entries, generator=generator(seed, "g"))
    vectors = {c: np.arange(entries) + c for c in range(n)}
    robust_sum(r, vectors, protocol.liars, dropped=protocol.dropped)
    for phase, traffic in count_byzantine(protocol, n, entries).items():
        sent = [one for one in r.wire.log if one.phase == phase]
        up = sum(one.size for one in sent if one.recipient is None)
        down = sum(one.size for one in sent if one.sender is None)
        assert traffic == Traffic(len(sent), up, down), phase


def test_a_view_counts_and_shows_what_arrived_sealed() -> None:
    some = updates(8, 500)
    view = ByzSecAgg()(some, generator=generator(0, "g"))
    traffic = count_byzantine(ByzSecAgg(), 8, 500).values()
    assert view.cost is not None and view.cost.rounds == 8
    assert view.cost.messages == sum(phase.messages for phase in traffic)
    assert view.cost.client_up == -(-sum(phase.up for phase in traffic) // 8)
    assert len(view.sealed) == 8
    for sealed, update in zip(view.sealed, some, strict=True):
        pair = torch.stack([sealed.tensors["w"], update.tensors["w"]])
        assert abs(torch.corrcoef(pair)[0, 1]) < 0.2 and sealed.client == update.client
