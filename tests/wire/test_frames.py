"""Framing: message boundaries, bounds, and that a cut anywhere changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgnym.wire.errors import FrameError
from pgnym.wire.frames import (
    BACKEND,
    FRONTEND,
    MAX_LARGE,
    MAX_STARTUP_PACKET,
    Backend,
    Frontend,
    Limits,
    StartupFramer,
    pending,
    run_end,
    walk,
)
from pgnym.wire.reader import framed

KINDS = [Frontend.QUERY, Frontend.PARSE, Frontend.BIND, Frontend.SYNC, Frontend.COPY_DATA]


def test_walk_finds_messages_and_the_rest() -> None:
    sync, query = framed(Frontend.SYNC, b""), framed(Frontend.QUERY, b"SELECT 1\0")
    buffer = sync + query + query[:7]
    assert walk(buffer, FRONTEND) == ([(0x53, 0, 5), (0x51, 5, 19)], 19)
    assert pending(buffer, FRONTEND, 19) == len(query)
    assert pending(buffer[:22], FRONTEND, 19) == 0


@given(
    bodies=st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=20))),
    cuts=st.lists(st.integers(1, 9)),
)
def test_cut_anywhere(bodies: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(framed(kind, body) for kind, body in bodies)
    buffer = bytearray()
    found: list[tuple[int, bytes]] = []
    pos = 0
    for cut in [*cuts, len(stream)]:
        buffer += stream[pos : pos + cut]
        pos += cut
        messages, rest = walk(memoryview(buffer), FRONTEND)
        found += [(kind, bytes(buffer[start + 5 : end])) for kind, start, end in messages]
        del buffer[:rest]
    assert found == bodies
    assert not buffer


def test_run_of_rows() -> None:
    row, done = framed(Backend.DATA_ROW, b"\0\1\0\0\0\1x"), framed(Backend.COMMAND_COMPLETE, b"SELECT 2\0")
    buffer = done + row + row + done + row
    start = len(done)
    assert run_end(buffer, BACKEND, Backend.DATA_ROW, start) == start + 2 * len(row)
    assert run_end(buffer, BACKEND, Backend.DATA_ROW, 0) == 0
    assert run_end(buffer[: start + len(row) + 6], BACKEND, Backend.DATA_ROW, start) == start + len(row)


@pytest.mark.parametrize(
    ("limits", "header", "message"),
    [
        (FRONTEND, b"Q\0\0\0\3", "invalid length 3 of frontend message Query"),
        (FRONTEND, b"Q\xff\xff\xff\xff", "length 4294967295 of frontend message Query is over 1073741822"),
        (FRONTEND, b"S\0\0\x27\x11", "length 10001 of frontend message Sync is over 10000"),
        (FRONTEND, b"z\0\0\0\4", "invalid frontend message type 122"),
        (FRONTEND, b"\0\0\0\0\4", "invalid frontend message type 0"),
        (BACKEND, b"Z\0\1\0\0", "length 65536 of backend message ReadyForQuery is over 10000"),
        (BACKEND, b"Q\0\0\0\4", "invalid backend message type 81"),
    ],
)
def test_bad_headers_are_refused_before_anything_is_buffered(
    limits: Limits, header: bytes, message: str
) -> None:
    for call in (
        lambda: walk(header, limits),
        lambda: pending(header, limits, 0),
        lambda: run_end(header, limits, header[0], 0),
    ):
        with pytest.raises(FrameError) as refused:
            call()
        assert (refused.value.sqlstate, refused.value.message) == ("08P01", message)


def test_every_message_type_has_a_bound() -> None:
    for kinds, limits in ((Frontend, FRONTEND), (Backend, BACKEND)):
        declared = {v for k, v in vars(kinds).items() if k.isupper()}
        assert {kind for kind, bound in enumerate(limits.bounds) if bound} == declared
    assert FRONTEND.bounds[Frontend.QUERY] == MAX_LARGE


def test_startup_packets_arrive_in_pieces() -> None:
    framer = StartupFramer()
    packet = b"\0\0\0\x08\x04\xd2\x16\x2f"
    for byte in packet[:-1]:
        framer.feed(bytes([byte]))
        assert framer.next() is None
    framer.feed(packet[-1:] + b"early")
    assert framer.next() == packet
    assert framer.buffer == b"early"


@pytest.mark.parametrize("length", [0, 7, MAX_STARTUP_PACKET + 5, 0xFFFFFFFF])
def test_startup_length_is_bounded(length: int) -> None:
    framer = StartupFramer()
    framer.feed(length.to_bytes(4, "big"))
    with pytest.raises(FrameError, match="startup packet"):
        framer.next()


def test_largest_startup_packet_is_accepted() -> None:
    framer = StartupFramer()
    packet = (MAX_STARTUP_PACKET + 4).to_bytes(4, "big") + bytes(MAX_STARTUP_PACKET)
    framer.feed(packet)
    assert framer.next() == packet
