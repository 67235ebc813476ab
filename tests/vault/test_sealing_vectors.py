"""Known answers of sealings and of the substring index, as data, and computed again by another library (PyCryptodome)."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from Crypto.Cipher import AES
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.audit.sealing import DetailsCipher
from pgnym.vault import ciphers
from pgnym.vault.errors import CannotOpen
from pgnym.vault.grams import GramHasher
from pgnym.vault.keys import Secret

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "sealing_vectors.json").read_text()
)
DATA_KEY = bytes(range(32))
AUDIT_KEY = bytes(range(100, 132))
SEARCH_KEY = bytes(range(200, 232))
TENANT = 258
WRITER = UUID("00112233-4455-6677-8899-aabbccddeeff")


def hkdf(key: bytes, label: bytes, context: bytes) -> bytes:
    """RFC 5869 with an empty salt, one block, with pgnym's info."""
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    info = b"pgnym/v1/" + label + b"\x00" + context
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def sealed_elsewhere(key: bytes, nonce: bytes, plain: bytes, data: bytes) -> bytes:
    """Algorithm, nonce, ciphertext and tag, by PyCryptodome."""
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    cipher.update(data)
    ciphertext, tag = cipher.encrypt_and_digest(plain)
    return b"\x01" + nonce + ciphertext + tag


def value_data(token: str) -> bytes:
    return b"\x01\x01" + TENANT.to_bytes(4, "big") + token.encode()


def details_data(sequence: int) -> bytes:
    return b"\x01\x01" + TENANT.to_bytes(4, "big") + WRITER.bytes + sequence.to_bytes(8, "big")


@pytest.mark.parametrize("vector", VECTORS["values"])
def test_values(vector: dict[str, Any]) -> None:
    token, value, sealed = vector["token"].encode(), vector["value"].encode(), bytes.fromhex(vector["sealed"])
    assert sealed == sealed_elsewhere(DATA_KEY, sealed[1:13], value, value_data(vector["token"]))
    key = AESGCM(DATA_KEY)
    assert ciphers.open(key, TENANT, token, sealed) == value
    with pytest.raises(CannotOpen):
        ciphers.open(key, TENANT + 1, token, sealed)
    ours = ciphers.seal(key, TENANT, token, value)
    assert ours == sealed_elsewhere(DATA_KEY, ours[1:13], value, value_data(vector["token"]))
    assert ciphers.seal_all(key, TENANT, [token], {token: value})[0][1:13] != ours[1:13]


@pytest.mark.parametrize("vector", VECTORS["details"])
def test_details_of_audit_records(vector: dict[str, Any]) -> None:
    key = hkdf(AUDIT_KEY, b"audit details", WRITER.bytes)
    sequence, plain, sealed = vector["sequence"], vector["plain"].encode(), bytes.fromhex(vector["sealed"])
    assert sealed == sealed_elsewhere(key, sealed[1:13], plain, details_data(sequence))
    cipher = DetailsCipher(Secret(AUDIT_KEY, "the audit key"), TENANT, WRITER)
    assert cipher.open(sequence, sealed) == plain
    with pytest.raises(CannotOpen):
        cipher.open(sequence + 1, sealed)
    ours = cipher.seal(sequence, plain)
    assert ours == sealed_elsewhere(key, ours[1:13], plain, details_data(sequence))


@pytest.mark.parametrize("vector", VECTORS["grams"])
def test_buckets_of_grams(vector: dict[str, Any]) -> None:
    key = hkdf(SEARCH_KEY, b"grams", vector["prefix"].encode())

    def leftmost(gram: str, bits: int) -> int:
        return int.from_bytes(hmac.new(key, gram.encode(), hashlib.sha256).digest()[:4], "big") >> (32 - bits)

    lead = leftmost("", 18) << 14
    text = vector["text"]
    numbers = {lead | leftmost(text[at : at + 3], 14) for at in range(len(text) - 2)}
    expected = sorted(number - 2**32 if number >= 2**31 else number for number in numbers)
    assert expected == vector["buckets"]
    hasher = GramHasher(Secret(SEARCH_KEY, "the search key"), vector["prefix"].encode())
    assert hasher.of_texts([text]) == vector["buckets"]
