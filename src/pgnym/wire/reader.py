"""A cursor over one message: every read is bounds-checked and fails with the name of the message."""

from __future__ import annotations

import struct

from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import HEADER, Buffer

_int16 = struct.Struct("!h").unpack_from
_uint16 = struct.Struct("!H").unpack_from
_int32 = struct.Struct("!i").unpack_from
_uint32 = struct.Struct("!I").unpack_from
_pack_header = struct.Struct("!BI").pack


class Reader:
    """Reads the body of ``message``, whose type byte must be ``kind`` and whose length word must match.

    All methods raise ``ProtocolViolation`` naming ``name`` when the message is too short for what is asked.
    """

    __slots__ = ("data", "end", "name", "pos")

    def __init__(self, name: str, kind: int, message: Buffer) -> None:
        data = message if type(message) is bytes else bytes(message)
        self.name = name
        self.data = data
        self.end = len(data)
        self.pos = HEADER
        if self.end < HEADER or data[0] != kind:
            raise self.error("wrong message type")
        if _uint32(data, 1)[0] + 1 != self.end:
            raise self.error("wrong length")

    def error(self, problem: str) -> ProtocolViolation:
        """The violation to raise for ``problem``."""
        return ProtocolViolation(f"malformed {self.name} message: {problem}")

    def byte(self) -> int:
        """The next byte."""
        if self.pos >= self.end:
            raise self.error("message too short")
        self.pos += 1
        return self.data[self.pos - 1]

    def int16(self) -> int:
        """A signed 16-bit integer."""
        pos = self.pos
        if pos + 2 > self.end:
            raise self.error("message too short")
        self.pos = pos + 2
        return int(_int16(self.data, pos)[0])

    def uint16(self) -> int:
        """An unsigned 16-bit integer (parameter counts are read so since PostgreSQL 14)."""
        pos = self.pos
        if pos + 2 > self.end:
            raise self.error("message too short")
        self.pos = pos + 2
        return int(_uint16(self.data, pos)[0])

    def int32(self) -> int:
        """A signed 32-bit integer."""
        pos = self.pos
        if pos + 4 > self.end:
            raise self.error("message too short")
        self.pos = pos + 4
        return int(_int32(self.data, pos)[0])

    def uint32(self) -> int:
        """An unsigned 32-bit integer: OIDs."""
        pos = self.pos
        if pos + 4 > self.end:
            raise self.error("message too short")
        self.pos = pos + 4
        return int(_uint32(self.data, pos)[0])

    def string(self) -> bytes:
        """Bytes up to a NUL, which is taken too."""
        stop = self.data.find(b"\0", self.pos)
        if stop < 0:
            raise self.error("string without end")
        value = self.data[self.pos : stop]
        self.pos = stop + 1
        return value

    def take(self, length: int) -> bytes:
        """``length`` bytes."""
        stop = self.pos + length
        if length < 0 or stop > self.end:
            raise self.error("message too short")
        value = self.data[self.pos : stop]
        self.pos = stop
        return value

    def value(self) -> bytes | None:
        """A value with a 32-bit length before it; None for length -1."""
        length = self.int32()
        if length == -1:
            return None
        if length < 0:
            raise self.error("negative value length")
        return self.take(length)

    def values(self, count: int) -> list[bytes | None]:
        """``count`` values. The count is checked against the bytes left before anything is built."""
        if count < 0 or count * 4 > self.end - self.pos:
            raise self.error("value count beyond message")
        data, pos, end = self.data, self.pos, self.end
        out: list[bytes | None] = []
        add = out.append
        unpack = _int32
        for _ in range(count):
            if pos + 4 > end:
                raise self.error("message too short")
            (length,) = unpack(data, pos)
            pos += 4
            if length >= 0:
                stop = pos + length
                if stop > end:
                    raise self.error("message too short")
                add(data[pos:stop])
                pos = stop
            elif length == -1:
                add(None)
            else:
                raise self.error("negative value length")
        self.pos = pos
        return out

    def formats(self, count: int) -> tuple[int, ...]:
        """``count`` format codes, each 0 (text) or 1 (binary)."""
        if count < 0 or count * 2 > self.end - self.pos:
            raise self.error("format count beyond message")
        codes = struct.unpack_from(f"!{count}h", self.data, self.pos)
        self.pos += 2 * count
        for code in codes:
            if code not in (0, 1):
                raise self.error("unknown format code")
        return codes

    def oids(self, count: int) -> tuple[int, ...]:
        """``count`` OIDs."""
        if count < 0 or count * 4 > self.end - self.pos:
            raise self.error("type count beyond message")
        found: tuple[int, ...] = struct.unpack_from(f"!{count}I", self.data, self.pos)
        self.pos += 4 * count
        return found

    def rest(self) -> bytes:
        """Whatever is left."""
        value = self.data[self.pos :]
        self.pos = self.end
        return value

    def done(self) -> None:
        """Raise unless the whole message was read."""
        if self.pos != self.end:
            raise self.error("bytes after its end")


def framed(kind: int, body: bytes) -> bytes:
    """``body`` with its type byte and length before it."""
    return _pack_header(kind, len(body) + 4) + body


def encode_values(values: list[bytes | None] | tuple[bytes | None, ...]) -> bytes:
    """Values, each with a 32-bit length before it; None as length -1."""
    parts: list[bytes] = []
    add = parts.append
    for value in values:
        if value is None:
            add(b"\xff\xff\xff\xff")
        else:
            add(len(value).to_bytes(4, "big"))
            add(value)
    return b"".join(parts)


def cstring(value: bytes) -> bytes:
    """``value`` and the NUL that ends it.

    Raises ``ValueError`` if a NUL is in it: the rest would become a new field.
    """
    if b"\0" in value:
        raise ValueError("NUL in a protocol string")
    return value + b"\0"
