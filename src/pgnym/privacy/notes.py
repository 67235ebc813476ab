"""Sealing of what people write about requests (their contact, reasons): AES-256-GCM (NIST SP 800-38D).

    key    = HKDF-SHA-256(tenant's audit key, "request notes", request id)
    sealed = algorithm (1 byte) ‖ nonce (12, random) ‖ ciphertext ‖ tag (16)
    AAD    = algorithm (1) ‖ tenant id (4) ‖ request id (16) ‖ number (4): 0 for the contact, else that of the event

Each request has a key of its own, so that none comes near the uses that random nonces allow.
"""

from __future__ import annotations

import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.vault.errors import CannotOpen
from pgnym.vault.keys import Secret

_ALGORITHM = b"\x01"


class NoteCipher:
    """Seals and opens the texts of one request."""

    __slots__ = ("_aead", "_place")

    def __init__(self, audit_key: Secret, tenant: int, request: UUID) -> None:
        self._aead = AESGCM(audit_key.derive(b"request notes", request.bytes))
        self._place = _ALGORITHM + tenant.to_bytes(4, "big") + request.bytes

    def seal(self, number: int, text: str) -> bytes:
        """The sealed text ``number``."""
        nonce = os.urandom(12)
        return _ALGORITHM + nonce + self._aead.encrypt(nonce, text.encode(), self._data(number))

    def open(self, number: int, sealed: bytes) -> str:
        """The text; CannotOpen if it was changed, or is another's."""
        try:
            if sealed[:1] != _ALGORITHM:
                raise InvalidTag
            return self._aead.decrypt(sealed[1:13], sealed[13:], self._data(number)).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen(
                f"text {number} of the request does not open",
                hint="The vault's tables were changed, or the tenant's audit key is another.",
            ) from None

    def _data(self, number: int) -> bytes:
        return self._place + number.to_bytes(4, "big")
