"""ByzSecAgg against Byzantine clients that deal, complain, answer and time as they like, and together."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from byz_doubles import Attacker, Double, Dropout, Plot, shared, substitute, value, vanishing
from test_one_bit import Forged, byzantine, places

from leaklib.aggregation.byzantine import server as server_module
from leaklib.aggregation.byzantine.channel import header
from leaklib.aggregation.byzantine.coin import coin, commitment
from leaklib.aggregation.byzantine.messages import ByzPhase, Commitment, Complaint, Names, Numbers, Reveal
from leaklib.aggregation.byzantine.round import Byzantine, check, deal, distances, robust_sum
from leaklib.aggregation.byzantine.rules import ByzRules, read
from leaklib.aggregation.byzsecagg import ByzSecAgg
from leaklib.aggregation.crypto.field import P, add, elements, from_bytes, to_bytes
from leaklib.rng import generator


def isotropic(entries: int) -> np.ndarray:
    """A vector whose squared length is zero modulo p, with huge entries."""
    b = next(b for b in range(1, 99) if pow(-1 - b * b, (P - 1) // 2, P) == 1)
    c = pow(-1 - b * b, (P + 1) // 4, P)
    assert (1 + b * b + c * c) % P == 0
    return np.array([1, b, c if c <= P // 2 else c - P] + [0] * (entries - 3))


FIELDS = [
    (A, K, T, D, m) for A in (1, 2) for K in (1, 2, 3) for T in (0, 1, 2) for D in (0, 1) for m in (2, 3)
]


def exact(r: Byzantine, squares, selected, total, bad: set[int], honest: list[int], integers) -> None:
    """The sum and all distances are those of the vectors that were dealt, and nobody honest is blamed."""
    server = r.server
    assert server.guilty.keys() <= bad, server.guilty
    assert server.gone.isdisjoint(honest) and set(honest) <= set(server.accepted)
    vectors = {dealer: shared(r, dealer, honest) for dealer in server.accepted}
    entries = server.rules.entries
    for one in honest:
        assert (vectors[one][:entries] == integers[one]).all() and not vectors[one][entries:].any()
    for row, one in zip(squares, server.accepted, strict=True):
        assert row == tuple(int(((vectors[one] - vectors[two]) ** 2).sum()) for two in server.accepted)
    assert server.squares == tuple(int((vectors[one] ** 2).sum()) for one in server.accepted)
    assert max(server.squares) <= server.rules.square
    assert len(selected) == server.rules.selected and set(selected) <= set(server.accepted)
    assert total.tolist() == sum(vectors[c] for c in selected)[:entries].tolist()


def adversarial(seed: int) -> None:
    """One round with A clients that do what ``seed`` draws, and D honest ones that drop out somewhere."""
    g = np.random.default_rng(seed)
    A, K, T, D, m = FIELDS[g.integers(len(FIELDS))]
    protocol = ByzSecAgg(byzantine=A, blocks=K, colluders=T, dropouts=D, selected=m, max_norm=0.25)
    n, entries = protocol.least + int(g.integers(2)), int(g.integers(10, 41))
    order = g.permutation(n).tolist()
    bad, dropping, honest = order[:A], order[A : A + D], sorted(order[A + D :])
    r = protocol.start(tuple(range(n)), entries, generator=generator(seed, "round"))
    plot = Plot(r.server.rules, tuple(bad), seed)
    for number in bad:
        substitute(r, number, Attacker, seed).prepare(plot)
    for number in dropping:
        gone = substitute(r, number, Dropout, seed)
        gone.leaves, gone.sends = ByzPhase(g.integers(8)), int(g.integers(4))
    integers = {c: g.integers(-300, 300, entries) for c in range(n)}
    for number in bad:
        inside = np.mean([integers[c] for c in honest], 0).astype(np.int64)
        far = [inside, inside, *(integers[number] * k for k in (1, -10, 10**4, 10**9))][g.integers(6)]
        integers[number] = far + (isotropic(entries) if g.random() < 0.2 else 0)
    exact(r, *robust_sum(r, integers), set(bad), honest, integers)


@pytest.mark.slow
@pytest.mark.sampled(2)
@pytest.mark.parametrize("batch", range(30))
def test_whatever_byzantine_clients_do_together_the_sum_is_exact_and_nobody_honest_blamed(batch: int) -> None:
    for seed in range(10 * batch, 10 * batch + 10):
        adversarial(seed)


# --- the two attacks that broke the protocol when a dealer with at most A complaints could stay ---


class BadMasks(Double):
    """Deals mask shares that are off at the victims, by a polynomial, and answers so that they look right."""

    def prepare(self, victims: tuple[int, ...], polynomial: list[int]) -> "BadMasks":
        self.victims, self.polynomial = victims, polynomial
        return self

    def _to(self, other: int, plain: bytes):
        if self._phase == ByzPhase.DEAL and other in self.victims:
            first, second, masks = np.split(from_bytes(plain), np.cumsum(self.rules.dealt)[:-1])
            off = value(self.polynomial, self.rules.point_of(other))
            plain = to_bytes(np.concatenate([first, second, add(masks, elements([off]))]))
        return super()._to(other, plain)

    def say(self, phase: ByzPhase, honest):
        said = honest()
        return [self.lie(said[0])] if phase == ByzPhase.DISTANCES else said


class Agreeing(Double):
    """Answers distances as if the attacker's mask had been shifted for its pairs."""

    def prepare(self, attacker: int, polynomial: list[int]) -> "Agreeing":
        self.attacker, self.polynomial = attacker, polynomial
        return self

    def say(self, phase: ByzPhase, honest):
        said = honest()
        if phase != ByzPhase.DISTANCES:
            return said
        n = len(self._accepted)
        places = np.array(np.triu_indices(n, 1)).T
        theirs = [self.attacker in (self._accepted[a], self._accepted[b]) for a, b in places]
        off = value(self.polynomial, self.rules.point_of(self.number))
        return [
            Numbers(self.number, add(said[0].values, elements([0] * 2 * n + [off * one for one in theirs])))
        ]


