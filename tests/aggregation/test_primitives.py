"""The cryptography is that of the standards: their own test vectors, through our functions."""

import pytest

from leaklib.aggregation.crypto.primitives import (
    agree,
    derive,
    keystream,
    public_key,
    seal,
    sign,
    unseal,
    verification_key,
    verify,
)
from leaklib.aggregation.crypto.stream import Stream

# RFC 7748, section 5.2: a scalar, a point, and their product.
PRODUCTS = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
]


@pytest.mark.parametrize(("scalar", "point", "product"), PRODUCTS)
def test_key_agreement_multiplies_as_rfc_7748_says(scalar: str, point: str, product: str) -> None:
    ours = agree(bytes.fromhex(scalar), bytes.fromhex(point), b"purpose")
    assert ours == derive(bytes.fromhex(product), b"purpose")


def test_public_keys_and_the_shared_secret_of_rfc_7748() -> None:
    # Section 6.1: Alice and Bob.
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert public_key(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert public_key(bob).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert agree(alice, public_key(bob), b"purpose") == derive(shared, b"purpose")
    assert agree(bob, public_key(alice), b"purpose") == derive(shared, b"purpose")


def test_derived_keys_are_those_of_rfc_5869() -> None:
    # Case 3, the one without a salt, which is how it is used here; its first 32 bytes.
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derive(bytes([0x0B] * 22), b"").hex() == expected


def test_the_stream_of_masks_is_that_of_rfc_8439() -> None:
    # Appendix A.1, test vectors 1 and 2: blocks 0 and 1 of the zero key and nonce.
    expected = (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    assert keystream(bytes(32), 32).astype("<u4").tobytes().hex() == expected


def test_a_sealed_message_is_that_of_rfc_8439() -> None:
    # Section 2.8.2.
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    sealed = (
        "070000004041424344454647"
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
    )
    key, header = bytes(range(0x80, 0xA0)), bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    assert unseal(key, bytes.fromhex(sealed), header) == text


def test_signatures_are_those_of_rfc_8032() -> None:
    # Section 7.1, test 1.
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215"
        "90a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert verification_key(secret).hex() == public
    assert sign(secret, b"").hex() == signature
    verify(bytes.fromhex(public), b"", bytes.fromhex(signature), "the standard")
    with pytest.raises(ValueError, match="not the standard's on this message"):
        verify(bytes.fromhex(public), b"another", bytes.fromhex(signature), "the standard")


def test_what_was_changed_cut_or_sealed_for_another_header_is_refused() -> None:
    g = Stream(0, "keys")
    key, other = (g.bytes(32) for _ in range(2))
    sealed = seal(key, b"message", b"1>2", stream=g)
    assert unseal(key, sealed, b"1>2") == b"message" and len(sealed) == 7 + 28
    changed = [bytes([*sealed[:i], sealed[i] ^ 1, *sealed[i + 1 :]]) for i in range(len(sealed))]
    attempts = [(key, c, b"1>2") for c in (*changed, sealed[:-1], sealed[:5], b"")]
    for attempt in (*attempts, (key, sealed, b"1>3"), (other, sealed, b"1>2")):
        with pytest.raises(ValueError, match="refused"):
            unseal(*attempt)


def test_a_public_key_that_gives_everyone_the_same_secret_is_refused() -> None:
    secret = Stream(0, "keys").bytes(32)
    for public in (bytes(32), bytes([1]) + bytes(31), b"short"):
        with pytest.raises(ValueError, match="expected a public key of 32 bytes"):
            agree(secret, public, b"purpose")


def test_two_parties_agree_for_each_purpose_anew() -> None:
    g = Stream(0, "keys")
    one, two = (g.bytes(32) for _ in range(2))
    keys = {agree(one, public_key(two), purpose) for purpose in (b"mask", b"seal")}
    assert keys == {agree(two, public_key(one), purpose) for purpose in (b"mask", b"seal")} and len(keys) == 2
