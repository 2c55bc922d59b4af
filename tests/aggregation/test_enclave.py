"""The enclave hands out the mean and nothing else, refuses whatever is not meant for it, and always ends."""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import torch

from leaklib.aggregation.crypto.primitives import public_key, sign, unseal, verification_key
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.enclave import (
    CODE,
    Anchors,
    Attestation,
    Enclave,
    Running,
    certify,
    measure,
    seal_update,
)
from leaklib.aggregation.parts.pooled import mean as pooled
from leaklib.aggregation.tee.inside import FINISH, HEAD, ROW, SIGNATURE, Inside, Task, header, serve
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Update

MANUFACTURER, SEED, AUTHORITY = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
MODEL = bytes([7] * 32)
ENTRIES = 7


def updates(clients: int = 3, dtype: torch.dtype = torch.float32) -> tuple[Update, ...]:
    draw = generator(0, "updates")
    return tuple(
        Update(
            {
                "weight": torch.randn(2, 3, generator=draw).to(dtype),
                "bias": torch.randn(1, generator=draw).to(dtype),
            },
            FedSGD(),
            1,
            (3, 8, 8),
            client=c,
        )
        for c in range(clients)
    )


def task(secrets: dict[int, bytes], authority: bytes = AUTHORITY, **changes) -> Task:
    """A task of the clients with these secrets, all certified."""
    keys = {client: public_key(secret) for client, secret in secrets.items()}
    rows = tuple((client, key, certify(authority, client, key)) for client, key in keys.items())
    return replace(Task(ENTRIES, 4, 2, verification_key(authority), MODEL, rows), **changes)


def attest(served: Task, keys: bytes) -> Attestation:
    """What an honest processor signs."""
    unsigned = Attestation(measure(CODE), keys, served.pack(), b"")
    return replace(unsigned, signature=sign(MANUFACTURER, unsigned.statement()))


class Round:
    """Three clients, their secrets and the task, and an enclave's memory without the process around it."""

    def __init__(self, seed: bytes = SEED, stream: str = "keys") -> None:
        draw = Stream(0, stream)
        self.updates = updates()
        self.secrets = [draw.bytes(32) for _ in self.updates]
        self.task = task(dict(enumerate(self.secrets)))
        self.inside = Inside(seed, self.task.pack())
        self.attestation = attest(self.task, self.inside.public())

    def sealed(self, client: int, *, secret: int | None = None, width: int = 4, **changes) -> bytes:
        update = replace(self.updates[client], **changes)
        key = self.secrets[client if secret is None else secret]
        return seal_update(update, key, self.attestation, width, stream=Stream(client, "nonce"))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-7), (torch.float64, 1e-15)])
@pytest.mark.parametrize("clients", [1, 2, 9])
def test_the_host_gets_the_mean(clients: int, dtype: torch.dtype, error: float) -> None:
    theirs = updates(clients, dtype)
    view = Enclave(minimum=1)(theirs, generator=generator(0, "g"))
    (read,) = view.updates
    assert read.clients == tuple(range(clients)) and read.num_examples == clients
    for name, tensor in pooled(theirs).items():
        assert read.tensors[name].dtype == dtype
        assert (read.tensors[name] - tensor).abs().max() <= error


def test_ciphertext_says_nothing_that_a_host_could_count() -> None:
    """χ² over 16 bins of what the host sees of a constant update, and no trace of who sent which."""
    same = {"weight": torch.full((100, 100), 0.25)}
    theirs = tuple(Update(same, FedSGD(), 1, (3, 8, 8), client=c) for c in range(3))
    view = Enclave()(theirs, generator=generator(0, "g"))
    seen = [update.tensors["weight"].flatten() for update in view.sealed]
    for values in seen:
        assert values.abs().max() <= 1
        counts = torch.histc(values, 16, -1, 1)
        assert ((counts - 625).square() / 625).sum() < 45, "99.99 % of uniform draws stay below"
    assert not torch.equal(seen[0], seen[1])
    assert all(u.sensitivity is None and u.mechanism is None for u in view.sealed)