@pytest.mark.parametrize("n", [8, 12, pytest.param(30, marks=pytest.mark.slow)])
def test_one_client_with_one_bad_mask_share_and_a_lie_stops_no_round(n: int) -> None:
    integers = {c: np.random.default_rng(c).integers(-300, 300, 20) for c in range(n)}
    r = ByzSecAgg().start(tuple(range(n)), 20, generator=generator(0, "round"))
    substitute(r, 0, BadMasks).prepare((1,), [1])
    result = robust_sum(r, integers)
    exact(r, *result, {0}, list(range(1, n)), integers)
    assert r.server.guilty.keys() == {0} and 0 not in r.server.accepted


def test_a_distance_of_ten_to_the_twelve_cannot_be_forged() -> None:
    # Three clients of sixteen. One deals masks shifted by a polynomial that is zero at all holders but its
    # victims and those who will be blamed; all three answer accordingly.
    protocol = ByzSecAgg(byzantine=3, blocks=2, colluders=2, dropouts=1, selected=4)
    n, entries, bad, victims, framed, gone = 16, 40, (3, 5, 7), (0, 1, 2), (4, 6, 8), 15
    g = np.random.default_rng(2)
    base = g.integers(-3000, 3000, entries)
    integers = {c: base + g.integers(-300, 300, entries) for c in range(n)}
    integers[3] = base + 10**6 * (np.arange(entries) == entries - 1)
    r = protocol.start(tuple(range(n)), entries, generator=generator(0, "round"))
    rules = r.server.rules
    others = [c for c in range(n) if c not in (*bad, *victims, *framed, gone)]
    forged = [c * -(10**12) % P for c in vanishing(rules, others, rules.product_terms)]
    substitute(r, 3, BadMasks).prepare(victims, forged)
    for number in bad[1:]:
        substitute(r, number, Agreeing).prepare(3, forged)
    squares, selected, total = robust_sum(r, integers, dropped=(gone,))
    honest = [c for c in range(n) if c not in (*bad, gone)]
    exact(r, squares, selected, total, set(bad), honest, integers)
    assert 3 not in r.server.accepted and "complained of client 3" in r.server.guilty[3]


class Unreadable(Double):
    """Seals nonsense for one holder, and is silent from then on."""

    def say(self, phase: ByzPhase, honest):
        said = honest()
        if phase == ByzPhase.DEAL:
            return [replace(said[0], sealed=bytes(len(said[0].sealed))), *said[1:]]
        return said if phase < ByzPhase.DEAL else []


