"""Blind n-grams: which values contain a text, told by keyed hashes of the three-character substrings of both.

A value is stored with the hashes of all its 3-grams, a question asks for the values that have all those of a text. What
is found is a superset, to be opened and tested: hashes collide, and the grams may be there in another order. (Pattern of
"Secure Indexes", Goh 2003, ePrint 2003/216, with posting lists in place of a Bloom filter for each document.)

    key   = HKDF(tenant's search key, "grams", domain prefix)
    gram  = lead (18 bits) ‖ bucket (14 bits), as a signed 32-bit number
    lead  = leftmost 18 bits of HMAC-SHA-256(key, "")              the same for all grams of a tenant's domain
    bucket = leftmost 14 bits of HMAC-SHA-256(key, gram in UTF-8)

The lead keeps domains and tenants apart in the one index. The bucket is short on purpose: a large domain has more distinct
grams than there are buckets, so that a rare gram shares its bucket with others and can't be told from them; while a question
of several grams still finds little that it must reject. What the index gives away nevertheless is in docs/vault.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from pgnym.vault.keys import Secret

GRAM = 3
_BUCKET_BITS = 14
_REMEMBERED = 20_000  # grams, some 150 bytes each: the common ones of a language are fewer


class GramHasher:
    """The grams of one domain of one tenant. Texts must have been folded, all in the same way."""

    __slots__ = ("_keyed", "_known", "_lead")

    def __init__(self, search_key: Secret, prefix: bytes) -> None:
        self._keyed = HMAC(search_key.derive(b"grams", prefix), SHA256())
        self._lead = self._leftmost("", 32 - _BUCKET_BITS) << _BUCKET_BITS
        self._known: dict[str, str] = {}

    def __repr__(self) -> str:
        return "<GramHasher>"

    def of_value(self, folded: str) -> str:
        """The grams of a value, as text of a PostgreSQL array; ``{}`` for one that is shorter than a gram."""
        known = self._known
        hashed = set()
        for gram in _grams(folded):
            found = known.get(gram)
            hashed.add(self._hash(gram) if found is None else found)
        return "{" + ",".join(hashed) + "}"

    def of_texts(self, folded: Iterable[str]) -> list[int]:
        """The grams that a value with all these texts in it has, in ascending order. Texts shorter than a gram have none."""
        return sorted({int(self._hash(gram)) for text in folded for gram in _grams(text)})

    def wipe(self) -> None:
        """Lets key and grams go."""
        self._known.clear()
        self._keyed = HMAC(bytes(32), SHA256())

    def _hash(self, gram: str) -> str:
        number = self._lead | self._leftmost(gram, _BUCKET_BITS)
        hashed = str(number - 2**32 if number >= 2**31 else number)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[gram] = hashed
        return hashed

    def _leftmost(self, gram: str, bits: int) -> int:
        mac = self._keyed.copy()
        mac.update(gram.encode())
        return int.from_bytes(mac.finalize()[:4], "big") >> (32 - bits)


def _grams(folded: str) -> set[str]:
    return {folded[i : i + GRAM] for i in range(len(folded) - GRAM + 1)}
