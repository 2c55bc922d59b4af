"""Any threshold of shares gives the secret; one fewer leaves every secret equally possible."""

from itertools import combinations

import pytest
import torch

from leaklib.aggregation.crypto import shamir
from leaklib.aggregation.crypto.shamir import PRIME, SHARE, recover, recover_checked, split
from leaklib.aggregation.crypto.stream import Stream
from leaklib.rng import generator


@pytest.mark.parametrize("seed", range(30))
def test_any_threshold_of_shares_gives_the_secret(seed: int) -> None:
    g = generator(seed, "shamir")
    holders = int(torch.randint(1, 12, (1,), generator=g))
    threshold = int(torch.randint(1, holders + 1, (1,), generator=g))
    length = int(torch.randint(1, 65, (1,), generator=g))
    names = torch.randperm(1000, generator=g)[:holders].tolist()
    secret = Stream(seed, "secret").bytes(length)
    shares = split(secret, threshold, names, stream=Stream(seed))
    assert set(shares) == set(names) and all(
        0 <= share < PRIME < 2 ** (8 * SHARE) for share in shares.values()
    )
    for extra in (threshold, holders):
        some = torch.randperm(holders, generator=g)[:extra].tolist()
        assert recover({names[i]: shares[names[i]] for i in some}, length) == secret


def test_every_choice_of_holders_will_do() -> None:
    secret = bytes(range(32))
    shares = split(secret, 3, range(6), stream=Stream(0, "s"))
    for chosen in combinations(shares, 3):
        assert recover({holder: shares[holder] for holder in chosen}, 32) == secret


def test_fewer_shares_fit_every_secret() -> None:
    # Whatever the secret, exactly one polynomial of degree below the threshold goes through it and t − 1
    # shares: there is one value that completes them, and it gives that secret.
    shares = split(b"the true secret", 4, range(7), stream=Stream(0, "s"))
    known = {holder: shares[holder] for holder in (0, 2, 5)}
    for candidate in (b"the true secret", b"another  secret", bytes(15), bytes([255] * 15)):
        value = completing(known, int.from_bytes(candidate, "big"), 6)
        assert recover(known | {6: value}, 15) == candidate
        assert (value == shares[6]) == (candidate == b"the true secret")


def completing(known: dict[int, int], secret: int, holder: int) -> int:
    """The share that ``holder`` would have: Lagrange through (0, secret) and the known shares."""
    points, x = {0: secret} | {h + 1: share for h, share in known.items()}, holder + 1
    total = 0
    for one, value in points.items():
        for other in points:
            if other != one:
                value = value * (x - other) * pow(one - other, -1, PRIME) % PRIME
        total += value
    return total % PRIME


def test_too_few_shares_are_noticed() -> None:
    shares = split(bytes(range(32)), 3, range(5), stream=Stream(0, "s"))
    with pytest.raises(ValueError, match="these 2 shares give no secret of 32 bytes"):
        recover({0: shares[0], 1: shares[1]}, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((bytes(65), 1, [0]), "at most 64 bytes, got 65"),
        ((b"s", 0, [0]), r"threshold must be in 1..1, .* got 0"),
        ((b"s", 3, [0, 1]), r"threshold must be in 1..2, .* got 3"),
        ((b"s", 1, [-1]), "numbers from 0, got -1"),
    ],
)
def test_what_cannot_be_shared_is_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(*options, stream=Stream(0, "s"))


def test_one_wrong_share_more_than_the_threshold_is_found_surely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the random sets, which find more than one."""
    secret = bytes(range(32))
    shares = split(secret, 4, range(6), stream=Stream(0, "s"))
    monkeypatch.setattr(shamir, "DRAWS", 0)
    for liar in range(6):
        lied = shares | {liar: (shares[liar] + 1) % PRIME}
        named = [liar] if liar < 4 else []  # the others are not looked at
        assert recover_checked(lied, 32, 4, secret.__eq__) == (secret, named)
    assert recover_checked(shares, 32, 4, secret.__eq__) == (secret, [])
    three = {holder: shares[holder] for holder in (1, 2, 4)} | {5: 0}
    with pytest.raises(ValueError, match=r"no 4 shares that were tried, of those from clients \[1, 2, 4, 5"):
        recover_checked(three, 32, 4, secret.__eq__)


def test_several_wrong_shares_are_found_by_drawing_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = bytes(range(32))
    shares = split(secret, 10, range(20), stream=Stream(0, "s"))
    lied = {h: (share + 7**h * (h in (0, 3, 4, 19))) % PRIME for h, share in shares.items()}
    assert recover_checked(lied, 32, 10, secret.__eq__) == (secret, [0, 3, 4, 19])
    monkeypatch.setattr(shamir, "DRAWS", 0)
    with pytest.raises(ValueError, match="too many are wrong"):
        recover_checked(lied, 32, 10, secret.__eq__)


def test_liars_who_agree_cannot_put_the_blame_on_others() -> None:
    """Their errors cancel in a set of holders: it gives the secret, and all others' shares seem wrong."""
    secret = bytes(range(32))
    shares = split(secret, 3, range(7), stream=Stream(0, "s"))
    # Holders 0, 1, 2 at points 1, 2, 3 have the weights 3, −3, 1.
    lied = shares | {0: (shares[0] + 1) % PRIME, 1: (shares[1] + 1) % PRIME}
    assert recover_checked(lied, 32, 3, secret.__eq__) == (secret, [])
    # Now those who came first are no such set, the next is.
    again = {h: lied[h] for h in (0, 1, 3, 2, 4, 5, 6)}
    assert recover_checked(again, 32, 3, secret.__eq__) == (secret, [0, 1])