def test_who_holds_bad_shares_of_one_that_is_gone_does_not_complain_of_it() -> None:
    # A complaint of someone who is no dealer any more would be malformed, and its sender guilty.
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(9)}
    r = ByzSecAgg(dropouts=1).start(tuple(range(9)), 10, generator=generator(0, "round"))
    substitute(r, 0, Unreadable)
    exact(r, *robust_sum(r, integers), {0}, list(range(1, 9)), integers)
    assert r.clients[1].refused and not r.server.guilty and r.server.gone == {0}


class Hiding(BadMasks):
    """Deals a bad mask share, and is silent when the holder complains."""

    def say(self, phase: ByzPhase, honest):
        said = honest()
        return said if phase < ByzPhase.COMPLAIN else []


def test_who_is_silent_and_found_guilty_counts_once() -> None:
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(8)}
    r = ByzSecAgg().start(tuple(range(8)), 10, generator=generator(0, "round"))
    substitute(r, 0, Hiding).prepare((1,), [1])
    exact(r, *robust_sum(r, integers), {0}, list(range(1, 8)), integers)
    assert r.server.guilty.keys() == {0} and not r.server.gone


class OffByOne(Double):
    """Deals client 5 one number that is off by one."""

    place: tuple[ByzPhase, int]

    def _to(self, other: int, plain: bytes):
        phase, at = self.place
        if self._phase == phase and other == 5:
            values = from_bytes(plain)
            values[at] = add(values[at : at + 1], elements([1]))[0]
            plain = to_bytes(values)
        return super()._to(other, plain)


# Shares of ten entries in two blocks, with a blind one each: 6 and 6 numbers, then 10 of masks; bits.
@pytest.mark.parametrize(
    ("phase", "at"),
    [(ByzPhase.DEAL, at) for at in (0, 5, 6, 11, 12, 19, 20, 21)]
    + [(ByzPhase.PROVE, 0), (ByzPhase.PROVE, 700), (ByzPhase.PROVE, -1)],
)
def test_one_wrong_number_to_one_holder_is_found(phase: ByzPhase, at: int) -> None:
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(8)}
    r = ByzSecAgg(max_norm=0.1).start(tuple(range(8)), 10, generator=generator(0, "round"))
    assert r.server.rules.dealt == (6, 6, 10) and r.server.rules.proof > 700
    substitute(r, 0, OffByOne).place = phase, at % (r.server.rules.proof if phase == ByzPhase.PROVE else 22)
    deal(r, integers)
    check(r)
    assert r.server.guilty == {0: "client 5 complained of client 0, and the evidence is against client 0"}


def test_shares_of_another_length_cannot_be_read() -> None:
    rules = ByzSecAgg(max_norm=0.1).rules(tuple(range(8)), 10)
    dealt, proof = bytes(8 * 22), bytes(8 * rules.proof)
    assert len(read(dealt, proof, rules).masks) == 10
    for one, two in ((dealt[8:], proof), (dealt, proof[8:]), (dealt + bytes(8), proof)):
        with pytest.raises(ValueError, match="expected 22 and"):
            read(one, two, rules)


class TwoAnswers(Double):
    """Answers with random numbers, and then in another form."""

    def say(self, phase: ByzPhase, honest):
        said = honest()
        if phase not in (ByzPhase.DISTANCES, ByzPhase.SUM):
            return said
        return [self.lie(said[0]), Numbers(self.number, said[0].values[1:])]


def test_what_a_guilty_one_answered_before_is_not_decoded() -> None:
    # It is guilty, so nobody else lies, and no error is left to correct.
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(8)}
    r = ByzSecAgg(max_norm=0.1).start(tuple(range(8)), 10, generator=generator(0, "round"))
    substitute(r, 0, TwoAnswers)
    exact(r, *robust_sum(r, integers), {0}, list(range(1, 8)), integers)
    assert r.server.guilty.keys() == {0}


