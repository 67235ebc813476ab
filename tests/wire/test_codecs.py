"""Codecs without a server: what is refused and how, what is never shown, and arbitrary bytes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.codecs import (
    CODECS,
    CodecError,
    Settings,
    array_oid,
    binary_from_canonical,
    canonical_from_binary,
    canonical_from_text,
    cast_truncate,
    codec_for,
    element_oid,
    fold,
    identity,
    length_check,
    text_from_canonical,
    type_size,
)

INT4, NUMERIC, DATE, TIMESTAMP, TIMESTAMPTZ, JSONB, VARCHAR, BPCHAR = (
    23,
    1700,
    1082,
    1114,
    1184,
    3802,
    1043,
    1042,
)


@pytest.mark.parametrize(
    ("oid", "typmod", "value", "sqlstate", "message"),
    [
        (INT4, -1, b"secret", "22P02", "invalid input syntax for type integer"),
        (INT4, -1, b"2147483648", "22003", "value out of range for type integer"),
        (INT4, -1, b"9" * 5000, "22003", "value out of range for type integer"),
        (NUMERIC, -1, b"secret", "22P02", "invalid input syntax for type numeric"),
        (NUMERIC, -1, b"1e999999999999", "22003", "value out of range for type numeric"),
        (NUMERIC, (5 << 16 | 2) + 4, b"12345", "22003", "numeric field overflow"),
        (DATE, -1, b"secret", "22007", "invalid input syntax for type date"),
        (DATE, -1, b"1999-02-30", "22008", "date/time field value out of range"),
        (TIMESTAMP, -1, b"300000-01-01", "22008", "timestamp out of range"),
        (TIMESTAMPTZ, -1, b"1999-01-01 00:00+16", "22009", "time zone displacement out of range"),
        (2950, -1, b"secret", "22P02", "invalid input syntax for type uuid"),
        (869, -1, b"1.2.3.secret", "22P02", "invalid input syntax for type inet"),
        (650, -1, b"1.2.3.4/8", "22P02", "invalid cidr value: it has bits set to the right of the mask"),
        (17, -1, b"\\xsecret", "22023", "invalid hexadecimal data: a character is no digit"),
        (114, -1, b"secret", "22P02", "invalid input syntax for type json"),
        (JSONB, -1, b'{"secret"', "22P02", "invalid input syntax for type json"),
        (16, -1, b"secret", "22P02", "invalid input syntax for type boolean"),
        (701, -1, b"1e999", "22003", "value out of range for type double precision"),
        (25, -1, b"\xff", "22021", 'invalid byte sequence for encoding "UTF8"'),
        (25, -1, b"a\0b", "22021", 'invalid byte sequence for encoding "UTF8"'),
        (VARCHAR, 24, b"secret" * 5, "22001", "value too long for type character varying(20)"),
        (BPCHAR, 7, "ääää".encode(), "22001", "value too long for type character(3)"),
        (600, -1, b"(1,2)", "0A000", "values of the type with OID 600 are not supported"),
    ],
)
def test_refusals_have_the_sqlstate_and_never_the_value(
    oid: int, typmod: int, value: bytes, sqlstate: str, message: str
) -> None:
    with pytest.raises(CodecError) as refused:
        canonical_from_text(oid, typmod, value)
    assert (refused.value.sqlstate, refused.value.message) == (sqlstate, message)
    assert "secret" not in refused.value.message + refused.value.hint
    # A cause would show the value in a traceback.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    "value",
    [b"Feb 18, 1962", b"today", b"now", b"18/02/1962", b"1962-049", b"J2451187", b"1 Feb 1962", b"99-01-08"],
)
@pytest.mark.parametrize("oid", [DATE, TIMESTAMP, TIMESTAMPTZ])
def test_spellings_that_depend_on_the_server_are_refused_with_a_hint(oid: int, value: bytes) -> None:
    with pytest.raises(CodecError) as refused:
        canonical_from_text(oid, -1, value)
    assert refused.value.sqlstate == "0A000"
    assert "ISO 8601" in refused.value.hint


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (INT4, b"123"),
        (DATE, b"12"),
        (NUMERIC, b"\0\1"),
        (NUMERIC, b"\0\1\0\0\0\0\0\0\x27\x10"),
        (869, b"\2\x21\0\4\1\2\3\4"),
        (JSONB, b"{}"),
    ],
)
def test_malformed_binary_values_are_refused(oid: int, value: bytes) -> None:
    with pytest.raises(CodecError) as refused:
        canonical_from_binary(oid, -1, value)
    assert refused.value.sqlstate == "22P03"


@given(oid=st.sampled_from(sorted(CODECS)), data=st.binary(max_size=40), text=st.text(max_size=12))
def test_any_bytes_are_a_value_or_refused(oid: int, data: bytes, text: str) -> None:
    for value in (data, text.encode(errors="surrogatepass")):
        with contextlib.suppress(CodecError):
            canonical = canonical_from_text(oid, -1, value)
            assert canonical_from_text(oid, -1, canonical) == canonical
            assert canonical_from_binary(oid, -1, binary_from_canonical(oid, -1, canonical)) == canonical
        with contextlib.suppress(CodecError):
            canonical = canonical_from_binary(oid, -1, value)
            assert canonical_from_binary(oid, -1, binary_from_canonical(oid, -1, canonical)) == canonical
            identity(oid, canonical, casefold=True)


@given(
    text=st.text(st.sampled_from("0123456789-:+ TZBCADepm./_xinftyNa"), max_size=24),
    oid=st.sampled_from([DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC, INT4, 701, 869]),
)
def test_near_values_are_values_or_refused(oid: int, text: str) -> None:
    with contextlib.suppress(CodecError):
        canonical = canonical_from_text(oid, -1, text.encode())
        assert canonical_from_text(oid, -1, canonical) == canonical


def test_numbers_cannot_fill_the_memory() -> None:
    bomb = b"[" + b",".join([b"1e131000"] * 1000) + b"]"
    with pytest.raises(CodecError) as refused:
        canonical_from_text(JSONB, -1, bomb)
    assert refused.value.sqlstate == "54000"


def test_identity() -> None:
    assert identity(NUMERIC, b"1.500") == identity(NUMERIC, b"1.5") == b"1.5"
    assert identity(NUMERIC, b"100") == b"100"
    assert identity(NUMERIC, b"0.00") == b"0"
    assert identity(BPCHAR, b"ab  ") == b"ab"
    assert identity(701, b"-0") == b"0"
    assert identity(25, "ÄÖ Σ".encode(), casefold=True) == "äö σ".encode()
    assert identity(JSONB, b'{"a": 1.50, "b": "1.50"}') == b'{"a": 1.5, "b": "1.50"}'


def test_folding_keeps_the_number_of_characters() -> None:
    assert fold("ΟΔΟΣ İ".encode()) == "οδοσ i".encode()


def test_lengths_and_casts() -> None:
    assert length_check(VARCHAR, 7, b"abc   ") == b"abc"
    assert cast_truncate(VARCHAR, 7, "äöüß".encode()) == "äöü".encode()
    assert length_check(BPCHAR, 9, b"ab") == b"ab   "
    assert cast_truncate(BPCHAR, 6, b"abc") == b"ab"
    assert text_from_canonical(BPCHAR, 9, b"ab ") == b"ab   "
    assert text_from_canonical(NUMERIC, (5 << 16 | 2) + 4, b"1.5") == b"1.50"
    assert length_check(NUMERIC, (5 << 16 | 1) + 4, b"-0.25") == b"-0.3"
    assert length_check(TIMESTAMP, 0, b"2001-12-31 23:59:59.5") == b"2002-01-01 00:00:00"
    assert length_check(25, -1, b"x" * 1000) == b"x" * 1000


def test_array_types() -> None:
    assert array_oid(25) == 1009
    assert element_oid(1009) == 25
    assert array_oid(600) == element_oid(600) == 0
    assert (type_size(INT4), type_size(25), type_size(600)) == (4, -1, -1)


def test_settings() -> None:
    assert Settings.of("Postgres, DMY", "Europe/Vienna", "escape") == Settings(
        "POSTGRES", "DMY", "Europe/Vienna", "escape"
    )
    for wrong in ({"datestyle": "Klingon, MDY"}, {"bytea_output": "base64"}):
        with pytest.raises(CodecError):
            Settings.of(**wrong)
    with pytest.raises(CodecError) as refused:
        text_from_canonical(TIMESTAMPTZ, -1, b"2000-01-01 00:00:00+00", Settings.of(timezone="<+02>-02"))
    assert refused.value.sqlstate == "0A000"


def test_text_types_are_told_apart_for_the_fast_path() -> None:
    assert {oid for oid in CODECS if codec_for(oid).is_text} == {25, 1043, 1042, 19, 114}
