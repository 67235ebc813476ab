"""Tokens: the pseudonyms that the application's database holds.

A token is 30 ASCII characters: ``pn1``, three base32 characters for the domain (15 bits), and 24 for the body (120 bits).
The alphabet is RFC 4648 base32 in lower case, without padding, so that a token needs no quoting in text, JSON, arrays,
records or COPY, and survives ``lower()``.

A deterministic body is HMAC-SHA-256 (RFC 2104, FIPS 198-1) under the tenant's token key, truncated to its leftmost 120
bits, as RFC 2104 section 5 and NIST SP 800-107 section 5.1 allow. The message is

    prefix (6 bytes) ‖ length of identity (4 bytes, big endian) ‖ identity

The prefix separates domains; fixed length and explicit length make the encoding injective without relying on what
follows. With n values in a domain, two of them collide with probability about n²/2¹²¹: 2⁻⁵⁵ for 2³³ values.
"""

from __future__ import annotations

import os
import re

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

TOKEN_LENGTH = 30
PREFIX_LENGTH = 6
MARK = b"pn1"
MAX_DOMAIN_ID = 0x7FFF
TOKEN_PATTERN = re.compile(rb"pn1[a-z2-7]{27}")
"""Finds tokens in raw bytes. It has no boundaries: a token may touch other letters (``token || 'abc'``)."""

_BODY_BYTES = 15
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
# Base32 by a table over 15-bit groups: three characters a look-up, 8 look-ups a body. Measured against 10-bit groups
# (0.62 µs), 20-bit groups (0.39 µs, but 45 MB of table) and base64.b32encode().lower() (1.37 µs): 0.41 µs with 1.8 MB.
_TRIPLETS = [
    bytes((_ALPHABET[n >> 10], _ALPHABET[n >> 5 & 31], _ALPHABET[n & 31])) for n in range(MAX_DOMAIN_ID + 1)
]
_DOMAINS = {triplet: n for n, triplet in enumerate(_TRIPLETS)}


def prefix(domain: int) -> bytes:
    """The six bytes that every token of a domain starts with. ``domain``: 0 to 32767, else ValueError."""
    if not 0 <= domain <= MAX_DOMAIN_ID:
        raise ValueError(f"domain id {domain} is not within 0 to {MAX_DOMAIN_ID}")
    return MARK + _TRIPLETS[domain]


def domain_id(token: bytes) -> int:
    """The domain of a token or prefix. ValueError if it starts like none."""
    found = _DOMAINS.get(bytes(token[3:PREFIX_LENGTH]))
    if found is None or token[:3] != MARK:
        raise ValueError("not a token")
    return found


def is_token(data: bytes) -> bool:
    """Whether ``data`` is exactly one token."""
    return TOKEN_PATTERN.fullmatch(data) is not None


class Tokenizer:
    """Computes the deterministic tokens of one tenant. ``key``: 32 bytes, used for nothing else."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes | bytearray) -> None:
        # A keyed context that is copied for each token spares the two key blocks of HMAC: 0.44 µs where a new
        # context costs 1.17 µs and the standard library's hmac.digest 1.25 µs.
        self._keyed = HMAC(bytes(key), SHA256())

    def token(self, prefix: bytes, identity: bytes) -> bytes:
        """The token of a value. ``prefix``: of its domain; ``identity``: the bytes that decide equality."""
        mac = self._keyed.copy()
        mac.update(prefix + len(identity).to_bytes(4, "big") + identity)
        return _encode(prefix, mac.finalize()[:_BODY_BYTES])


def deterministic(key: bytes, prefix: bytes, identity: bytes) -> bytes:
    """One deterministic token. For many under one key, keep a ``Tokenizer``."""
    return Tokenizer(key).token(prefix, identity)


def randomized(prefix: bytes) -> bytes:
    """A token that says nothing about its value: 120 bits from the operating system."""
    return _encode(prefix, os.urandom(_BODY_BYTES))


def _encode(prefix: bytes, body: bytes) -> bytes:
    n = int.from_bytes(body, "big")
    table = _TRIPLETS
    return b"".join(
        (
            prefix,
            table[n >> 105],
            table[n >> 90 & 0x7FFF],
            table[n >> 75 & 0x7FFF],
            table[n >> 60 & 0x7FFF],
            table[n >> 45 & 0x7FFF],
            table[n >> 30 & 0x7FFF],
            table[n >> 15 & 0x7FFF],
            table[n & 0x7FFF],
        )
    )
