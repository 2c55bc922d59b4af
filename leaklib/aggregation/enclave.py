"""An enclave in the middle: clients seal their updates to code that they have checked, and it tells the mean.

    authority   signs each client's number and public key, once, and nothing of a host's
    processor   measures the code, m = SHA-256(file), starts it, and signs (m, enclave's keys, task)
    client      checks signature, m, its model and all certificates, and seals its update to the enclave's key
    host        carries ciphertexts, and gets the mean over all clients of the task, signed by the enclave

What: the host learns nothing beyond the mean over all clients of the task, of whom ``minimum`` at least are
certified. Against: a host that does as it likes with messages, tasks and models. Assumed: the hardware keeps
the enclave's memory closed and signs only what it runs; every client knows the authority's key, and the
authority certifies none of the host's inventions; X25519, ChaCha20-Poly1305 and Ed25519 are not broken.
Probability: but for breaking these, certain. Clients on the host's side subtract their own updates: the host
learns the mean of the others. With an authority on its side that is one client's update.

THIS IS A STAND-IN. The enclave is an ordinary process: whoever runs the machine can read its memory. A
trusted execution environment (Intel TDX, AMD SEV-SNP) encrypts that memory in hardware; here only the
messages are real. The measurement covers one file, not Python and its libraries; the signing keys are made up
for the run; side channels, rollback and the supply chain are out of the picture. Dropouts end the round.

Source: the flow is software attestation as in Costan, Devadas, "Intel SGX Explained", IACR ePrint 2016/086.
Differs: clients prove who they are by keys that an authority certified and the attested task lists, so that a
host cannot fill the round with clients of its own making.
Chapters: 12, 15.
"""

import struct
import sys
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import Pipe
from pathlib import Path
from subprocess import PIPE, Popen
from threading import TIMEOUT_MAX, Timer
from typing import Annotated

import numpy as np
import torch

from leaklib.aggregation.crypto import primitives as crypto
from leaklib.aggregation.crypto.fixed_point import flat
from leaklib.aggregation.crypto.stream import Stream, streams
from leaklib.aggregation.parts.pooled import check_alike, ciphertext, readable
from leaklib.aggregation.tee import inside
from leaklib.aggregation.tee.inside import KEY, NONCE, SIGNATURE, Task, certified, header, purpose, told
from leaklib.fields import Checked, Count, Number, Range
from leaklib.types import Cost, Update, View

CODE = Path(inside.__file__)


def measure(code: Path) -> bytes:
    """What the processor says of a program: SHA-256 of its file, 32 bytes."""
    return sha256(code.read_bytes()).digest()


@dataclass(frozen=True)
class Attestation:
    """What the processor vouches for: this code runs here, made these ``keys``, and serves this task only."""

    measurement: bytes
    keys: bytes
    task: bytes
    signature: bytes

    def statement(self) -> bytes:
        """What is signed."""
        return b"enclave attestation" + self.measurement + self.keys + self.task

    def answer(self, signed: bytes) -> bytes:
        """The answer in what the enclave ``signed``. ValueError if this enclave did not, for this task."""
        signature, answer = signed[:SIGNATURE], signed[SIGNATURE:]
        crypto.verify(self.keys[KEY:], told(self.task, answer), signature, "the enclave")
        return answer


