"""Masks keep type and length, and never leave a value whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.config.model import KeepMask
from pgnym.policy.masks import TEXT_MASKS, Mask, masker

TEXT, BPCHAR, INT, NUMERIC, DATE, TS, TSTZ = 25, 1042, 23, 1700, 1082, 1114, 1184
UUID, INET, BYTEA, JSONB = 2950, 869, 17, 3802
K = KeepMask
UUID_VALUE = b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


@pytest.mark.parametrize(
    ("mask", "oid", "value", "masked"),
    [
        ("email", TEXT, "jané.roe@mail.example.com", "j*******@************.com"),
        ("email", TEXT, "a@b", "*@*"),
        ("email", TEXT, "not an address", "**************"),
        ("email", TEXT, "@x.org", "******"),
        ("phone", TEXT, "+55 (12) 3923-5555", "+** (**) ****-**55"),
        ("phone", TEXT, "12345", "*****"),
        ("phone", TEXT, "x123456", "*****56"),
        ("last4", TEXT, "4111111111111111", "************1111"),
        ("last4", TEXT, "1234", "****"),
        ("initial", TEXT, "Ördög", "Ö****"),
        ("initial", TEXT, "A", "*"),
        ("all", TEXT, "Ada Lovelace", "************"),
        (K(keep_first=2, keep_last=1), TEXT, "abcdef", "ab***f"),
        (K(keep_first=2, keep_last=1), TEXT, "abc", "***"),
        (K(), TEXT, "abc", "***"),
        ("all", BPCHAR, "ab   ", "**   "),
        ("last4", BPCHAR, "123456  ", "**3456  "),
        ("all", INT, "-42", "0"),
        ("last4", INT, "-123456", "3456"),
        ("last4", INT, "1230004", "4"),
        ("last4", INT, "1234", "0"),
        (K(keep_first=1), INT, "987", "900"),
        ("all", NUMERIC, "-12.345", "0.000"),
        ("last4", NUMERIC, "NaN", "0"),
        ("all", DATE, "1962-02-18", "1970-01-01"),
        (K(keep_first=4), DATE, "1962-02-18", "1962-01-01"),
        (K(keep_first=7), DATE, "12962-02-18", "12962-02-01"),
        (K(keep_first=4), DATE, "0044-03-15 BC", "1970-01-01"),
        (K(keep_first=4), DATE, "infinity", "1970-01-01"),
        (K(keep_first=4), TS, "1962-02-18 12:13:14.5", "1962-01-01 00:00:00"),
        ("all", TSTZ, "1962-02-18 12:13:14+00", "1970-01-01 00:00:00+00"),
        ("all", UUID, UUID_VALUE.decode(), "00000000-0000-0000-0000-000000000000"),
        ("last4", UUID, UUID_VALUE.decode(), "00000000-0000-0000-0000-000000000a11"),
        ("all", INET, "10.1.2.3/8", "0.0.0.0"),
        ("all", INET, "fe80::1", "::"),
        ("all", BYTEA, "\\x00ff", "\\x0000"),
        ("all", JSONB, '{"a": 1}', "null"),
    ],
)
def test_masks(mask: Mask, oid: int, value: str, masked: str) -> None:
    assert masker(mask, oid)(value.encode()).decode() == masked


@given(st.text(min_size=1), st.sampled_from([*TEXT_MASKS, K(keep_first=1, keep_last=2)]))
def test_text_keeps_its_length_and_is_never_whole(text: str, mask: Mask) -> None:
    masked = masker(mask, TEXT)(text.encode()).decode()
    assert len(masked) == len(text)
    letters = [c for c in text if c not in " +-./()@*"]
    assert not letters or masked != text or mask == "phone"


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 12), st.integers(0, 12))
def test_integers_stay_in_range(value: int, first: int, last: int) -> None:
    masked = masker(K(keep_first=first, keep_last=last), INT)(str(value).encode())
    assert str(int(masked)).encode() == masked
    assert 0 <= int(masked) <= 2**31


@pytest.mark.parametrize(("mask", "oid"), [("all", 600), ("all", 718), ("stars", TEXT), ("stars", INT)])
def test_what_is_not_known_is_an_error(mask: str, oid: int) -> None:
    with pytest.raises(ValueError, match="no mask"):
        masker(mask, oid)
