"""Message framing: where messages start and end in a buffer, and how long each may be.

After start-up every message is a type byte and an int32 length that counts itself (protocol, "Messaging
Overview"). This is the hot path of the forwarder: nothing here copies, and a message costs one
``unpack_from`` and two comparisons.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from pgnym.wire.errors import FrameError

Buffer = bytes | bytearray | memoryview
Message = tuple[int, int, int]
"""(type byte as an int, offset of that byte, offset past the last byte)."""

HEADER: Final = 5
STARTUP_HEADER: Final = 8
MAX_STARTUP_PACKET: Final = 10_000
"""MAX_STARTUP_PACKET_LENGTH of PostgreSQL, counted as there: without the four bytes of the length itself."""
MAX_LARGE: Final = 0x3FFFFFFE
"""PQ_LARGE_MESSAGE_LIMIT: MaxAllocSize - 1."""
MAX_SMALL: Final = 10_000
"""PQ_SMALL_MESSAGE_LIMIT."""
MAX_AUTH: Final = 65_535
"""PG_MAX_AUTH_TOKEN_LENGTH."""
MAX_REPORT: Final = 1 << 24
"""Bound on server messages that are not rows but may be long: errors, notices, row descriptions (ours)."""

_header = struct.Struct("!BI").unpack_from
_startup = struct.Struct("!II").unpack_from


class Frontend:
    """Type bytes of messages from a client."""

    BIND: Final = 0x42  # B
    CLOSE: Final = 0x43  # C
    COPY_DATA: Final = 0x64  # d
    COPY_DONE: Final = 0x63  # c
    COPY_FAIL: Final = 0x66  # f
    DESCRIBE: Final = 0x44  # D
    EXECUTE: Final = 0x45  # E
    FLUSH: Final = 0x48  # H
    FUNCTION_CALL: Final = 0x46  # F
    PARSE: Final = 0x50  # P
    PASSWORD: Final = 0x70  # p, also SASL and GSS responses
    QUERY: Final = 0x51  # Q
    SYNC: Final = 0x53  # S
    TERMINATE: Final = 0x58  # X


class Backend:
    """Type bytes of messages from a server."""

    AUTHENTICATION: Final = 0x52  # R
    BACKEND_KEY_DATA: Final = 0x4B  # K
    BIND_COMPLETE: Final = 0x32  # 2
    CLOSE_COMPLETE: Final = 0x33  # 3
    COMMAND_COMPLETE: Final = 0x43  # C
    COPY_BOTH_RESPONSE: Final = 0x57  # W
    COPY_DATA: Final = 0x64  # d
    COPY_DONE: Final = 0x63  # c
    COPY_IN_RESPONSE: Final = 0x47  # G
    COPY_OUT_RESPONSE: Final = 0x48  # H
    DATA_ROW: Final = 0x44  # D
    EMPTY_QUERY_RESPONSE: Final = 0x49  # I
    ERROR_RESPONSE: Final = 0x45  # E
    FUNCTION_CALL_RESPONSE: Final = 0x56  # V
    NEGOTIATE_PROTOCOL_VERSION: Final = 0x76  # v
    NO_DATA: Final = 0x6E  # n
    NOTICE_RESPONSE: Final = 0x4E  # N
    NOTIFICATION_RESPONSE: Final = 0x41  # A
    PARAMETER_DESCRIPTION: Final = 0x74  # t
    PARAMETER_STATUS: Final = 0x53  # S
    PARSE_COMPLETE: Final = 0x31  # 1
    PORTAL_SUSPENDED: Final = 0x73  # s
    READY_FOR_QUERY: Final = 0x5A  # Z
    ROW_DESCRIPTION: Final = 0x54  # T


class Limits:
    """The longest length word allowed per type byte, and the names to report.

    ``bounds`` is a tuple of 256 ints indexed by type byte; 0 where the peer has no such message. ``peer`` is
    "frontend" or "backend".
    """

    __slots__ = ("bounds", "names", "peer")

    def __init__(self, peer: str, kinds: type, bounds: dict[int, int]) -> None:
        table = [0] * 256
        for kind, bound in bounds.items():
            table[kind] = bound
        self.peer = peer
        self.bounds: Final = tuple(table)
        self.names = {
            value: "".join(part.capitalize() for part in name.split("_"))
            for name, value in vars(kinds).items()
            if isinstance(value, int)
        }

    def error(self, kind: int, length: int) -> FrameError:
        """Why a header was not accepted: an unknown type, or a length out of bounds."""
        name = self.names.get(kind)
        if name is None or not self.bounds[kind]:
            return FrameError(f"invalid {self.peer} message type {kind}")
        if length < 4:
            return FrameError(f"invalid length {length} of {self.peer} message {name}")
        return FrameError(f"length {length} of {self.peer} message {name} is over {self.bounds[kind]}")


def _fill(groups: Iterable[tuple[int, Iterable[int]]]) -> dict[int, int]:
    return {kind: bound for bound, kinds in groups for kind in kinds}


# postgres.c, SocketBackend(): the same split into large and small messages. 'p' outside authentication is
# invalid there; the session, which knows the state, decides that.
FRONTEND: Final = Limits(
    "frontend",
    Frontend,
    _fill(
        (
            (
                MAX_LARGE,
                (
                    Frontend.QUERY,
                    Frontend.PARSE,
                    Frontend.BIND,
                    Frontend.FUNCTION_CALL,
                    Frontend.COPY_DATA,
                ),
            ),
            (
                MAX_SMALL,
                (
                    Frontend.CLOSE,
                    Frontend.DESCRIBE,
                    Frontend.EXECUTE,
                    Frontend.FLUSH,
                    Frontend.SYNC,
                    Frontend.TERMINATE,
                    Frontend.COPY_DONE,
                    Frontend.COPY_FAIL,
                ),
            ),
            (MAX_AUTH, (Frontend.PASSWORD,)),
        )
    ),
)

BACKEND: Final = Limits(
    "backend",
    Backend,
    _fill(
        (
            (
                MAX_LARGE + 5,
                (Backend.DATA_ROW, Backend.COPY_DATA, Backend.FUNCTION_CALL_RESPONSE),
            ),
            (
                MAX_REPORT,
                (
                    Backend.ROW_DESCRIPTION,
                    Backend.ERROR_RESPONSE,
                    Backend.NOTICE_RESPONSE,
                    Backend.NOTIFICATION_RESPONSE,
                    Backend.PARAMETER_STATUS,
                    Backend.PARAMETER_DESCRIPTION,
                ),
            ),
            (
                MAX_AUTH,
                (
                    Backend.AUTHENTICATION,
                    Backend.NEGOTIATE_PROTOCOL_VERSION,
                    Backend.COMMAND_COMPLETE,
                    Backend.COPY_IN_RESPONSE,
                    Backend.COPY_OUT_RESPONSE,
                    Backend.COPY_BOTH_RESPONSE,
                    Backend.BACKEND_KEY_DATA,
                ),
            ),
            (
                MAX_SMALL,
                (
                    Backend.BIND_COMPLETE,
                    Backend.CLOSE_COMPLETE,
                    Backend.COPY_DONE,
                    Backend.EMPTY_QUERY_RESPONSE,
                    Backend.NO_DATA,
                    Backend.PARSE_COMPLETE,
                    Backend.PORTAL_SUSPENDED,
                    Backend.READY_FOR_QUERY,
                ),
            ),
        )
    ),
)


def walk(buffer: Buffer, limits: Limits, start: int = 0, end: int | None = None) -> tuple[list[Message], int]:
    """Find the complete messages of ``buffer[start:end]``.

    Returns them in order, and the offset where the incomplete rest starts. A header is judged as soon as its
    five bytes are there, so an absurd length is refused before anything is buffered for it.

    Raises ``FrameError`` for a bad header. Messages before it are not returned: the connection is lost
    anyway.
    """
    if end is None:
        end = len(buffer)
    out: list[Message] = []
    add = out.append
    unpack = _header
    bounds = limits.bounds
    last = end - HEADER
    while start <= last:
        kind, length = unpack(buffer, start)
        if length < 4 or length > bounds[kind]:
            raise limits.error(kind, length)
        after = start + length + 1
        if after > end:
            break
        add((kind, start, after))
        start = after
    return out, start


def run_end(buffer: Buffer, limits: Limits, kind: int, start: int, end: int | None = None) -> int:
    """The offset past the run of complete messages of type ``kind`` that starts at ``start`` (DataRow,
    CopyData).

    Same checks as ``walk``, at two thirds of its cost, for results that are forwarded in whole.
    """
    if end is None:
        end = len(buffer)
    unpack = _header
    bound = limits.bounds[kind]
    last = end - HEADER
    while start <= last:
        found, length = unpack(buffer, start)
        if found != kind:
            break
        if length < 4 or length > bound:
            raise limits.error(kind, length)
        after = start + length + 1
        if after > end:
            break
        start = after
    return start


def pending(buffer: Buffer, limits: Limits, start: int, end: int | None = None) -> int:
    """The whole length in bytes of the incomplete message at ``start``, 0 while its header isn't there.

    For callers that stream a long message through instead of buffering it.
    """
    if end is None:
        end = len(buffer)
    if end - start < HEADER:
        return 0
    kind, length = _header(buffer, start)
    if length < 4 or length > limits.bounds[kind]:
        raise limits.error(kind, length)
    return int(length) + 1


class StartupFramer:
    """Cuts untyped start-up packets (int32 length, int32 code) from a growing buffer.

    A client may split a packet anywhere, or send its first byte alone: 0x16 there means direct TLS, which the
    caller must have looked for. ``buffer`` holds what came after the packet last returned: after SSLRequest
    it must be empty, or someone injected plaintext before the handshake (CVE-2021-23214, pgbouncer
    CVE-2021-3935).
    """

    __slots__ = ("buffer",)

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: Buffer) -> None:
        """Append what was received."""
        self.buffer += data

    def next(self) -> bytes | None:
        """The next complete packet, its length word included, or None. Raises ``FrameError``."""
        buffer = self.buffer
        if len(buffer) < 4:
            return None
        length = int.from_bytes(buffer[:4], "big")
        if not STARTUP_HEADER <= length <= MAX_STARTUP_PACKET + 4:
            raise FrameError(f"invalid length {length} of startup packet")
        if len(buffer) < length:
            return None
        packet = bytes(buffer[:length])
        del buffer[:length]
        return packet
