"""Sealing: what was sealed opens in its own row only."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from pgnym.vault import ciphers, tokens
from pgnym.vault.errors import CannotOpen

KEY = bytes(range(32))
DEK = AESGCM(KEY)
TOKEN = tokens.deterministic(KEY, tokens.prefix(5), b"alice")
OTHER = tokens.deterministic(KEY, tokens.prefix(5), b"bob")


@given(st.binary(max_size=300), st.integers(1, 2**31 - 1))
def test_round_trip(value: bytes, tenant: int) -> None:
    ciphertext = ciphers.seal(DEK, tenant, TOKEN, value)
    assert len(ciphertext) == len(value) + ciphers.OVERHEAD
    assert ciphers.open(DEK, tenant, TOKEN, ciphertext) == value


def test_the_documented_layout_is_what_is_written() -> None:
    ciphertext = ciphers.seal(DEK, 7, TOKEN, b"alice")
    nonce, body, tag = ciphertext[1:13], ciphertext[13:-16], ciphertext[-16:]
    decryptor = Cipher(algorithms.AES(KEY), modes.GCM(nonce, tag)).decryptor()
    decryptor.authenticate_additional_data(bytes((1, 1, 0, 0, 0, 7)) + TOKEN)
    assert ciphertext[0] == 1
    assert decryptor.update(body) + decryptor.finalize() == b"alice"


def test_a_ciphertext_made_elsewhere_opens() -> None:
    # AES-256-GCM with key 00..1f, nonce 00..0b, AAD 01 01 00000007 TOKEN; computed by another implementation's interface.
    encryptor = Cipher(algorithms.AES(KEY), modes.GCM(bytes(range(12)))).encryptor()
    encryptor.authenticate_additional_data(bytes((1, 1, 0, 0, 0, 7)) + TOKEN)
    body = encryptor.update(b"alice") + encryptor.finalize()
    assert ciphers.open(DEK, 7, TOKEN, b"\x01" + bytes(range(12)) + body + encryptor.tag) == b"alice"


def test_equal_values_have_different_ciphertexts() -> None:
    assert len({ciphers.seal(DEK, 1, TOKEN, b"alice") for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("dek", "tenant", "token"),
    [(DEK, 1, OTHER), (DEK, 2, TOKEN), (AESGCM(bytes(32)), 1, TOKEN)],
    ids=["moved to another token", "moved to another tenant", "opened by another key generation"],
)
def test_a_moved_ciphertext_does_not_open(dek: AESGCM, tenant: int, token: bytes) -> None:
    ciphertext = ciphers.seal(DEK, 1, TOKEN, b"alice")
    with pytest.raises(CannotOpen) as caught:
        ciphers.open(dek, tenant, token, ciphertext)
    assert "domain 5" in caught.value.message
    for secret in (TOKEN.decode(), OTHER.decode(), "alice"):
        assert secret not in str(caught.value)


@given(st.data())
def test_a_changed_ciphertext_does_not_open(data: st.DataObject) -> None:
    ciphertext = bytearray(ciphers.seal(DEK, 1, TOKEN, b"alice"))
    place = data.draw(st.integers(0, len(ciphertext) - 1))
    ciphertext[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        ciphers.open(DEK, 1, TOKEN, bytes(ciphertext))


@given(st.integers(0, 33))
def test_a_truncated_ciphertext_does_not_open(length: int) -> None:
    ciphertext = ciphers.seal(DEK, 1, TOKEN, b"alice")
    with pytest.raises(CannotOpen):
        ciphers.open(DEK, 1, TOKEN, ciphertext[:length])