@dataclass(frozen=True)
class Anchors:
    """What an honest client knows beforehand and from elsewhere: two verification keys, the code's
    measurement, and with how many it wants to be pooled at least."""

    manufacturer: bytes
    measurement: bytes
    authority: bytes
    minimum: int = 2

    def check(self, attestation: Attestation, client: int, key: bytes, model: bytes) -> None:
        """ValueError unless the expected code serves, on this ``model``, a task of certified clients.

        ``client`` with its public ``key`` is the one who checks, and has to be among them.
        """
        try:
            statement, signature = attestation.statement(), attestation.signature
            crypto.verify(self.manufacturer, statement, signature, "the manufacturer")
        except ValueError as error:
            raise ValueError("the attestation is not signed by the manufacturer: nothing is sent") from error
        if attestation.measurement != self.measurement:
            runs, known = (code.hex()[:16] for code in (attestation.measurement, self.measurement))
            raise ValueError(f"the enclave runs other code than {known}…, measured {runs}…: nothing is sent")
        task = Task.unpack(attestation.task)
        if task.authority != self.authority:
            raise ValueError("the task trusts another authority than the client does: nothing is sent")
        if task.model != model:
            raise ValueError(f"the task is about another model than client {client}'s: nothing is sent")
        keys = task.check()
        if len(keys) < self.minimum:
            few = f"too few clients for client {client}, {len(keys)} of at least {self.minimum}"
            raise ValueError(f"the task names {few}: nothing is sent")
        if keys.get(client) != key:
            raise ValueError(f"the task does not list client {client} with its key: nothing is sent")


class Running:
    """``code`` as a process of its own, which ends with the block of ``with``, whatever happens in it.

    The host holds it by two pipes. Every wait ends, with an error that says why.
    """

    def __init__(self, code: Path, timeout: int | float) -> None:
        (theirs_in, self.outbox), (self.inbox, theirs_out) = Pipe(duplex=False), Pipe(duplex=False)
        with theirs_in, theirs_out:
            # -P: the folder of the code has files that are named like modules of others.
            command, pipes = [sys.executable, "-P", str(code)], (theirs_in.fileno(), theirs_out.fileno())
            self.process = Popen(command, stdin=pipes[0], stdout=pipes[1], stderr=PIPE)
        self.code, self.timeout, self.late = code, timeout, False
        self.timer = Timer(timeout, self._give_up)

    def __enter__(self) -> "Running":
        self.timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.timer.cancel()
        self.timer.join()
        self.process.kill()
        with self.inbox, self.outbox, self.process:  # closes them, and waits
            pass

    def _give_up(self) -> None:
        self.late = True
        self.process.kill()  # closes the pipes, so that whoever waits at one goes on

    def tell(self, message: bytes) -> None:
        """Hand over one message."""
        try:
            self.outbox.send_bytes(message)
        except OSError as error:  # it refused and ended, or died: its last words are worth more
            self.answer()
            raise RuntimeError("the enclave ended before it had all messages") from error

    def answer(self) -> bytes:
        """What it says next. ValueError if it refuses, TimeoutError or RuntimeError if it says nothing."""
        try:
            message = self.inbox.recv_bytes()
        except (EOFError, OSError):
            self.process.kill()
            said = self.process.communicate()[1].decode(errors="replace").strip()[-300:]
            if self.late:
                raise TimeoutError(f"the enclave gave no answer within {self.timeout} s: ended it") from None
            code = self.process.returncode
            raise RuntimeError(f"the enclave ended without an answer, code {code}. {said}") from None
        if message[:1] == inside.REFUSED:
            raise ValueError(message[1:].decode())
        return message[1:]

    def attest(self, manufacturer: bytes, seed: bytes, task: bytes) -> Attestation:
        """Start ``task`` in the enclave, and sign for it with the ``manufacturer``'s secret, as a processor.

        ``seed`` makes the enclave's secret keys. A real enclave draws it inside, where no host can see it.
        """
        self.tell(seed)
        self.tell(task)
        unsigned = Attestation(measure(self.code), self.answer(), task, b"")
        return replace(unsigned, signature=crypto.sign(manufacturer, unsigned.statement()))

    def deliver(self, client: int, sealed: bytes) -> None:
        """Carry one client's ciphertext in."""
        self.tell(struct.pack("<I", client) + sealed)

    def mean(self, attestation: Attestation) -> tuple[bytes, float]:
        """The mean, as the bytes of its numbers, and the enclave's processor time in seconds.

        ValueError unless the enclave of ``attestation`` signed both.
        """
        self.tell(inside.FINISH)
        message = attestation.answer(self.answer())
        return message[8:], struct.unpack("<d", message[:8])[0]


