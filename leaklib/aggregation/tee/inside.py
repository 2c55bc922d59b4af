"""What runs inside the enclave: it opens updates sealed to its key, and hands out their mean, nothing else.

Who takes part, with whose keys, and how long an update is, the *task*, is fixed at the start and attested
together with the enclave's key. A client that finds itself on the list knows all who are pooled with it.

The file is a program, started with nothing but numpy and ``cryptography``. It imports nothing of leaklib: its
measurement is the hash of this file, so all that it does has to stand here.
Chapter: 12.
"""

import struct
import sys
import time
from hashlib import sha256
from multiprocessing.connection import Connection

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY = 32  # bytes
NONCE = 12
LARGEST = 2**31  # bytes of one message
REFUSED, DONE, FINISH = b"!", b".", b"?"


def pack_task(entries: int, width: int, keys: dict[int, bytes]) -> bytes:
    """How many entries an update has, 4 or 8 bytes each, and every client's number and public key."""
    rows = (struct.pack("<I", client) + key for client, key in keys.items())
    return struct.pack("<IB", entries, width) + b"".join(rows)


def unpack_task(task: bytes) -> tuple[int, int, dict[int, bytes]]:
    """What ``pack_task`` packed. ValueError if it is cut, or names a client or a key twice."""
    if len(task) <= 5 or (len(task) - 5) % (4 + KEY) or task[4] not in (4, 8):
        raise ValueError(f"the task of {len(task)} bytes is damaged: refused")
    rows = [task[i : i + 4 + KEY] for i in range(5, len(task), 4 + KEY)]
    keys = {int.from_bytes(row[:4], "little"): row[4:] for row in rows}
    if len(keys) < len(rows) or len(set(keys.values())) < len(rows):
        raise ValueError("the task names a client or a key twice: refused")
    return int.from_bytes(task[:4], "little"), task[4], keys


def purpose(task: bytes) -> bytes:
    """What a key between a client and the enclave is for: one task's updates."""
    return b"update to enclave " + sha256(task).digest()


def header(client: int) -> bytes:
    """Travels in the clear before a client's sealed update, and is bound to it."""
    return f"update of client {client}".encode()


class Inside:
    """The enclave's memory: its key, its task, and the sum of what has been opened so far."""

    def __init__(self, seed: bytes, task: bytes) -> None:
        self.secret, self.task = X25519PrivateKey.from_private_bytes(seed), task
        self.entries, width, self.waiting = unpack_task(task)
        self.dtype = np.dtype(f"<f{width}")
        self.clients, self.total = len(self.waiting), np.zeros(self.entries)

    def public(self) -> bytes:
        return self.secret.public_key().public_bytes_raw()

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
    outbox.send_bytes(DONE + struct.pack("<d", time.process_time() - started) + mean)


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
