"""Grams: known answers by plain HMAC and HKDF, and that no value is missed."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from pgnym.semantics.folding import fold
from pgnym.vault import tokens
from pgnym.vault.grams import GramHasher
from pgnym.vault.keys import Secret

KEY = bytes(range(32))
PREFIX = tokens.prefix(5)
HASHER = GramHasher(Secret(KEY, "key"), PREFIX)


def hashed(text: str, key: bytes = KEY, prefix: bytes = PREFIX) -> int:
    """The gram of a text, computed without pgnym's code."""
    extracted = hmac.digest(bytes(32), key, "sha256")  # RFC 5869, section 2.2, without salt
    info = b"pgnym/v1/grams\x00" + prefix
    derived = hmac.digest(extracted, info + b"\x01", hashlib.sha256)
    lead = hmac.digest(derived, b"", "sha256")
    bucket = hmac.digest(derived, text.encode(), "sha256")
    number = int.from_bytes(lead[:4], "big") >> 14 << 14 | int.from_bytes(bucket[:2], "big") >> 2
    return int.from_bytes(number.to_bytes(4, "big"), "big", signed=True)


def stored(hasher: GramHasher, folded: str) -> set[int]:
    """The grams of a value as the server reads them."""
    text = hasher.of_value(folded)
    assert text[0] + text[-1] == "{}"
    return {int(number) for number in text[1:-1].split(",") if number}


def test_known_answers() -> None:
    assert stored(HASHER, "müller") == {hashed(gram) for gram in ("mül", "üll", "lle", "ler")}
    assert stored(HASHER, "abcabc") == {hashed(gram) for gram in ("abc", "bca", "cab")}
    assert HASHER.of_texts(["xyzw", "ab", "abc"]) == sorted({hashed("xyz"), hashed("yzw"), hashed("abc")})


def test_short_texts_have_none() -> None:
    for text in ("", "a", "ab", "äö"):
        assert stored(HASHER, text) == set()
        assert HASHER.of_texts([text]) == []


def test_tenants_and_domains_do_not_share_grams() -> None:
    texts = ["abcdefgh", "0123456789"]
    ours = set(HASHER.of_texts(texts))
    for other in (
        GramHasher(Secret(KEY, "key"), tokens.prefix(6)),
        GramHasher(Secret(bytes(32), "key"), PREFIX),
    ):
        assert not ours & set(other.of_texts(texts))


def test_more_grams_than_are_remembered() -> None:
    hasher = GramHasher(Secret(KEY, "key"), PREFIX)
    for n in range(0, 60_000, 7):
        assert len(stored(hasher, f"{n:05}")) <= 3
    assert stored(hasher, "müller") == stored(HASHER, "müller")
    hasher.wipe()
    assert stored(hasher, "müller") != stored(HASHER, "müller")


@given(st.text(), st.text(), st.text())
def test_a_part_of_a_text_has_no_other_grams(before: str, part: str, after: str) -> None:
    whole = (before + part + after).encode("utf-8", "replace")
    folded = fold(part.encode("utf-8", "replace"))
    assert set(HASHER.of_texts([folded])) <= stored(HASHER, fold(whole))