@pytest.mark.parametrize(
    ("guilty", "gone", "accepted", "byzantine"),
    [
        ((), (), range(20), 3),
        ((1,), (), range(2, 20), 2),
        ((), (1, 2), range(20), 3),  # gone after they dealt: their updates may be bad
        ((), (1, 2), range(3, 20), 3),  # as many as may drop out
        ((), (1, 2, 3), range(4, 20), 2),
        ((1,), (2, 3, 4, 5), range(4, 20), 2),
        ((1,), (2, 3, 4), range(5, 20), 1),
    ],
)
def test_multi_krum_reckons_with_those_that_may_still_be_byzantine(
    monkeypatch: pytest.MonkeyPatch, guilty, gone, accepted, byzantine: int
) -> None:
    protocol, asked = ByzSecAgg(byzantine=3, dropouts=2), []
    server = protocol.start(tuple(range(20)), 4, generator=generator(0, "round")).server
    server.guilty, server.gone, server.accepted = dict.fromkeys(guilty, "why"), set(gone), tuple(accepted)
    monkeypatch.setattr(server_module, "multi_krum", lambda squares, f, m: asked.append((f, m)) or (0, 2))
    n = len(server.accepted)
    assert server.select(((0,) * n,) * n) == (server.accepted[0], server.accepted[2])
    assert asked == [(byzantine, 3)]


class Framing(Double):
    """Complains of client 5, which dealt well, and shows a secret for it."""

    shows: int  # the member whose channel the secret belongs to

    def say(self, phase: ByzPhase, honest):
        said = honest()
        if phase != ByzPhase.COMPLAIN:
            return said
        return [Complaint(self.number, (5,), (self._receiving[self.shows],))]


@pytest.mark.parametrize("shows", [5, 4])
def test_who_complains_of_an_honest_dealer_is_guilty(shows: int) -> None:
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(8)}
    r = ByzSecAgg(max_norm=0.1).start(tuple(range(8)), 10, generator=generator(0, "round"))
    substitute(r, 0, Framing).shows = shows
    exact(r, *robust_sum(r, integers), {0}, list(range(1, 8)), integers)
    assert r.server.guilty == {0: "client 0 complained of client 5, and the evidence is against client 0"}


def test_dropouts_that_stay_do_not_let_more_liars_pass() -> None:
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(12)}
    r = ByzSecAgg(dropouts=2, max_norm=0.1).start(tuple(range(12)), 10, generator=generator(0, "round"))
    with pytest.raises(ValueError, match="more than 1 holders sent wrong values"):
        robust_sum(r, integers, liars=(3, 4))


class Malformed(Double):
    """Sends one message that is not in the form that its phase asks for."""

    phase: ByzPhase
    change: object

    def say(self, phase: ByzPhase, honest):
        said = honest()
        return [self.change(said[0]), *said[1:]] if phase == self.phase else said


MALFORMED = {
    "one key less": (ByzPhase.ADVERTISE_KEYS, lambda m: replace(m, receiving=m.receiving[1:])),
    "one key more": (ByzPhase.ADVERTISE_KEYS, lambda m: replace(m, receiving=(*m.receiving, m.sending))),
    "a sending key that gives everyone the same": (
        ByzPhase.ADVERTISE_KEYS,
        lambda m: replace(m, sending=bytes(32)),
    ),
    "a receiving key that does": (
        ByzPhase.ADVERTISE_KEYS,
        lambda m: replace(m, receiving=(*m.receiving[:-1], bytes(32))),
    ),
    "short shares": (ByzPhase.DEAL, lambda m: replace(m, sealed=m.sealed[:-8])),
    "short bits": (ByzPhase.PROVE, lambda m: replace(m, sealed=m.sealed[:-8])),
    "a short combination": (ByzPhase.COMBINE, lambda m: Numbers(m.client, m.values[:-1])),
    "a complaint without a secret": (ByzPhase.COMPLAIN, lambda m: Complaint(m.client, (2,), ())),
    "a secret without a name": (ByzPhase.COMPLAIN, lambda m: Complaint(m.client, (), (bytes(32),))),
    "a complaint of a stranger": (ByzPhase.COMPLAIN, lambda m: Complaint(m.client, (99,), (bytes(32),))),
    "a complaint of itself": (ByzPhase.COMPLAIN, lambda m: Complaint(m.client, (0,), (bytes(32),))),
    "a complaint twice": (ByzPhase.COMPLAIN, lambda m: Complaint(m.client, (2, 2), (bytes(32),) * 2)),
    "a short answer": (ByzPhase.DISTANCES, lambda m: Numbers(m.client, m.values[:-1])),
    "a short echo": (ByzPhase.ECHO, lambda m: replace(m, sealed=m.sealed[:-1])),
    "a long sum": (ByzPhase.SUM, lambda m: Numbers(m.client, elements([*m.values.tolist(), 0]))),
}


