"""Start-up packets: requests before the session, StartupMessage and what answers it (protocol, "Start-up").

These carry no type byte: an int32 length, then an int32 that is a protocol version or one of three magic
codes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import MAX_STARTUP_PACKET, STARTUP_HEADER, Backend, Buffer
from pgnym.wire.reader import Reader, cstring, framed

CANCEL_CODE: Final = 80877102
SSL_CODE: Final = 80877103
GSSENC_CODE: Final = 80877104
PROTOCOL_3_0: Final = 3 << 16
PROTOCOL_3_2: Final = 3 << 16 | 2
TLS_HANDSHAKE: Final = 0x16
"""First byte of a direct TLS connection (PostgreSQL 17, ``sslnegotiation=direct``)."""
MIN_CANCEL_KEY: Final = 4
MAX_CANCEL_KEY: Final = 256

SSL_REQUEST: Final = struct.pack("!ii", 8, SSL_CODE)
GSSENC_REQUEST: Final = struct.pack("!ii", 8, GSSENC_CODE)


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """The client asks for TLS; the answer is one byte, S or N."""


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """The client asks for GSSAPI encryption; the answer is one byte, G or N."""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Cancel what backend ``pid`` runs. ``key`` has four bytes in protocol 3.0, 4 to 256 in 3.2."""

    pid: int
    key: bytes

    def build(self) -> bytes:
        """The packet."""
        return struct.pack("!iiI", 12 + len(self.key), CANCEL_CODE, self.pid) + self.key

    def __repr__(self) -> str:
        return f"CancelRequest(pid={self.pid})"


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """``version`` as major << 16 | minor; ``params`` in the order sent (user, database, options,
    application_name …).
    """

    version: int
    params: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """Major protocol version."""
        return self.version >> 16

    @property
    def minor(self) -> int:
        """Minor protocol version."""
        return self.version & 0xFFFF

    @property
    def unsupported_options(self) -> tuple[bytes, ...]:
        """Protocol extensions asked for (``_pq_.*``).

        Each unknown one must be named in NegotiateProtocolVersion.
        """
        return tuple(name for name in self.params if name.startswith(b"_pq_."))

    def build(self) -> bytes:
        """The packet. Raises ``ValueError`` when it would be longer than a server accepts."""
        body = b"".join(cstring(name) + cstring(value) for name, value in self.params.items()) + b"\0"
        if len(body) + 4 > MAX_STARTUP_PACKET:
            raise ValueError("startup packet too long")
        return struct.pack("!ii", 8 + len(body), self.version) + body


StartupPacket = SSLRequest | GSSENCRequest | CancelRequest | StartupMessage


def parse_startup(packet: Buffer) -> StartupPacket:
    """Read a whole packet, its length word included. Raises ``ProtocolViolation``.

    A version other than 3.x is returned as it is: the caller answers 0A000 "unsupported frontend protocol".
    """
    data = bytes(packet)
    if len(data) < STARTUP_HEADER or int.from_bytes(data[:4], "big") != len(data):
        raise ProtocolViolation("malformed startup packet: wrong length")
    code = int.from_bytes(data[4:8], "big")
    if code in (SSL_CODE, GSSENC_CODE):
        if len(data) != 8:
            raise ProtocolViolation("malformed encryption request: wrong length")
        return SSLRequest() if code == SSL_CODE else GSSENCRequest()
    if code == CANCEL_CODE:
        key = data[12:]
        if not MIN_CANCEL_KEY <= len(key) <= MAX_CANCEL_KEY:
            raise ProtocolViolation("malformed CancelRequest: wrong key length")
        return CancelRequest(int.from_bytes(data[8:12], "big"), key)
    if code >> 16 != 3:
        return StartupMessage(code, {})
    return StartupMessage(code, _params(data))


def parse_options(options: bytes) -> list[tuple[bytes, bytes]]:
    """The settings in a start-up ``options`` string: ``-c name=value``, ``-cname=value`` and
    ``--name=value``.

    Split as PostgreSQL's pg_split_opts() does: white space separates, a backslash makes the next byte
    literal. Dashes in the name of a ``--`` or ``-c`` option become underscores. Other switches are left out
    (see ``other_options``). Raises ``ProtocolViolation`` for a ``-c`` without name or value.
    """
    return _read_options(options)[0]


