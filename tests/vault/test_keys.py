"""Keys: derivation and wrapping against the RFCs, sources of the master key, and what their objects show."""

from __future__ import annotations

import base64
import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap

from pgnym.vault.errors import KeyProblem, WrongMasterKey
from pgnym.vault.keys import MasterKey, Purpose, Secret, derive, master_key_generate

KEY = bytes(range(32))


def hkdf_sha256(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 from its text."""
    prk = hmac.new(bytes(32), key, hashlib.sha256).digest()
    okm, block = b"", b""
    for counter in range(1, 256):
        if len(okm) >= length:
            break
        block = hmac.new(prk, block + info + bytes((counter,)), hashlib.sha256).digest()
        okm += block
    return okm[:length]


def test_derive_is_hkdf_with_our_labels() -> None:
    assert derive(KEY, b"wrap", b"place") == hkdf_sha256(KEY, b"pgnym/v1/wrap\x00place", 32)
    assert MasterKey(KEY).id == hkdf_sha256(KEY, b"pgnym/v1/master key id\x00", 8).hex()


def test_the_recomputation_is_rfc_5869s() -> None:
    # Appendix A.3: SHA-256, zero-length salt and info.
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert hkdf_sha256(b"\x0b" * 22, b"", 42).hex() == expected


def test_the_wrapping_is_rfc_3394s() -> None:
    # Section 4.6: 256 bits of key data with a 256-bit KEK.
    data = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
    assert aes_key_wrap(KEY, data).hex().upper() == wrapped


def test_a_wrapped_key_is_aes_kw_under_the_derived_key() -> None:
    wrapped = Secret(KEY, "kek").wrap(b"k" * 32, Purpose.DATA, 3, 2)
    under = hkdf_sha256(KEY, b"pgnym/v1/wrap\x00data\x00" + bytes((0, 0, 0, 3, 0, 0, 0, 2)), 32)
    assert aes_key_unwrap(under, wrapped) == b"k" * 32


@pytest.mark.parametrize(
    ("purpose", "tenant", "generation"),
    [(Purpose.TOKEN, 3, 2), (Purpose.DATA, 4, 2), (Purpose.DATA, 3, 1)],
)
def test_a_wrapped_key_does_not_unwrap_in_another_place(
    purpose: Purpose, tenant: int, generation: int
) -> None:
    kek = Secret(KEY, "kek")
    wrapped = kek.wrap(b"k" * 32, Purpose.DATA, 3, 2)
    assert kek.unwrap(wrapped, Purpose.DATA, 3, 2).expose() == b"k" * 32
    with pytest.raises(KeyProblem) as caught:
        kek.unwrap(wrapped, purpose, tenant, generation)
    assert caught.value.key == f"{tenant}/{purpose.value}/{generation}"
    assert caught.value.hint


@pytest.mark.parametrize("wrapped", [b"", b"x", bytes(40), bytes(48)])
def test_what_was_never_wrapped_does_not_unwrap(wrapped: bytes) -> None:
    with pytest.raises(KeyProblem):
        Secret(KEY, "kek").unwrap(wrapped, Purpose.DATA, 1, 1)


def test_another_master_key_is_told_to_be_wrong() -> None:
    wrapped = MasterKey(KEY).wrap(b"k" * 32, Purpose.KEK, 1, 1)
    assert MasterKey(KEY).unwrap_kek(wrapped, 1, 1).expose() == b"k" * 32
    with pytest.raises(WrongMasterKey) as caught:
        MasterKey(bytes(32)).unwrap_kek(wrapped, 1, 1)
    assert caught.value.key == "1/kek/1"
    assert "Nothing was changed" in caught.value.hint


def test_each_generated_key_is_another() -> None:
    text = master_key_generate()
    assert len(base64.b64decode(text, validate=True)) == 32
    assert text != master_key_generate()


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KeyProblem, match=f"{length} bytes, not 32"):
        MasterKey(b"k" * length) if length else Secret(b"", "a key")


def test_no_representation_shows_a_key() -> None:
    for secret in (MasterKey(KEY), Secret(KEY, "a key")):
        for shown in (repr(secret), str(secret), f"{secret}"):
            assert KEY.hex() not in shown
            assert repr(KEY)[2:20] not in shown
            assert base64.b64encode(KEY).decode()[:10] not in shown
        with pytest.raises(TypeError):
            pickle.dumps(secret)


def test_a_wiped_key_is_gone() -> None:
    master = MasterKey(KEY)
    inside = master._key
    master.wipe()
    assert not inside
    assert master.wiped
    with pytest.raises(KeyProblem, match="wiped"):
        master.expose()
    with pytest.raises(KeyProblem, match="wiped"):
        master.wrap(KEY, Purpose.KEK, 1, 1)