def test_every_byte_is_counted() -> None:
    view = Enclave()(updates(3), generator=generator(0, "g"))
    sealed = 12 + 4 * ENTRIES + 16
    attestation = 32 + 2 * 32 + 64 + (73 + 3 * 100)  # measurement, keys, signature, task
    assert view.cost is not None
    assert (view.cost.client_up, view.cost.client_down) == (32 + 64 + sealed, attestation)
    assert (view.cost.rounds, view.cost.messages) == (2, 9)


# What clients refuse


def attested(
    code: Path = CODE, manufacturer: bytes = MANUFACTURER, served: Task | None = None
) -> Attestation:
    with Running(code, 60) as enclave:
        return enclave.attest(manufacturer, SEED, (served or ROUND.task).pack())


ROUND = Round()
ANCHORS = Anchors(verification_key(MANUFACTURER), measure(CODE), verification_key(AUTHORITY))
KEY_0 = public_key(ROUND.secrets[0])


def check(attestation: Attestation, anchors: Anchors = ANCHORS) -> None:
    """Client 0 looks at it."""
    anchors.check(attestation, 0, KEY_0, MODEL)


def test_a_client_accepts_the_code_that_it_knows() -> None:
    check(attested())


def test_a_client_refuses_other_code_and_another_manufacturer(tmp_path: Path) -> None:
    curious = tmp_path / "enclave_code.py"
    curious.write_text(CODE.read_text().replace("self.total += ", "self.total = "))
    with pytest.raises(ValueError, match="runs other code"):
        check(attested(code=curious))
    with pytest.raises(ValueError, match="not signed by the manufacturer"):
        check(attested(manufacturer=bytes(32)))


def made_up(client: int) -> bytes:
    return bytes([100 + client] * 32)


def filled(authority: bytes = AUTHORITY, copied: bool = False) -> Task:
    """A round of client 0 and of seven made up by the host: certificates forged, or copied from client 0."""
    true = ROUND.task.clients[0]
    others = task({client: made_up(client) for client in range(1, 8)}, authority).clients
    if copied:
        others = tuple((client, key, true[2]) for client, key, _ in others)
    return replace(ROUND.task, clients=(true, *others), authority=verification_key(AUTHORITY))


def test_a_host_that_fills_the_round_with_its_own_clients_gets_nothing() -> None:
    """With seven clients of the host's making the mean is client 0's update."""
    own = bytes(range(96, 128))  # an authority of the host's
    for bad in (filled(own), filled(copied=True)):
        with pytest.raises(ValueError, match="certified no such key of client 1: refused"):
            Inside(SEED, bad.pack())
        # A host whose processor would attest it all the same: the client looks for itself.
        with pytest.raises(ValueError, match="certified no such key of client 1: refused"):
            check(attest(bad, ROUND.inside.public()))
    # With an authority of its own in the task the enclave has nothing to complain about. The client has.
    certified = task({0: ROUND.secrets[0]} | {c: made_up(c) for c in range(1, 8)}, own)
    served = attest(certified, Inside(SEED, certified.pack()).public())
    with pytest.raises(ValueError, match="trusts another authority than the client does: nothing is sent"):
        check(served)


