"""The enclave hands out the mean and nothing else, refuses whatever is not meant for it, and always ends."""

import os
import struct
import subprocess
import sys
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
import torch

from leaklib.aggregation.crypto.primitives import public_key, sign, unseal, verification_key
from leaklib.aggregation.crypto.stream import Stream
from leaklib.aggregation.enclave import CODE, Attestation, Enclave, Running, measure, seal_update
from leaklib.aggregation.parts.pooled import mean
from leaklib.aggregation.tee.inside import (
    FINISH,
    Inside,
    header,
    pack_task,
    serve,
    unpack_task,
)
from leaklib.client import FedSGD
from leaklib.rng import generator
from leaklib.types import Update

MANUFACTURER, SEED = bytes(range(32)), bytes(range(32, 64))
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


class Round:
    """Three clients, their secrets and the task, and an enclave's memory without the process around it."""

    def __init__(self, seed: bytes = SEED, stream: str = "keys") -> None:
        draw = Stream(0, stream)
        self.updates = updates()
        self.secrets = [draw.bytes(32) for _ in self.updates]
        self.task = pack_task(ENTRIES, 4, {c: public_key(s) for c, s in enumerate(self.secrets)})
        self.inside = Inside(seed, self.task)
        self.attestation = Attestation(measure(CODE), self.inside.public(), self.task, b"")

    def sealed(self, client: int, *, secret: int | None = None, width: int = 4, **changes) -> bytes:
        update = replace(self.updates[client], **changes)
        key = self.secrets[client if secret is None else secret]
        return seal_update(update, key, self.attestation, width, stream=Stream(client, "nonce"))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-7), (torch.float64, 1e-15)])
@pytest.mark.parametrize("clients", [1, 2, 9])
def test_the_host_gets_the_mean(clients: int, dtype: torch.dtype, error: float) -> None:
    theirs = updates(clients, dtype)
    view = Enclave()(theirs, generator=generator(0, "g"))
    (read,) = view.updates
    assert read.clients == tuple(range(clients)) and read.num_examples == clients
    for name, tensor in mean(theirs).items():
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
    attestation = 32 + 32 + 64 + (5 + 3 * 36)  # measurement, key, signature, task
    assert view.cost is not None
    assert (view.cost.client_up, view.cost.client_down) == (32 + sealed, attestation)
    assert (view.cost.rounds, view.cost.messages) == (2, 9)


# What clients refuse


def attested(code: Path = CODE, manufacturer: bytes = MANUFACTURER, task: bytes | None = None) -> Attestation:
    with Running(code, 60) as enclave:
        return enclave.attest(manufacturer, SEED, Round().task if task is None else task)


def check(attestation: Attestation) -> None:
    attestation.check(TRUSTED, measure(CODE), Round().task)


TRUSTED = verification_key(MANUFACTURER)


def test_a_client_accepts_the_code_that_it_knows() -> None:
    check(attested())


def test_a_client_refuses_other_code_another_manufacturer_and_another_task(tmp_path: Path) -> None:
    curious = tmp_path / "enclave_code.py"
    curious.write_text(CODE.read_text().replace("self.total += ", "self.total = "))
    with pytest.raises(ValueError, match="runs other code"):
        check(attested(code=curious))
    with pytest.raises(ValueError, match="not signed by the manufacturer"):
        check(attested(manufacturer=bytes(32)))
    # A host that lists one client and two inventions of its own.
    keys = {0: public_key(Round().secrets[0])} | {c: public_key(bytes([c] * 32)) for c in (1, 2)}
    with pytest.raises(ValueError, match="serves other clients"):
        check(attested(task=pack_task(ENTRIES, 4, keys)))


@pytest.mark.parametrize("field", ["measurement", "key", "task", "signature"])
def test_no_part_of_an_attestation_can_be_exchanged(field: str) -> None:
    true = Attestation(measure(CODE), Round().inside.public(), Round().task, b"")
    true = replace(true, signature=sign(MANUFACTURER, true.statement()))
    check(true)
    part = getattr(true, field)
    for bad in (bytes([part[0] ^ 1]) + part[1:], part[:-1], part + b"\0", b""):
        with pytest.raises(ValueError, match="nothing is sent"):
            check(replace(true, **{field: bad}))


# What the enclave refuses

ROUND = Round()
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
        length = int(torch.randint(120, (1,), generator=draw))
        task = bytearray(source.bytes(length))
        if length > 4 and task[0] % 2:
            task[4] = 4  # a width that exists
        try:
            entries, width, keys = unpack_task(bytes(task))
        except ValueError as refusal:
            assert "refused" in str(refusal)
        else:
            read += 1
            assert pack_task(entries, width, keys) == bytes(task)
    assert read > 5


def test_a_task_lists_everyone_once() -> None:
    a, b = (public_key(bytes([c] * 32)) for c in (1, 2))
    with pytest.raises(ValueError, match="twice"):
        Inside(SEED, pack_task(ENTRIES, 4, {0: a, 1: a}))
    with pytest.raises(ValueError, match="twice"):
        Inside(SEED, pack_task(ENTRIES, 4, {0: a}) + pack_task(ENTRIES, 4, {0: b})[5:])


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
    expected = torch.cat([t.flatten() for t in mean(now.updates).values()]).numpy()
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
    parts = [SEED, now.task, *updates, FINISH]
    whole = b"".join(struct.pack("!i", len(part)) + part for part in parts)
    mean = served(whole)[-4 * ENTRIES :]
    assert np.frombuffer(mean, "<f4").shape == (ENTRIES,)
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :]
        for bad in (changed, whole[:place]):
            with pytest.raises((ValueError, OSError, EOFError)):
                served(bad)
    for rest in (b"\0", bytes(4), whole):  # after the mean nobody listens
        assert served(whole + rest)[-4 * ENTRIES :] == mean


def test_a_client_with_a_key_that_agrees_with_everyone_is_refused() -> None:
    inside = Inside(SEED, pack_task(ENTRIES, 4, {0: bytes(32)}))
    with pytest.raises(ValueError, match="client 0 was changed"):
        inside.take(0, SEALED)


# The process


def test_a_refusal_reaches_the_host_even_in_the_middle() -> None:
    now = Round()
    with Running(CODE, 60) as enclave, pytest.raises(ValueError, match="client 1 was changed"):
        enclave.attest(MANUFACTURER, SEED, now.task)
        enclave.deliver(1, now.sealed(0))
        for _ in range(20_000):  # more than a pipe holds
            enclave.deliver(0, now.sealed(0))
        enclave.mean()
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
        enclave.attest(MANUFACTURER, SEED, now.task)
        enclave.process.kill()
        enclave.process.wait()
        enclave.deliver(0, now.sealed(0))
        enclave.mean()


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