def certify(authority: bytes, client: int, key: bytes) -> bytes:
    """The certificate that the ``authority``, by its secret, gives out for a client's public ``key``."""
    return crypto.sign(authority, certified(client, key))


def seal_update(
    update: Update, secret: bytes, attestation: Attestation, width: int, *, stream: Stream
) -> bytes:
    """One client's update, sealed to the attested key; ``secret`` is the client's."""
    values = flat(update.tensors).numpy().astype(f"<f{width}")
    key = crypto.agree(secret, attestation.keys[:KEY], purpose(attestation.task))
    return crypto.seal(key, values.tobytes(), header(update.client), stream=stream)


@dataclass(frozen=True)
class Enclave(Checked):
    """All clients' updates meet in an attested enclave; the server, its host, reads their mean.

    STAND-IN: a plain process, without the hardware that would keep the host out. Clients and the enclave
    refuse a task of fewer than ``minimum`` clients; 1 switches that off, for demonstrations. ``timeout``, in
    seconds, is how long the whole round may take. The call raises ValueError where a party refuses,
    RuntimeError if the enclave dies, and TimeoutError if it does not answer.
    """

    timeout: Annotated[Number, Range("above 0 seconds and finite", lambda s: 0 < s < TIMEOUT_MAX)] = 60
    minimum: Count = 2

    def __call__(self, updates: tuple[Update, ...], *, generator: torch.Generator | None = None) -> View:
        first = check_alike(updates)
        own = streams([*(u.client for u in updates), "processor", "enclave", "authority"], generator)
        width = 8 if any(t.dtype == torch.float64 for t in first.tensors.values()) else 4
        secrets = {update.client: own[update.client].bytes(KEY) for update in updates}
        manufacturer, authority = own["processor"].bytes(KEY), own["authority"].bytes(KEY)
        trusted = crypto.verification_key(manufacturer), measure(CODE), crypto.verification_key(authority)
        anchors, begun = Anchors(*trusted, self.minimum), time.process_time()
        keys = {client: crypto.public_key(secret) for client, secret in secrets.items()}
        prepared = time.process_time() - begun
        # Done once for each client, before any round.
        listed = tuple((client, key, certify(authority, client, key)) for client, key in keys.items())
        entries, model = sum(t.numel() for t in first.tensors.values()), first.model or bytes(KEY)
        task = Task(entries, width, self.minimum, anchors.authority, model, listed).pack()
        with Running(CODE, self.timeout) as enclave:
            attestation = enclave.attest(manufacturer, own["enclave"].bytes(KEY), task)
            begun, sealed = time.process_time(), []
            for u in updates:
                anchors.check(attestation, u.client, keys[u.client], u.model or bytes(KEY))
                stream = own[u.client]
                sealed.append(seal_update(u, secrets[u.client], attestation, width, stream=stream))
            clients = (prepared + time.process_time() - begun) / len(updates)
            begun = time.process_time()
            for update, message in zip(updates, sealed, strict=True):
                enclave.deliver(update.client, message)
            mean, inside = enclave.mean(attestation)
            server = inside + time.process_time() - begun
        values = torch.from_numpy(np.frombuffer(mean, f"<f{width}").astype(np.float64))
        up, down = KEY + SIGNATURE + len(sealed[0]), sum(map(len, vars(attestation).values()))
        cost = Cost(2, 3 * len(updates), up, down, clients, server)
        scale = 2.0 ** (8 * width - 1)  # numbers from -1 to 1
        pairs = zip(updates, sealed, strict=True)
        seen = tuple(ciphertext(update, message[NONCE:], width, scale) for update, message in pairs)
        return View((readable(updates, values),), seen, cost=cost)
