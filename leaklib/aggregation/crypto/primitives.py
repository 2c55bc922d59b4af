"""The cryptography that the protocols stand on, from the library ``cryptography``.

    key agreement          X25519            RFC 7748
    key derivation         HKDF-SHA256       RFC 5869
    stream of masks        ChaCha20          RFC 8439
    sealed messages        ChaCha20-Poly1305 RFC 8439
    signatures             Ed25519           RFC 8032

Keys and nonces come from the stream of the party that makes them: see stream.py.
Chapter: 11.
"""

from functools import lru_cache

import numpy as np
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jaxtyping import UInt32

from leaklib.aggregation.crypto.stream import Stream

KEY = 32  # bytes of a key or a seed
NONCE = 12
SEAL = NONCE + 16  # bytes that sealing adds


def public_key(secret: bytes) -> bytes:
    """The X25519 public key, 32 bytes, of 32 secret bytes."""
    return _private(secret).public_key().public_bytes_raw()


@lru_cache(maxsize=2)  # reading a key takes as long as agreeing, and a party agrees with one after the other
def _private(secret: bytes) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(secret)


def agree(secret: bytes, public: bytes, purpose: bytes) -> bytes:
    """The key of 32 bytes that two parties share for one ``purpose``: one's secret, the other's public key.

    ValueError for a public key that gives everyone the same secret.
    """
    try:
        theirs = X25519PublicKey.from_public_bytes(public)
        shared = _private(secret).exchange(theirs)
    except ValueError as error:
        raise ValueError(f"expected a public key of 32 bytes, no small-order point: {error}") from error
    return derive(shared, purpose)


def derive(shared: bytes, purpose: bytes) -> bytes:
    """HKDF-SHA256 without salt, 32 bytes."""
    return HKDF(SHA256(), KEY, None, purpose).derive(shared)


def keystream(seed: bytes, words: int) -> UInt32[np.ndarray, "words"]:
    """``words`` numbers of 32 bits that look uniform to whoever does not know ``seed``, 32 bytes.

    A seed is used for one stream only, so the nonce may be zero.
    """
    stream = Cipher(algorithms.ChaCha20(seed, bytes(16)), mode=None).encryptor().update(bytes(4 * words))
    return np.frombuffer(stream, "<u4").astype(np.uint32, copy=False)


def seal(key: bytes, message: bytes, header: bytes, *, stream: Stream) -> bytes:
    """``message`` encrypted, and bound to ``header``, which travels in the clear: 28 bytes longer."""
    nonce = stream.bytes(NONCE)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, message, header)


def unseal(key: bytes, sealed: bytes, header: bytes) -> bytes:
    """The message. ValueError if it was changed, cut, sealed under another key or for another header."""
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:NONCE], sealed[NONCE:], header)
    except (InvalidTag, ValueError) as error:
        what = f"the sealed message for {header.decode(errors='replace')!r}"
        raise ValueError(f"{what} was changed, cut, or is meant for someone else: refused") from error


def verification_key(secret: bytes) -> bytes:
    """The Ed25519 public key, 32 bytes, that checks what ``secret``, 32 bytes, signs."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def sign(secret: bytes, message: bytes) -> bytes:
    """An Ed25519 signature, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(secret).sign(message)


def verify(public: bytes, message: bytes, signature: bytes, signer: str) -> None:
    """ValueError unless ``signer``, whose verification key is ``public``, signed this very message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature as error:
        raise ValueError(f"the signature is not {signer}'s on this message: refused") from error
