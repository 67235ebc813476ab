"""Sealing of a record's details: AES-256-GCM (NIST SP 800-38D) under a key per writer.

    key     = HKDF-SHA-256(tenant's audit key, "audit details", writer)
    details = algorithm (1 byte) ‖ nonce (12, random) ‖ ciphertext ‖ tag (16)
    AAD     = format version (1) ‖ algorithm (1) ‖ tenant id (4) ‖ writer (16) ‖ sequence (8)

A writer is one run of one process, so no key comes near the 2³² uses that random nonces allow, and nothing needs counting.
"""

from __future__ import annotations

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.vault.errors import CannotOpen
from pgnym.vault.keys import Secret

_ALGORITHM = b"\x01"
_AAD = b"\x01" + _ALGORITHM


class DetailsCipher:
    """Seals and opens the details of one tenant's records by one writer."""

    __slots__ = ("_aead", "_place")

    def __init__(self, audit_key: Secret, tenant: int, writer: UUID) -> None:
        self._aead = AESGCM(audit_key.derive(b"audit details", writer.bytes))
        self._place = _AAD + tenant.to_bytes(4, "big") + writer.bytes

    def seal(self, sequence: int, details: bytes) -> bytes:
        """The sealed details of record ``sequence``."""
        nonce = os.urandom(12)
        return (
            _ALGORITHM + nonce + self._aead.encrypt(nonce, details, self._place + sequence.to_bytes(8, "big"))
        )

    def open(self, sequence: int, sealed: bytes) -> bytes:
        """The details of record ``sequence``; CannotOpen if they were changed, or are another record's."""
        try:
            if sealed[:1] != _ALGORITHM:
                raise InvalidTag
            return self._aead.decrypt(sealed[1:13], sealed[13:], self._place + sequence.to_bytes(8, "big"))
        except (InvalidTag, ValueError):
            raise CannotOpen(
                f"the details of audit record {sequence} do not open",
                hint="Run `pgnym audit verify`: the log was changed, or the tenant's audit key is another.",
            ) from None