@pytest.mark.parametrize(("phase", "change"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_costs_its_sender_the_round_and_nobody_else(phase: ByzPhase, change) -> None:
    integers = {c: np.random.default_rng(c).integers(-300, 300, 10) for c in range(8)}
    r = ByzSecAgg(max_norm=0.1).start(tuple(range(8)), 10, generator=generator(0, "round"))
    wrong = substitute(r, 0, Malformed)
    wrong.phase, wrong.change = phase, change
    exact(r, *robust_sum(r, integers), {0}, list(range(1, 8)), integers)
    assert r.server.guilty.keys() == {0}


# --- a server that deviates: what clients notice ---


def begun(entries: int = 6, n: int = 8) -> tuple[Byzantine, dict]:
    r = ByzSecAgg(max_norm=0.1).start(tuple(range(n)), entries, generator=generator(0, "round"))
    integers = {c: np.random.default_rng(c).integers(-300, 300, entries) for c in range(n)}
    deal(r, integers)
    return r, integers


def test_a_coin_that_is_not_the_committed_one_is_refused() -> None:
    r, _ = begun()
    first, second = r.server.coins
    client = r.clients[0]
    assert client._committed == Commitment(commitment(first.secret), commitment(second.secret))
    for answer, told, other in ((client.prove, first, second), (client.combine, second, first)):
        for wrong in (replace(told, secret=bytes(32)), other):
            with pytest.raises(ValueError, match="client 0 got a coin that the server had not committed to"):
                answer([], wrong)
            client._phase -= 1
        answer([], told)


def test_a_coin_without_the_clients_own_nonce_is_refused() -> None:
    for change in (
        lambda told: replace(told, clients=told.clients[1:], nonces=told.nonces[1:]),
        lambda told: replace(told, nonces=(bytes(16), *told.nonces[1:])),
        lambda told: replace(told, nonces=told.nonces[1:]),
        lambda told: replace(told, clients=told.clients[1:]),
    ):
        r, _ = begun()
        with pytest.raises(ValueError, match=r"client 0 got a coin (without its own nonce|whose nonces)"):
            r.clients[0].prove([], change(r.server.coins[0]))


def test_the_coin_depends_on_every_part_and_is_never_zero() -> None:
    told = Reveal(bytes(range(32)), (0, 4), (bytes(16), bytes(range(16))))
    others = [
        replace(told, secret=bytes(32)),
        replace(told, clients=(0, 5)),
        *(replace(told, nonces=(bytes([i] * 16), told.nonces[1])) for i in range(1, 40)),
        replace(told, nonces=(told.nonces[0], bytes(16))),
    ]
    coins = {coin(one) for one in (told, *others)}
    assert len(coins) == len(others) + 1 and all(0 < one < P for one in coins)
    assert coin(told) == 1 + int.from_bytes(sha256(b"coin" + told.encode()).digest(), "big") % (P - 1)


def test_two_selected_lists_are_both_left_unanswered() -> None:
    # One list for half of the clients, another for the rest: their difference would be two updates.
    r, _ = begun()
    check(r)
    distances(r)
    lists = {name: (1, 2, 3) if name < 4 else (1, 2, 4) for name in r.clients}
    r.ask(ByzPhase.ECHO, lambda client, told: client.echo(*told), lambda name: [Names(name, lists[name])])
    for name, client in r.clients.items():
        with pytest.raises(ValueError, match="wants 5 members that were told the same lists, knows of 4"):
            client.sum(r.server.echoes_for(name))


def test_two_lists_of_accepted_ones_are_not_answered_either() -> None:
    r, _ = begun()
    check(r)
    lists = {name: tuple(range(8 - (name < 4))) for name in r.clients}
    for name, client in r.clients.items():
        client.distances(Names(name, lists[name]))
    echoes = [echo for name, client in r.clients.items() for echo in client.echo(Names(name, (1, 2, 3)))]
    for name, client in r.clients.items():
        with pytest.raises(ValueError, match="wants 5 members that were told the same lists, knows of 4"):
            client.sum([echo for echo in echoes if echo.recipient == name])


def test_an_echo_counts_once_and_not_from_whom_one_complained_of() -> None:
    r, _ = begun()
    check(r)
    distances(r)
    r.ask(ByzPhase.ECHO, lambda client, told: client.echo(*told), lambda name: [Names(name, (1, 2, 3))])
    echoes = {name: r.server.echoes_for(name) for name in r.clients}
    twice, blamed, damaged, enough = (r.clients[name] for name in range(4))
    with pytest.raises(ValueError, match="knows of 4"):
        twice.sum(echoes[0][:3] + echoes[0][:3])
    blamed._bad = {0, 2, 3}
    with pytest.raises(ValueError, match="knows of 5"):
        blamed.rules = replace(blamed.rules, colluders=3)
        blamed.sum(echoes[1])
    wrong = [replace(echo, sealed=bytes(60)) for echo in echoes[2][:4]]
    with pytest.raises(ValueError, match="knows of 4"):
        damaged.sum(wrong + echoes[2][4:])
    assert len(enough.sum(echoes[3][:4]).values) == 3  # with its own, five


def test_a_sum_over_fewer_than_the_minimum_is_refused() -> None:
    with pytest.raises(
        ValueError, match="selected must be at least minimum=2, or single updates come out, got 1"
    ):
        ByzSecAgg(selected=1)
    with pytest.raises(ValueError, match="at least minimum=5"):
        ByzSecAgg(selected=4, minimum=5)
    assert ByzSecAgg(selected=1, minimum=1).selected == 1
    for names in ((1,), (1, 2), (1, 1, 2), (1, 2, 3, 3), (1, 2, 99)):
        r, _ = begun()
        check(r)
        distances(r)
        with pytest.raises(ValueError, match="adds up 3 accepted clients or more"):
            r.clients[0].echo(Names(0, names))


def test_no_two_groups_of_a_quorum_are_told_two_lists() -> None:
    # Each honest client echoes one list. Two quorums would need more honest clients than there are.
    for n in range(3, 40):
        for colluders in range(n // 2):
            rules = ByzRules(tuple(range(n)), 1, 0, 1, colluders, 0, 2, 1)
            assert 2 * (rules.quorum - colluders) > n - colluders >= 2 * (rules.quorum - 1 - colluders)


def test_with_the_fewest_clients_the_honest_ones_are_a_quorum() -> None:
    for A, K, T, D, m in np.ndindex(4, 4, 7, 5, 4):
        if K and m > 1:
            least = ByzSecAgg(byzantine=A, blocks=K, colluders=T, dropouts=D, selected=m).least
            assert least == 2 * A + D + max(2 * K + 2 * T - 1, m + 3, D + T + 1)
            assert ByzRules(tuple(range(least)), 1, A, K, T, D, m, 1).quorum <= least - A - D


# --- one bit flipped on the way, with a checksum that is set right ---


@pytest.mark.slow
@pytest.mark.sampled(1)
@pytest.mark.parametrize("seed", range(8))
def test_a_bit_flipped_by_an_adversary_gives_an_error_or_the_exact_sum(seed: int) -> None:
    play, draw = byzantine(), np.random.default_rng(seed)
    kinds = list(places(play))
    for kind, place, size in [kinds[i] for i in draw.permutation(len(kinds))[:8]]:
        wire = Forged()
        wire.place, wire.bit = place, int(draw.integers(0, 8 * size))
        try:
            assert play(wire), f"{kind}, message {place}, bit {wire.bit}: another number"
        except ValueError as error:
            assert "client" in str(error) or "server" in str(error), error


def test_a_sealed_message_is_bound_to_round_phase_sender_and_recipient() -> None:
    sealed = {
        header(session, phase, sender, recipient)
        for session in (bytes(16), bytes([1] * 16))
        for phase in (ByzPhase.DEAL, ByzPhase.PROVE)
        for sender in (1, 2)
        for recipient in (1, 2)
    }
    assert len(sealed) == 16
