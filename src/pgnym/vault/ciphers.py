"""Sealing of values: AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces.

    ciphertext = algorithm (1 byte) ‖ nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16)
    AAD        = format version (1 byte) ‖ algorithm (1) ‖ tenant id (4, big endian) ‖ token (30)

So a ciphertext opens only in the row it was written for: one moved to another token or tenant fails. A token's value
never changes (a deterministic token is computed from it; a changed value gets a new randomized token), so an older
ciphertext of the same row can only say the same, and none at all once the generation of its key is destroyed.

The length of a value shows in the length of its ciphertext (29 bytes more). Padding is left to a later algorithm byte.

A key is used for at most ``MAX_USES`` sealings; SP 800-38D section 8.3 allows 2³² with random nonces. At 2³¹ the chance that
any nonce repeated is about 2⁻³⁵.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.vault.errors import CannotOpen, KeyGone
from pgnym.vault.tokens import domain_id

ALGORITHM_AES_256_GCM = 1
FORMAT_VERSION = 1
OVERHEAD = 1 + 12 + 16
MAX_USES = 2**31

_ALGORITHM = bytes((ALGORITHM_AES_256_GCM,))
_AAD = bytes((FORMAT_VERSION, ALGORITHM_AES_256_GCM))


def seal(dek: AESGCM, tenant: int, token: bytes, canonical: bytes) -> bytes:
    """The ciphertext of a value. The caller counts the uses of ``dek``."""
    nonce = os.urandom(12)
    return _ALGORITHM + nonce + dek.encrypt(nonce, canonical, _AAD + tenant.to_bytes(4, "big") + token)


def seal_all(dek: AESGCM, tenant: int, tokens: Sequence[bytes], values: Mapping[bytes, bytes]) -> list[bytes]:
    """As ``seal``, of many values: the operating system is asked for random bytes once."""
    aad = _AAD + tenant.to_bytes(4, "big")
    nonces = os.urandom(12 * len(tokens))
    sealed = []
    for start, token in enumerate(tokens):
        nonce = nonces[12 * start : 12 * start + 12]
        sealed.append(_ALGORITHM + nonce + dek.encrypt(nonce, values[token], aad + token))
    return sealed


def open(dek: AESGCM, tenant: int, token: bytes, ciphertext: bytes) -> bytes:
    """The value of a ciphertext. CannotOpen if it was not sealed under this key for this tenant and token."""
    if ciphertext[:1] != _ALGORITHM or len(ciphertext) < OVERHEAD:
        raise _cannot_open(token, "an algorithm that this version does not know")
    try:
        return dek.decrypt(ciphertext[1:13], ciphertext[13:], _AAD + tenant.to_bytes(4, "big") + token)
    except InvalidTag:
        raise _cannot_open(token, "a ciphertext that was changed, or moved from another row") from None


def cannot_open_without_key(token: bytes, generation: int) -> KeyGone:
    """The error for a value whose key generation is unknown or destroyed."""
    told = _cannot_open(token, f"a ciphertext of key generation {generation}, which is not there")
    return KeyGone(told.message, hint=told.hint)


def _cannot_open(token: bytes, what: str) -> CannotOpen:
    return CannotOpen(
        f"a value of domain {domain_id(token)} does not open: its row holds {what}",
        hint="Restore the vault's tables together, and check who can write to them.",
    )
