"""One sealed channel from each dealer to each holder, which can be opened alone.

    key of n → i:   X25519(secret of n's sending key, public of the key at which i receives from n)

Holder i has a key pair of its own for each dealer. Who gives away its secret opens this channel, for all
that were sent here, and no other one. So a holder can prove what a dealer sent it: everyone sees that the
secret belongs to the key that was advertised, and what the ciphertext says under it.

Source: ours; as in publicly verifiable complaints of distributed key generation (Gennaro, Jarecki, Krawczyk,
Rabin, "Secure Distributed Key Generation for Discrete-Log Based Cryptosystems", Journal of Cryptology 2007),
where the dealer opens the disputed share. Assumes that everyone has the others' genuine keys (a PKI), and
what X25519, HKDF and ChaCha20-Poly1305 promise.
Chapters: 13, 14.
"""

from leaklib.aggregation.byzantine.messages import ByzPhase, Dealt
from leaklib.aggregation.crypto.primitives import KEY, agree, public_key, unseal

PURPOSE = b"channel"


def header(session: bytes, phase: ByzPhase, sender: int, recipient: int) -> bytes:
    """What a sealed message is bound to."""
    return f"{session.hex()} {phase.name} {sender}>{recipient}".encode()


def usable(public: bytes) -> bool:
    """Whether a key can be agreed on with this one: points of small order give everyone the same."""
    try:
        agree(bytes(KEY), public, PURPOSE)
    except ValueError:
        return False
    return True


def opened(message: Dealt, sending: bytes, secret: bytes, session: bytes, phase: ByzPhase) -> bytes:
    """What a message says to whoever has the recipient's ``secret``. ValueError if it is unreadable."""
    key = agree(secret, sending, PURPOSE)
    return unseal(key, message.sealed, header(session, phase, message.sender, message.recipient))


def belongs(secret: bytes, public: bytes) -> bool:
    """Whether ``secret`` is that of the key ``public``."""
    return public_key(secret) == public
