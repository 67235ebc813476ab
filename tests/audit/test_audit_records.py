"""Records: what they show, and that details survive packing and sealing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.audit.records import Action, Actor, AuditRecord, pack_details, unpack_details
from pgnym.audit.sealing import DetailsCipher
from pgnym.vault import tokens
from pgnym.vault.errors import CannotOpen
from pgnym.vault.keys import Secret

KEY = Secret(bytes(range(32)), "a key")
WRITER = UUID(int=1)


def record(text: str = "", found: tuple[bytes, ...] = ()) -> AuditRecord:
    """A record with these details."""
    return AuditRecord(datetime.now(UTC), "main", Actor("app", "app"), Action.REVEAL, tokens=found, text=text)


@given(st.text(), st.integers(0, 5))
def test_details_survive_packing(text: str, count: int) -> None:
    found = tuple(tokens.randomized(tokens.prefix(n)) for n in range(count))
    packed = pack_details(record(text, found))
    assert unpack_details(packed) == (found, text, 0)


def test_text_that_is_no_unicode_does_not_fail() -> None:
    assert unpack_details(pack_details(record("a\ud800b"))) == ((), "a?b", 0)


def test_the_representation_shows_no_details() -> None:
    token = tokens.randomized(tokens.prefix(1))
    shown = repr(record("SELECT secret", (token,)))
    assert "secret" not in shown
    assert token.decode() not in shown


def test_sealed_details_open_in_their_place_only() -> None:
    cipher = DetailsCipher(KEY, 1, WRITER)
    sealed = cipher.seal(7, b"details")
    assert b"details" not in sealed
    assert cipher.open(7, sealed) == b"details"
    for other, sequence in (
        (cipher, 8),
        (DetailsCipher(KEY, 2, WRITER), 7),
        (DetailsCipher(KEY, 1, UUID(int=2)), 7),
        (DetailsCipher(Secret(bytes(32), "another"), 1, WRITER), 7),
    ):
        with pytest.raises(CannotOpen, match="audit record"):
            other.open(sequence, sealed)
    for broken in (b"", b"\x01", b"\x02" + sealed[1:], sealed[:-1]):
        with pytest.raises(CannotOpen):
            cipher.open(7, broken)
