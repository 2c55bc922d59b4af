"""Coins that neither the server alone nor the clients alone can choose: commit, then reveal.

The server draws two secrets and sends their hashes before anyone deals. Each client sends a nonce along
with what it deals. Then the server reveals one secret and all nonces, and everyone computes

    coin = 1 + SHA-256(secret, clients, nonces) mod (p − 1),

and the other one when all have answered the first. (Of the first, projections need more than 61 bits, and
use the hash as a seed.) Dealers cannot foresee a coin, for its secret is hidden until all have dealt. The
server cannot choose it, for a nonce that it did not know is in it. It is never zero. Holds if SHA-256 is a
random oracle; a server and a client that work together against the *check* are outside the model, as the
server follows the protocol there.

Source: Blum, "Coin Flipping by Telephone", CRYPTO 1981.
Chapters: 13, 14.
"""

from collections.abc import Mapping
from hashlib import sha256

from leaklib.aggregation.byzantine.messages import NONCE, Reveal
from leaklib.aggregation.crypto.field import P


def commitment(secret: bytes) -> bytes:
    """What is sent of ``secret``, 32 random bytes, before it is revealed."""
    return sha256(b"commitment" + secret).digest()


def reveal(secret: bytes, nonces: Mapping[int, bytes]) -> Reveal:
    """The message that opens the coin."""
    return Reveal(secret, tuple(nonces), tuple(nonces.values()))


def seed(told: Reveal) -> bytes:
    """32 bytes, the same for all who were told the same."""
    return sha256(b"coin" + told.encode()).digest()


def coin(told: Reveal) -> int:
    """The coin, 1 to p − 1."""
    return 1 + int.from_bytes(seed(told), "big") % (P - 1)


def check_reveal(told: Reveal, committed: bytes, client: int, nonce: bytes) -> str:
    """What is wrong with it for ``client``, which got ``committed`` and sent ``nonce``; empty if nothing."""
    if commitment(told.secret) != committed:
        return "got a coin that the server had not committed to"
    if len(told.clients) != len(told.nonces):
        return "got a coin whose nonces nobody can assign"
    if dict(zip(told.clients, told.nonces, strict=True)).get(client, bytes(NONCE + 1)) != nonce:
        return "got a coin without its own nonce"
    return ""