def test_an_authority_on_the_host_s_side_gives_the_client_away() -> None:
    """What no certificate helps against: seven that it certified, whose zeros are known to the host."""
    served = filled()
    inside = Inside(SEED, served.pack())
    attestation = attest(served, inside.public())
    check(attestation)
    zeros = Update({"weight": torch.zeros(ENTRIES)}, FedSGD(), 1, (3, 8, 8))
    secrets = {client: made_up(client) for client in range(1, 8)} | {0: ROUND.secrets[0]}
    for client, secret in secrets.items():
        update = replace(zeros, client=client) if client else ROUND.updates[0]
        inside.take(client, seal_update(update, secret, attestation, 4, stream=Stream(client)))
    read = 8 * torch.from_numpy(np.frombuffer(inside.mean(), "<f4").copy())
    assert (read - torch.cat([t.flatten() for t in ROUND.updates[0].tensors.values()])).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clients": ROUND.task.clients[:1]}, "too few clients, 1 of at least 2: refused"),
        (
            {"clients": ROUND.task.clients[:1], "minimum": 1},
            "too few clients for client 0, 1 of at least 2",
        ),
        ({"clients": ROUND.task.clients[1:]}, "does not list client 0 with its key"),
        ({"clients": task({0: made_up(0), 1: made_up(1)}).clients}, "does not list client 0 with its key"),
        ({"model": bytes(32)}, "about another model than client 0's"),
    ],
    ids=["too few for the task", "too few for the client", "without it", "in its place", "another model"],
)
def test_a_client_refuses_a_task_that_would_not_hide_it(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(attest(replace(ROUND.task, **changes), ROUND.inside.public()))


def test_the_enclave_refuses_too_few_and_so_does_the_round() -> None:
    with pytest.raises(ValueError, match="too few clients, 1 of at least 2"):
        Enclave()(updates(1))
    with pytest.raises(ValueError, match="too few clients, 3 of at least 4"):
        Enclave(minimum=4)(updates(3))
    assert Enclave(minimum=1)(updates(1)).updates[0].clients == (0,)


def test_clients_that_were_sent_different_models_are_not_pooled() -> None:
    first, second, third = (replace(update, model=MODEL) for update in updates())
    with pytest.raises(ValueError, match="about another model than client 2's: nothing is sent"):
        Enclave()((first, second, replace(third, model=bytes(32))))


@pytest.mark.parametrize("field", ["measurement", "keys", "task", "signature"])
def test_no_part_of_an_attestation_can_be_exchanged(field: str) -> None:
    true = attest(ROUND.task, ROUND.inside.public())
    check(true)
    part = getattr(true, field)
    for bad in (bytes([part[0] ^ 1]) + part[1:], part[:-1], part + b"\0", b""):
        with pytest.raises(ValueError, match="nothing is sent"):
            check(replace(true, **{field: bad}))


# What the enclave refuses

SEALED = ROUND.sealed(0)


def test_one_changed_bit_is_refused() -> None:
    for bit in range(8 * len(SEALED)):
        changed = bytearray(SEALED)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="client 0 was changed"):
            ROUND.inside.take(0, bytes(changed))


def test_a_message_cut_or_continued_is_refused() -> None:
    cut = [SEALED[:length] for length in range(len(SEALED))]
    for message in [*cut, SEALED + b"\0", SEALED + SEALED, SEALED[1:], b"\0" + SEALED]:
        with pytest.raises(ValueError, match="client 0 was changed"):
            ROUND.inside.take(0, message)


def test_a_task_is_read_as_it_was_written_or_refused() -> None:
    draw, source, read = generator(0, "tasks"), Stream(0, "tasks"), 0
    for _ in range(2000):
        length = int(torch.randint(HEAD.size + 3 * ROW.size, (1,), generator=draw))
        length = HEAD.size + ROW.size * (1 + length % 3) if length % 2 else length
        packed = bytearray(source.bytes(length))
        if length > 4 and packed[0] % 2:
            packed[4] = 4  # a width that exists
        try:
            found = Task.unpack(bytes(packed))
        except ValueError as refusal:
            assert "refused" in str(refusal)
        else:
            read += 1
            assert found.pack() == bytes(packed)
            with pytest.raises(ValueError, match="refused"):
                found.check()
    assert read > 5


def test_a_task_lists_everyone_once() -> None:
    (first, second, third), a, b = ROUND.task.clients, made_up(1), made_up(2)
    again = task({0: a}).clients[0], task({1: a}).clients[0], task({0: b}).clients[0]
    for rows in ([first, second, first], [again[0], again[1]], [first, third, again[2]]):
        with pytest.raises(ValueError, match="twice"):
            Inside(SEED, replace(ROUND.task, clients=tuple(rows)).pack())


