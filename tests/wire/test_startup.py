"""Start-up packets, by the bytes of the protocol documentation and by round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.startup import (
    GSSENC_REQUEST,
    PROTOCOL_3_0,
    PROTOCOL_3_2,
    SSL_REQUEST,
    BackendKeyData,
    CancelRequest,
    GSSENCRequest,
    NegotiateProtocolVersion,
    SSLRequest,
    StartupMessage,
    build_options,
    other_options,
    parse_options,
    parse_startup,
)

strings = st.binary(max_size=12).map(lambda b: b.replace(b"\0", b"")).filter(bool)


def test_known_bytes() -> None:
    assert SSL_REQUEST == b"\0\0\0\x08\x04\xd2\x16\x2f"
    assert GSSENC_REQUEST == b"\0\0\0\x08\x04\xd2\x16\x30"
    assert parse_startup(SSL_REQUEST) == SSLRequest()
    assert parse_startup(GSSENC_REQUEST) == GSSENCRequest()
    message = b"\0\0\0\x20\0\3\0\0user\0ada\0database\0shop\0\0"
    assert StartupMessage(PROTOCOL_3_0, {b"user": b"ada", b"database": b"shop"}).build() == message
    assert parse_startup(message) == StartupMessage(PROTOCOL_3_0, {b"user": b"ada", b"database": b"shop"})
    cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\7\1\2\3\4"
    assert parse_startup(cancel) == CancelRequest(7, b"\1\2\3\4")


@given(
    minor=st.sampled_from([0, 2, 3999]), params=st.dictionaries(strings, strings | st.just(b""), max_size=5)
)
def test_startup_message_round_trip(minor: int, params: dict[bytes, bytes]) -> None:
    message = StartupMessage(3 << 16 | minor, params)
    parsed = parse_startup(message.build())
    assert parsed == message
    assert isinstance(parsed, StartupMessage)
    assert (parsed.major, parsed.minor) == (3, minor)
    assert list(parsed.params) == list(params)


def test_extensions_are_named() -> None:
    message = StartupMessage(PROTOCOL_3_2, {b"user": b"a", b"_pq_.x": b"1", b"_pq_": b"no"})
    assert message.unsupported_options == (b"_pq_.x",)


def test_another_major_version_is_left_to_the_caller() -> None:
    assert parse_startup(b"\0\0\0\x0c\0\2\0\0junk") == StartupMessage(2 << 16)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0\0\0\x08\0\3\0",
        b"\0\0\0\x08\0\3\0\0",  # no terminator
        b"\0\0\0\x0d\0\3\0\0user\0",  # a name and no value
        b"\0\0\0\x0e\0\3\0\0user\0\0",  # no terminator
        b"\0\0\0\x0b\0\3\0\0\0xx",  # bytes after the terminator
        b"\0\0\0\x0c\x04\xd2\x16\x2fmore",  # SSLRequest with a tail
        b"\0\0\0\x0f\x04\xd2\x16\x2e\0\0\0\7\1\2\3",  # three bytes of key
    ],
)
def test_malformed_packets_are_refused(packet: bytes) -> None:
    with pytest.raises(ProtocolViolation) as refused:
        parse_startup(packet)
    assert refused.value.sqlstate == "08P01"


@pytest.mark.parametrize("size", [4, 32, 256])
def test_cancel_keys_of_protocol_3_2(size: int) -> None:
    key = bytes(range(size % 256)) or bytes(256)
    assert parse_startup(CancelRequest(0xFFFFFFFF, key).build()) == CancelRequest(0xFFFFFFFF, key)
    assert BackendKeyData.parse(BackendKeyData(1, key).build()) == BackendKeyData(1, key)


@pytest.mark.parametrize("size", [0, 3, 257])
def test_cancel_keys_out_of_bounds(size: int) -> None:
    with pytest.raises(ProtocolViolation):
        parse_startup(CancelRequest(1, bytes(size)).build())
    with pytest.raises(ProtocolViolation):
        BackendKeyData.parse(BackendKeyData(1, bytes(size)).build())


def test_cancel_keys_stay_out_of_reprs() -> None:
    assert "secret" not in repr(CancelRequest(1, b"secret")) + repr(BackendKeyData(1, b"secret"))


def test_too_long_a_startup_message_is_not_built() -> None:
    with pytest.raises(ValueError, match="too long"):
        StartupMessage(PROTOCOL_3_0, {b"options": b"x" * 10_000}).build()
    with pytest.raises(ValueError, match="NUL"):
        StartupMessage(PROTOCOL_3_0, {b"user": b"a\0database\0b"}).build()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"", []),
        (b"-c work_mem=4MB", [(b"work_mem", b"4MB")]),
        (b"  -cwork_mem=4MB\t--search-path=a,b ", [(b"work_mem", b"4MB"), (b"search_path", b"a,b")]),
        (rb"-c search_path=my\ schema\\x", [(b"search_path", rb"my schema\x")]),
        (rb"-c\ a=b", [(b" a", b"b")]),
        (b"-c a=b=c -c d=", [(b"a", b"b=c"), (b"d", b"")]),
        (b"-W 3 -c a=1", [(b"a", b"1")]),
        (b"-c a=\\", [(b"a", b"")]),
    ],
)
def test_options(options: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert parse_options(options) == expected


def test_other_switches_are_reported() -> None:
    assert other_options(b"-W 3 -c a=1 -d5") == [b"-W", b"3", b"-d5"]


@pytest.mark.parametrize("options", [b"-c", b"-c a", b"--a", b"-c =b"])
def test_options_without_name_or_value(options: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        parse_options(options)


@given(
    settings=st.lists(
        st.tuples(st.from_regex(rb"[a-z_.]{1,8}", fullmatch=True), strings | st.just(b"")), max_size=4
    )
)
def test_options_round_trip(settings: list[tuple[bytes, bytes]]) -> None:
    assert parse_options(build_options(settings)) == settings


def test_negotiate_protocol_version() -> None:
    message = NegotiateProtocolVersion(PROTOCOL_3_2, (b"_pq_.a", b"_pq_.b"))
    assert message.build() == b"v\0\0\0\x1a\0\3\0\2\0\0\0\2_pq_.a\0_pq_.b\0"
    assert NegotiateProtocolVersion.parse(message.build()) == message
    with pytest.raises(ProtocolViolation, match="NegotiateProtocolVersion"):
        NegotiateProtocolVersion.parse(b"v\0\0\0\x0c\0\3\0\2\x7f\xff\xff\xff")
