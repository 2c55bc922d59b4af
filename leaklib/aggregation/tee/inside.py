"""What runs inside the enclave: it opens updates sealed to its key, and hands out their mean, nothing else.

Who takes part, with which certified keys, on which model, and how long an update is, the *task*, is fixed at
the start and attested together with the enclave's keys. Certificates are signatures of an authority, which
the task names too: a client that knows this authority knows that the host made none of the others up.

The file is a program, started with nothing but numpy and ``cryptography``. It imports nothing of leaklib: its
measurement is the hash of this file, so all that it does has to stand here.
Chapters: 12, 15.
"""

import struct
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY = 32  # bytes
SIGNATURE = 64
NONCE = 12
LARGEST = 2**31  # bytes of one message
REFUSED, DONE, FINISH = b"!", b".", b"?"
HEAD = struct.Struct(f"<IBI{KEY}s{KEY}s")
ROW = struct.Struct(f"<I{KEY}s{SIGNATURE}s")


def certified(client: int, key: bytes) -> bytes:
    """What the authority signs: this public key belongs to this client."""
    return b"client of enclaves" + struct.pack("<I", client) + key


@dataclass(frozen=True)
class Task:
    """``entries`` of an update, ``width`` bytes each, 4 or 8; the fewest clients whose mean is told; the
    authority's verification key and the model's fingerprint, 32 bytes each; and of every client its number,
    its public key and the authority's signature on both."""

    entries: int
    width: int
    minimum: int
    authority: bytes
    model: bytes
    clients: tuple[tuple[int, bytes, bytes], ...]

    def pack(self) -> bytes:
        """The task as it is attested."""
        head = HEAD.pack(self.entries, self.width, self.minimum, self.authority, self.model)
        return head + b"".join(ROW.pack(*row) for row in self.clients)

    @classmethod
    def unpack(cls, packed: bytes) -> "Task":
        """What ``pack`` packed. ValueError if it is cut."""
        rows, rest = divmod(len(packed) - HEAD.size, ROW.size)
        if rows < 1 or rest or packed[4] not in (4, 8):
            raise ValueError(f"the task of {len(packed)} bytes is damaged: refused")
        entries, width, minimum, authority, model = HEAD.unpack_from(packed)
        clients = tuple(ROW.iter_unpack(packed[HEAD.size :]))
        return cls(entries, width, minimum, authority, model, clients)

    def check(self) -> dict[int, bytes]:
        """Every client's key. ValueError for too few, one named twice, or one without certificate."""
        keys = {client: key for client, key, _ in self.clients}
        if len(keys) < len(self.clients) or len(set(keys.values())) < len(keys):
            raise ValueError("the task names a client or a key twice: refused")
        if len(keys) < self.minimum:
            raise ValueError(
                f"the task names too few clients, {len(keys)} of at least {self.minimum}: refused"
            )
        for client, key, certificate in self.clients:
            try:
                authority = Ed25519PublicKey.from_public_bytes(self.authority)
                authority.verify(certificate, certified(client, key))
            except (InvalidSignature, ValueError) as error:
                raise ValueError(
                    f"the authority certified no such key of client {client}: refused"
                ) from error
        return keys


def purpose(task: bytes) -> bytes:
    """What a key between a client and the enclave is for: one task's updates."""
    return b"update to enclave " + sha256(task).digest()


def header(client: int) -> bytes:
    """Travels in the clear before a client's sealed update, and is bound to it."""
    return f"update of client {client}".encode()


def told(task: bytes, answer: bytes) -> bytes:
    """What the enclave signs: this mean and processor time are the answer to this task."""
    return b"answer of enclave " + sha256(task).digest() + answer


class Inside:
    """The enclave's memory: its keys, its task, and the sum of what has been opened so far."""

    def __init__(self, seed: bytes, packed: bytes) -> None:
        task = Task.unpack(packed)
        self.waiting, self.task, self.entries = task.check(), packed, task.entries
        self.secret = X25519PrivateKey.from_private_bytes(seed)
        signing = HKDF(SHA256(), KEY, None, b"enclave signature").derive(seed)
        self.signer = Ed25519PrivateKey.from_private_bytes(signing)
        self.dtype = np.dtype(f"<f{task.width}")
        self.clients, self.total = len(self.waiting), np.zeros(self.entries)

    def public(self) -> bytes:
        """The key that updates are sealed to, then the one that checks what the enclave signs."""
        secret, signer = self.secret.public_key(), self.signer.public_key()
        return secret.public_bytes_raw() + signer.public_bytes_raw()

    def sign(self, answer: bytes) -> bytes:
        """``answer`` behind the signature on it."""
        return self.signer.sign(told(self.task, answer)) + answer

    def take(self, client: int, sealed: bytes) -> None:
        """Add one client's update. ValueError for anything but the one whole message that it sealed."""
        if client not in self.waiting:
            raise ValueError(f"client {client} is not in the task, or has sent its update already: refused")
        plain = self._open(client, sealed)
        whole = len(plain) == self.entries * self.dtype.itemsize
        if not whole or not np.isfinite(np.frombuffer(plain, self.dtype)).all():
            raise ValueError(f"client {client} sent no {self.entries} finite numbers: refused")
        del self.waiting[client]
        self.total += np.frombuffer(plain, self.dtype)

    def _open(self, client: int, sealed: bytes) -> bytes:
        try:
            shared = self.secret.exchange(X25519PublicKey.from_public_bytes(self.waiting[client]))
            key = HKDF(SHA256(), KEY, None, purpose(self.task)).derive(shared)
            return ChaCha20Poly1305(key).decrypt(sealed[:NONCE], sealed[NONCE:], header(client))
        except (InvalidTag, ValueError) as error:
            what = f"the update of client {client}"
            raise ValueError(f"{what} was changed, cut, or sealed by or for someone else: refused") from error

    def mean(self) -> bytes:
        """The mean over all clients of the task. ValueError while one is missing: fewer would hide less."""
        if self.waiting:
            raise ValueError(f"clients {sorted(self.waiting)} have sent nothing: no mean over the others")
        return (self.total / self.clients).astype(self.dtype).tobytes()


def serve(inbox: Connection, outbox: Connection) -> None:
    """One round: seed, task, then updates; ``FINISH`` asks for the mean. The first refusal ends it."""
    started = time.process_time()
    inside = Inside(inbox.recv_bytes(LARGEST), inbox.recv_bytes(LARGEST))
    outbox.send_bytes(DONE + inside.public())
    while (message := inbox.recv_bytes(LARGEST)) != FINISH:
        inside.take(int.from_bytes(message[:4], "little"), message[4:])
    mean = inside.mean()
    outbox.send_bytes(DONE + inside.sign(struct.pack("<d", time.process_time() - started) + mean))


def main() -> None:
    inbox, outbox = Connection(0, writable=False), Connection(1, readable=False)
    try:
        serve(inbox, outbox)
    except EOFError:
        sys.exit("the host closed the pipe")
    except (ValueError, OSError) as refusal:  # OSError: a message that was cut, or is longer than LARGEST
        outbox.send_bytes(REFUSED + str(refusal).encode())


if __name__ == "__main__":
    main()