def test_messages_for_others_from_others_and_from_before_are_refused() -> None:
    now, before, host = Round(), Round(seed=bytes(32)), Round(stream="host")
    for client, message, said in [
        (1, now.sealed(0), "client 1 was changed"),  # misrouted
        (0, before.sealed(0), "client 0 was changed"),  # replayed from another round
        (0, host.sealed(0), "client 0 was changed"),  # made up by the host
        (0, now.sealed(0, secret=1), "client 0 was changed"),  # client 1 as client 0
        (3, now.sealed(0), "client 3 is not in the task"),
        (0, now.sealed(0, width=8), "no 7 finite numbers"),
        (0, now.sealed(0, tensors={"weight": torch.zeros(6)}), "no 7 finite numbers"),
        (0, now.sealed(0, tensors={"weight": torch.full((7,), torch.nan)}), "no 7 finite numbers"),
    ]:
        with pytest.raises(ValueError, match=said):
            now.inside.take(client, message)
    # None of them left a trace: the whole round still gives the mean.
    for client in range(3):
        now.inside.take(client, now.sealed(client))
    expected = torch.cat([t.flatten() for t in pooled(now.updates).values()]).numpy()
    assert np.frombuffer(now.inside.mean(), "<f4") == pytest.approx(expected, abs=1e-7)


def test_an_update_counts_once_and_none_may_be_missing() -> None:
    now = Round()
    now.inside.take(0, now.sealed(0))
    with pytest.raises(ValueError, match="has sent its update already"):
        now.inside.take(0, now.sealed(0))
    with pytest.raises(ValueError, match=r"clients \[1, 2\] have sent nothing"):
        now.inside.mean()


def test_a_client_s_message_opens_for_the_enclave_alone() -> None:
    with pytest.raises(ValueError, match="refused"):
        unseal(ROUND.secrets[1], SEALED, header(0))


def served(said: bytes) -> bytes:
    """What the enclave answers to a whole conversation."""
    (inbox, host), (answers, outbox) = Pipe(duplex=False), Pipe(duplex=False)
    with inbox, outbox, answers:
        with host:
            os.write(host.fileno(), said)
        serve(inbox, outbox)
        return answers.recv_bytes() + answers.recv_bytes()


def test_whatever_the_host_sends_ends_in_a_refusal_or_the_mean() -> None:
    """A whole round as bytes, cut, continued, or with a byte changed: no other error, no other sum."""
    now = Round()
    updates = [struct.pack("<I", client) + now.sealed(client) for client in range(3)]
    parts = [SEED, now.task.pack(), *updates, FINISH]
    whole = b"".join(struct.pack("!i", len(part)) + part for part in parts)
    mean = served(whole)[-4 * ENTRIES :]
    exact = torch.cat([t.flatten() for t in pooled(now.updates).values()])
    assert (torch.from_numpy(np.frombuffer(mean, "<f4").copy()) - exact).abs().max() < 1e-6
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :]
        for bad in (changed, whole[:place]):
            with pytest.raises((ValueError, OSError, EOFError)):
                served(bad)
    for rest in (b"\0", bytes(4), whole):  # after the mean nobody listens
        assert served(whole + rest)[-4 * ENTRIES :] == mean


