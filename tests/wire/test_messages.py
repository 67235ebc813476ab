"""Messages: bytes of the protocol documentation, round trips, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire import messages as m
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import Backend, Frontend
from pgnym.wire.reader import framed
from pgnym.wire.startup import BackendKeyData, NegotiateProtocolVersion

names = st.binary(max_size=8).map(lambda b: b.replace(b"\0", b"?"))
values = st.lists(st.none() | st.binary(max_size=12), max_size=5)
oids = st.lists(st.integers(0, 2**32 - 1), max_size=5).map(tuple)
formats = st.lists(st.integers(0, 1), max_size=5).map(tuple)


@st.composite
def binds(draw: st.DrawFn) -> m.Bind:
    given_values = draw(values)
    codes = draw(st.sampled_from([0, 1, len(given_values)]))
    return m.Bind(
        draw(names), draw(names), draw(st.tuples(*[st.integers(0, 1)] * codes)), given_values, draw(formats)
    )


fields = st.builds(
    m.Field,
    names,
    st.integers(0, 2**32 - 1),
    st.integers(-32768, 32767),
    st.integers(0, 2**32 - 1),
    st.integers(-32768, 32767),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 1),
)
built = st.one_of(
    st.builds(m.Query, names),
    st.builds(m.Parse, names, names, oids),
    binds(),
    st.builds(m.Describe, st.sampled_from([b"S", b"P"]), names),
    st.builds(m.Close, st.sampled_from([b"S", b"P"]), names),
    st.builds(m.Execute, names, st.integers(-(2**31), 2**31 - 1)),
    st.builds(m.CopyFail, names),
    st.builds(m.RowDescription, st.lists(fields, max_size=4).map(tuple)),
    st.builds(m.ParameterDescription, oids),
    st.builds(m.CommandComplete, names),
    st.builds(m.ReadyForQuery, st.sampled_from([b"I", b"T", b"E"])),
    st.builds(m.ParameterStatus, names, names),
    st.builds(
        m.CopyResponse,
        st.sampled_from([Backend.COPY_IN_RESPONSE, Backend.COPY_OUT_RESPONSE, Backend.COPY_BOTH_RESPONSE]),
        st.integers(0, 1),
        formats,
    ),
    st.builds(m.NotificationResponse, st.integers(0, 2**31 - 1), names, names),
    st.builds(m.PasswordMessage, names),
    st.builds(m.SASLInitialResponse, names, st.none() | st.binary(max_size=9)),
    st.builds(m.SASLResponse, st.binary(max_size=9)),
)


@given(message=built, kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_round_trips(message: Any, kind: Callable[[bytes], Any]) -> None:
    assert type(message).parse(kind(message.build())) == message


@given(row=values)
def test_data_row_round_trip(row: list[bytes | None]) -> None:
    assert m.parse_data_row(m.build_data_row(row)) == row


def test_known_bytes() -> None:
    assert m.Query(b"SELECT 1").build() == b"Q\0\0\0\x0dSELECT 1\0"
    assert m.SYNC == b"S\0\0\0\4"
    assert m.FLUSH == b"H\0\0\0\4"
    assert m.TERMINATE == b"X\0\0\0\4"
    assert m.Parse(b"s", b"SELECT $1", (23,)).build() == b"P\0\0\0\x16s\0SELECT $1\0\0\1\0\0\0\x17"
    bind = m.Bind(b"", b"s", (0,), [b"1", None], (1,))
    assert bind.build() == b"B\0\0\0\x1a\0s\0\0\1\0\0\0\2\0\0\0\x011\xff\xff\xff\xff\0\1\0\1"
    assert m.Execute(b"", 5).build() == b"E\0\0\0\x09\0\0\0\0\5"
    assert m.ReadyForQuery(b"I").build() == b"Z\0\0\0\5I"
    assert m.build_data_row([b"a", None]) == b"D\0\0\0\x0f\0\2\0\0\0\1a\xff\xff\xff\xff"
    assert m.copy_data(b"1\n") == b"d\0\0\0\x061\n"
    field = m.Field(b"n", 1, 2, 23, 4, -1, 0)
    assert m.RowDescription((field,)).build() == (
        b"T\0\0\0\x1a\0\1n\0" + b"\0\0\0\1\0\2\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"
    )


def test_one_format_code_holds_for_all_parameters_also_for_none() -> None:
    bind = m.Bind(b"", b"", (1,), [b"x", b"y"], ())
    assert [bind.format_of(i) for i in (0, 1)] == [1, 1]
    assert m.Bind(b"", b"", (), [b"x"], ()).format_of(0) == 0
    assert m.Bind(b"", b"", (0, 1), [b"x", b"y"], ()).format_of(1) == 1
    alone = m.Bind(b"", b"", (1,), [], ())
    assert m.Bind.parse(alone.build()) == alone


@pytest.mark.parametrize(
    ("parse", "message", "problem"),
    [
        (m.Query.parse, b"Q\0\0\0\x05x", "Query message: string without end"),
        (m.Query.parse, b"Q\0\0\0\x07x\0y", "Query message: bytes after its end"),
        (m.Query.parse, b"Q\0\0\0\x09x\0", "Query message: wrong length"),
        (m.Query.parse, b"P\0\0\0\x06x\0", "Query message: wrong message type"),
        (m.Query.parse, b"", "Query message: wrong message type"),
        (m.Parse.parse, b"P\0\0\0\x08\0\0\xff\xff", "Parse message: type count beyond message"),
        (m.Bind.parse, b"B\0\0\0\x0a\0\0\0\0\xff\xff", "Bind message: value count beyond message"),
        (m.Bind.parse, b"B\0\0\0\x0a\0\0\0\1\0\2", "Bind message: unknown format code"),
        (
            m.Bind.parse,
            framed(0x42, b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"),
            "Bind message: negative value length",
        ),
        (m.Bind.parse, framed(0x42, b"\0\0\0\0\0\1\0\0\0\7ab\0\0"), "Bind message: message too short"),
        (
            m.Bind.parse,
            framed(0x42, b"\0\0\0\2\0\0\0\0\0\1\0\0\0\0\0\0"),
            "Bind message: 2 parameter formats but 1 parameters",
        ),
        (m.Describe.parse, b"D\0\0\0\6X\0", "Describe message: neither a statement nor a portal"),
        (m.parse_data_row, framed(0x44, b"\0\1\0\0\0\5ab"), "DataRow message: message too short"),
        (m.ReadyForQuery.parse, b"Z\0\0\0\5X", "ReadyForQuery message: unknown transaction status"),
        (m.RowDescription.parse, framed(0x54, b"\0\1n\0\0"), "RowDescription message: message too short"),
        (m.CopyResponse.parse, framed(0x47, b"\2\0\0"), "CopyInResponse message: unknown format code"),
        (m.Authentication.parse, framed(0x52, b"\0\0\0\x63"), "Authentication message: unknown kind 99"),
        (m.Authentication.parse, framed(0x52, b"\0\0\0\5abc"), "Authentication message: wrong length"),
        (m.Authentication.parse, framed(0x52, b"\0\0\0\x0aSCRAM\0"), "mechanism list without end"),
        (m.parse_report, framed(0x45, b"SERROR\0"), "ErrorResponse message: message too short"),
    ],
)
def test_malformed_messages_are_named(parse: Callable[[bytes], object], message: bytes, problem: str) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        parse(message)
    assert problem in refused.value.message
    assert refused.value.sqlstate == "08P01"


PARSERS: list[Callable[[bytes], object]] = [
    m.Query.parse,
    m.Parse.parse,
    m.Bind.parse,
    m.Describe.parse,
    m.Close.parse,
    m.Execute.parse,
    m.FunctionCall.parse,
    m.CopyFail.parse,
    m.PasswordMessage.parse,
    m.SASLInitialResponse.parse,
    m.SASLResponse.parse,
    m.Authentication.parse,
    m.RowDescription.parse,
    m.ParameterDescription.parse,
    m.CommandComplete.parse,
    m.ReadyForQuery.parse,
    m.ParameterStatus.parse,
    m.CopyResponse.parse,
    m.NotificationResponse.parse,
    m.parse_data_row,
    m.parse_report,
    BackendKeyData.parse,
    NegotiateProtocolVersion.parse,
]
KINDS = [v for kinds in (Frontend, Backend) for k, v in vars(kinds).items() if k.isupper()]


@given(
    parse=st.sampled_from(PARSERS),
    kind=st.sampled_from(KINDS),
    body=st.binary(max_size=40),
    raw=st.booleans(),
)
def test_any_bytes_parse_or_are_a_violation(
    parse: Callable[[bytes], object], kind: int, body: bytes, raw: bool
) -> None:
    with contextlib.suppress(ProtocolViolation):
        parse(body if raw else framed(kind, body))


@given(message=built, at=st.integers(0, 60), byte=st.integers(0, 255))
def test_one_wrong_byte_parses_or_is_a_violation(message: Any, at: int, byte: int) -> None:
    changed = bytearray(message.build())
    changed[at % len(changed)] = byte
    with contextlib.suppress(ProtocolViolation):
        type(message).parse(changed)


def test_reports_keep_order_and_unknown_fields() -> None:
    raw = framed(0x45, b"SFEHLER\0VERROR\0C23505\0Mmsg\0zfuture\0nkey\0\0")
    report = m.parse_report(raw)
    assert report == {"S": b"FEHLER", "V": b"ERROR", "C": b"23505", "M": b"msg", "z": b"future", "n": b"key"}
    assert m.build_report(report) == raw
    assert m.build_report(report, notice=True)[:1] == b"N"
    with pytest.raises(ValueError, match="NUL"):
        m.build_report({"M": b"a\0Cxxxxx"})


def test_error_response() -> None:
    raw = m.error_response("ERROR", "0A000", "no", detail="why", hint="how", position=7)
    assert m.parse_report(raw) == {
        "S": b"ERROR",
        "V": b"ERROR",
        "C": b"0A000",
        "M": b"no",
        "D": b"why",
        "H": b"how",
        "P": b"7",
    }
    assert m.parse_report(m.notice_response("WARNING", "01000", "w"))["S"] == b"WARNING"


def test_mechanisms_lose_channel_binding() -> None:
    raw = framed(0x52, b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")
    offer = m.Authentication.parse(raw)
    assert offer.mechanisms == (b"SCRAM-SHA-256-PLUS", b"SCRAM-SHA-256")
    assert offer.build() == raw
    assert offer.without_channel_binding().build() == framed(0x52, b"\0\0\0\x0aSCRAM-SHA-256\0\0")
    assert m.Authentication.parse(framed(0x52, b"\0\0\0\0")).mechanisms == ()


def test_values_and_secrets_stay_out_of_reprs() -> None:
    shown = "".join(
        map(
            repr,
            (
                m.Query(b"secret"),
                m.Parse(b"", b"secret"),
                m.Bind(b"", b"", (), [b"secret"], ()),
                m.PasswordMessage(b"secret"),
                m.SASLInitialResponse(b"SCRAM-SHA-256", b"secret"),
                m.SASLResponse(b"secret"),
                m.Authentication(m.AuthKind.SASL_CONTINUE, b"secret"),
                m.NotificationResponse(1, b"c", b"secret"),
                m.FunctionCall(1, (), [b"secret"], 0),
            ),
        )
    )
    assert "secret" not in shown


def test_too_many_parameters_are_not_built() -> None:
    with pytest.raises(ValueError, match="too many"):
        m.Bind(b"", b"", (), [None] * 65536, ()).build()
    with pytest.raises(ValueError, match="too many"):
        m.Parse(b"", b"", (0,) * 65536).build()