def other_options(options: bytes) -> list[bytes]:
    """The words of an ``options`` string that are not settings (``-d 5``, ``-W 3`` …), unescaped."""
    return _read_options(options)[1]


def build_options(settings: Mapping[bytes, bytes] | list[tuple[bytes, bytes]]) -> bytes:
    """An ``options`` string that sets ``settings``, escaped."""
    pairs = settings if isinstance(settings, list) else list(settings.items())
    return b" ".join(b"-c " + _escape(name + b"=" + value) for name, value in pairs)


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """The newest version the server speaks (as in StartupMessage) and the ``_pq_.*`` options it doesn't know."""

    version: int
    options: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, message: Buffer) -> NegotiateProtocolVersion:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("NegotiateProtocolVersion", Backend.NEGOTIATE_PROTOCOL_VERSION, message)
        version = reader.int32()
        count = reader.int32()
        if not 0 <= count <= reader.end - reader.pos:
            raise reader.error("option count beyond message")
        options = tuple(reader.string() for _ in range(count))
        reader.done()
        return cls(version, options)

    def build(self) -> bytes:
        """The message."""
        body = struct.pack("!ii", self.version, len(self.options)) + b"".join(map(cstring, self.options))
        return framed(Backend.NEGOTIATE_PROTOCOL_VERSION, body)


@dataclass(frozen=True, slots=True)
class BackendKeyData:
    """What a cancel must show. ``key`` has four bytes in protocol 3.0, 4 to 256 in 3.2."""

    pid: int
    key: bytes

    @classmethod
    def parse(cls, message: Buffer) -> BackendKeyData:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("BackendKeyData", Backend.BACKEND_KEY_DATA, message)
        pid = reader.uint32()
        key = reader.rest()
        if not MIN_CANCEL_KEY <= len(key) <= MAX_CANCEL_KEY:
            raise reader.error("wrong key length")
        return cls(pid, key)

    def build(self) -> bytes:
        """The message."""
        return framed(Backend.BACKEND_KEY_DATA, struct.pack("!I", self.pid) + self.key)

    def __repr__(self) -> str:
        return f"BackendKeyData(pid={self.pid})"


def _params(data: bytes) -> dict[bytes, bytes]:
    params: dict[bytes, bytes] = {}
    pos = STARTUP_HEADER
    while True:
        stop = data.find(b"\0", pos)
        if stop < 0:
            raise ProtocolViolation("malformed StartupMessage: string without end")
        if stop == pos:
            break
        after = data.find(b"\0", stop + 1)
        if after < 0:
            raise ProtocolViolation("malformed StartupMessage: parameter without value")
        params[data[pos:stop]] = data[stop + 1 : after]
        pos = after + 1
    if pos + 1 != len(data):
        # ProcessStartupPacket(): "expected terminator as last byte".
        raise ProtocolViolation("malformed StartupMessage: terminator is not the last byte")
    return params


def _split(options: bytes) -> list[bytes]:
    words: list[bytes] = []
    word: bytearray | None = None
    escaped = False
    for byte in options:
        if escaped:
            escaped = False
        elif byte in b" \t\n\v\f\r":
            if word is not None:
                words.append(bytes(word))
                word = None
            continue
        elif byte == 0x5C:
            escaped = True
            word = bytearray() if word is None else word
            continue
        if word is None:
            word = bytearray()
        word.append(byte)
    if word is not None:
        words.append(bytes(word))
    return words


def _escape(text: bytes) -> bytes:
    out = bytearray()
    for byte in text:
        if byte in b" \t\n\v\f\r\\":
            out.append(0x5C)
        out.append(byte)
    return bytes(out)


def _read_options(options: bytes) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    settings: list[tuple[bytes, bytes]] = []
    others: list[bytes] = []
    words = iter(_split(options))
    for word in words:
        if word.startswith(b"--"):
            assignment = word[2:]
        elif word == b"-c":
            assignment = next(words, b"")
        elif word.startswith(b"-c"):
            assignment = word[2:]
        else:
            others.append(word)
            continue
        name, equals, value = assignment.partition(b"=")
        if not name or not equals:
            raise ProtocolViolation("startup options: a setting needs a name and a value")
        settings.append((name.replace(b"-", b"_"), value))
    return settings, others