def test_one_bit_flipped_in_any_message_is_an_error_or_the_exact_mean() -> None:
    """Of all that travels: to the client, to the enclave, and back. The host's own commands are above."""
    now = Round()
    exact = pooled(now.updates)
    exact = torch.cat([t.flatten() for t in exact.values()]).numpy()

    def flipped(message: bytes) -> Iterator[bytes]:
        for bit in range(8 * len(message)):
            changed = bytearray(message)
            changed[bit // 8] ^= 1 << bit % 8
            yield bytes(changed)

    for part in ("measurement", "keys", "task", "signature"):
        for bad in flipped(getattr(now.attestation, part)):
            with pytest.raises(ValueError, match="nothing is sent"):
                check(replace(now.attestation, **{part: bad}))
    for client in range(3):
        sealed = now.sealed(client)
        for bad in flipped(sealed):
            with pytest.raises(ValueError, match=f"client {client} was changed"):
                now.inside.take(client, bad)
        for bit in range(32):
            with pytest.raises(ValueError, match=r"not in the task|sealed by or for someone else"):
                now.inside.take(client ^ 1 << bit, sealed)
        now.inside.take(client, sealed)
    answer = now.inside.sign(bytes(8) + now.inside.mean())
    assert np.frombuffer(now.attestation.answer(answer)[8:], "<f4") == pytest.approx(exact, abs=1e-7)
    for bad in [*flipped(answer), answer[:SIGNATURE], b""]:
        with pytest.raises(ValueError, match="not the enclave's on this message"):
            now.attestation.answer(bad)
    # Nor does the answer to another task pass.
    other = replace(now.attestation, task=task({0: made_up(0), 1: made_up(1)}).pack())
    with pytest.raises(ValueError, match="not the enclave's on this message"):
        other.answer(answer)


def test_a_client_with_a_key_that_agrees_with_everyone_is_refused() -> None:
    weak = (0, bytes(32), certify(AUTHORITY, 0, bytes(32)))
    inside = Inside(SEED, replace(ROUND.task, clients=(weak, *ROUND.task.clients[1:])).pack())
    with pytest.raises(ValueError, match="client 0 was changed"):
        inside.take(0, SEALED)


# The process


def test_a_refusal_reaches_the_host_even_in_the_middle() -> None:
    now = Round()
    with Running(CODE, 60) as enclave, pytest.raises(ValueError, match="client 1 was changed"):
        enclave.attest(MANUFACTURER, SEED, now.task.pack())
        enclave.deliver(1, now.sealed(0))
        for _ in range(20_000):  # more than a pipe holds
            enclave.deliver(0, now.sealed(0))
        enclave.mean(now.attestation)
    assert enclave.process.poll() is not None


def program(folder: Path, text: str) -> Path:
    path = folder / "program.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("import time; time.sleep(600)", TimeoutError, r"no answer within 0\.5 s"),
        ("raise SystemExit('no power')", RuntimeError, r"code 1\. no power"),
        ("print('abc', end='', flush=True)", RuntimeError, "without an answer, code"),
    ],
    ids=["hangs", "dies", "is cut off"],
)
def test_nothing_hangs(tmp_path: Path, text: str, kind: type[Exception], said: str) -> None:
    short = 0.5 if kind is TimeoutError else 60
    with Running(program(tmp_path, text), short) as enclave, pytest.raises(kind, match=said):
        enclave.attest(MANUFACTURER, SEED, bytes(1_000_000))  # more than a pipe holds
    assert enclave.process.poll() is not None


def test_a_killed_enclave_is_reported() -> None:
    now = Round()
    with Running(CODE, 60) as enclave, pytest.raises(RuntimeError, match="the enclave ended"):
        enclave.attest(MANUFACTURER, SEED, now.task.pack())
        enclave.process.kill()
        enclave.process.wait()
        enclave.deliver(0, now.sealed(0))
        enclave.mean(now.attestation)


def test_it_ends_with_its_block_even_after_an_error() -> None:
    with pytest.raises(KeyError), Running(CODE, 60) as enclave:
        raise KeyError
    assert enclave.process.poll() is not None and not enclave.timer.is_alive()


def test_the_code_needs_nothing_of_leaklib() -> None:
    """Else its measurement would not cover what it does."""
    source = (
        "import runpy, sys; runpy.run_path(sys.argv[1], run_name='x');"
        "print(any(name.split('.')[0] in ('leaklib', 'torch') for name in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", source, str(CODE)], capture_output=True, check=True)
    assert found.stdout.strip() == b"False"
