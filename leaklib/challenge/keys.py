"""The instructor's key, and all that follows from it.

    derived = HMAC-SHA256(key, names),   each name with its length in front

Whoever has no key learns nothing of one derived value from the others, and a student's pictures do not follow
from the student's id. Pictures, labels and words are drawn from a ChaCha20 stream under the derived 32 bytes:
PyTorch's generator on the CPU keeps 32 bits of its seed, which can be tried one after the other.
"""

import hmac
import os
import secrets
from pathlib import Path

from leaklib.aggregation.crypto.stream import Stream

SHORTEST = 16  # bytes: with fewer a student could try keys against the file at hand
LONGEST = 4096


def read_key(path: str | Path) -> bytes:
    """The key in a file: its content without white space at the ends.

    ValueError if there is no such file, or if it holds fewer than 16 bytes or more than 4096.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no key file {path}: name the one that the challenge was issued with")
    if path.stat().st_size > LONGEST:
        raise ValueError(f"{path} must hold {SHORTEST} to {LONGEST} bytes to be a key, it is larger")
    key = path.read_bytes().strip()
    if len(key) < SHORTEST:
        raise ValueError(
            f"{path} must hold a key of at least {SHORTEST} bytes, got {len(key)}: delete it, "
            "and `issue` makes a random one"
        )
    return key


def make_key(path: str | Path) -> bytes:
    """A new key file for its owner alone: 32 random bytes in hex. FileExistsError if there is one."""
    key = secrets.token_hex(32).encode()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def derived(key: bytes, *names: str) -> bytes:
    """32 bytes for these names, which only the key gives."""
    parts = (name.encode() for name in names)
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")


def stream(key: bytes, *names: str) -> Stream:
    """The secret bytes of these names, one after the other."""
    return Stream(derived(key, "stream", *names))


def seed(key: bytes, *names: str) -> int:
    """A seed for what is drawn from the key and then shown, such as the weights of a network."""
    return int.from_bytes(derived(key, "seed", *names)[:8], "big") >> 1


def public_id(key: bytes, student: str) -> str:
    """A pseudonym for lists that a whole class sees: twelve letters and digits, from the key."""
    return derived(key, "public id", student).hex()[:12]


def integers(source: Stream, below: int, count: int) -> list[int]:
    """``count`` integers from 0 to ``below`` - 1, all equally likely up to one part in 2³²."""
    return [int.from_bytes(source.bytes(8), "big") % below for _ in range(count)]


def uniform(source: Stream) -> float:
    """A number in [0, 1), a multiple of 2⁻⁵³."""
    return (int.from_bytes(source.bytes(8), "big") >> 11) * 2.0**-53
