"""Messages from a client: parse and build (protocol, "Message Formats")."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import Buffer, Frontend
from pgnym.wire.reader import Reader, cstring, encode_values, framed

FLUSH = framed(Frontend.FLUSH, b"")
SYNC = framed(Frontend.SYNC, b"")
TERMINATE = framed(Frontend.TERMINATE, b"")
COPY_DONE = framed(Frontend.COPY_DONE, b"")

MAX_PARAMETERS = 0xFFFF
_uint16 = struct.Struct("!H").unpack_from
_int32 = struct.Struct("!i").unpack_from


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """A simple query: ``text`` may hold several statements. In the client's encoding, without the NUL."""

    text: bytes

    @classmethod
    def parse(cls, message: Buffer) -> Query:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("Query", Frontend.QUERY, message)
        text = reader.string()
        reader.done()
        return cls(text)

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.QUERY, cstring(self.text))


@dataclass(frozen=True, slots=True, repr=False)
class Parse:
    """Prepare ``text`` as ``name`` (b"": the unnamed statement); ``oids``: parameter types, 0 for "infer it"."""

    name: bytes
    text: bytes
    oids: tuple[int, ...] = ()

    @classmethod
    def parse(cls, message: Buffer) -> Parse:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("Parse", Frontend.PARSE, message)
        name = reader.string()
        text = reader.string()
        oids = reader.oids(reader.uint16())
        reader.done()
        return cls(name, text, oids)

    def build(self) -> bytes:
        """The message. Raises ``ValueError`` beyond 65535 types."""
        if len(self.oids) > MAX_PARAMETERS:
            raise ValueError("too many parameter types")
        body = cstring(self.name) + cstring(self.text)
        return framed(Frontend.PARSE, body + struct.pack(f"!H{len(self.oids)}I", len(self.oids), *self.oids))


@dataclass(frozen=True, slots=True, repr=False)
class Bind:
    """Bind ``values`` to ``statement``, making ``portal``.

    ``formats`` and ``result_formats`` are as sent: none (all text), one (for all), or one each. A single
    format code with no parameters at all is legal and is kept.
    """

    portal: bytes
    statement: bytes
    formats: tuple[int, ...]
    values: list[bytes | None]
    result_formats: tuple[int, ...]

    @classmethod
    def parse(cls, message: Buffer) -> Bind:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("Bind", Frontend.BIND, message)
        portal = reader.string()
        statement = reader.string()
        formats = reader.formats(reader.uint16())
        values = reader.values(reader.uint16())
        if len(formats) > 1 and len(formats) != len(values):
            # exec_bind_message() words it so.
            raise reader.error(f"{len(formats)} parameter formats but {len(values)} parameters")
        result_formats = reader.formats(reader.uint16())
        reader.done()
        return cls(portal, statement, formats, values, result_formats)

    def format_of(self, index: int) -> int:
        """The format code of parameter ``index`` (0-based)."""
        formats = self.formats
        if not formats:
            return 0
        return formats[0] if len(formats) == 1 else formats[index]

    def build(self) -> bytes:
        """The message. Raises ``ValueError`` beyond 65535 parameters."""
        formats, values, results = self.formats, self.values, self.result_formats
        if max(len(formats), len(values), len(results)) > MAX_PARAMETERS:
            raise ValueError("too many parameters")
        return framed(
            Frontend.BIND,
            b"".join(
                (
                    cstring(self.portal),
                    cstring(self.statement),
                    struct.pack(f"!H{len(formats)}hH", len(formats), *formats, len(values)),
                    encode_values(values),
                    struct.pack(f"!H{len(results)}h", len(results), *results),
                )
            ),
        )


def bind_result_formats(message: bytes, start: int) -> tuple[int, ...]:
    """The result-format codes of a Bind, without taking its values apart; ``start``: past the two names.

    Raises ``ProtocolViolation`` for a message that is too short for what it announces.
    """
    try:
        (count,) = _uint16(message, start)
        pos = start + 2 + 2 * count
        (count,) = _uint16(message, pos)
        pos += 2
        for _ in range(count):
            (size,) = _int32(message, pos)
            pos += 4 + max(size, 0)
        (count,) = _uint16(message, pos)
        return struct.unpack_from(f"!{count}h", message, pos + 2)
    except struct.error:
        raise ProtocolViolation("malformed Bind message: message too short") from None


@dataclass(frozen=True, slots=True)
class Describe:
    """``kind`` is b"S" (statement) or b"P" (portal)."""

    kind: bytes
    name: bytes

    @classmethod
    def parse(cls, message: Buffer) -> Describe:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        return cls(*_target(Reader("Describe", Frontend.DESCRIBE, message)))

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.DESCRIBE, self.kind + cstring(self.name))


@dataclass(frozen=True, slots=True)
class Close:
    """``kind`` is b"S" (statement) or b"P" (portal)."""

    kind: bytes
    name: bytes

    @classmethod
    def parse(cls, message: Buffer) -> Close:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        return cls(*_target(Reader("Close", Frontend.CLOSE, message)))

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.CLOSE, self.kind + cstring(self.name))


@dataclass(frozen=True, slots=True)
class Execute:
    """Run ``portal`` for at most ``max_rows`` rows; 0 or less: all."""

    portal: bytes
    max_rows: int = 0

    @classmethod
    def parse(cls, message: Buffer) -> Execute:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("Execute", Frontend.EXECUTE, message)
        portal = reader.string()
        max_rows = reader.int32()
        reader.done()
        return cls(portal, max_rows)

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.EXECUTE, cstring(self.portal) + struct.pack("!i", self.max_rows))


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The deprecated fast path: only its function OID is of interest (may it be let through?)."""

    oid: int
    formats: tuple[int, ...]
    values: list[bytes | None]
    result_format: int

    @classmethod
    def parse(cls, message: Buffer) -> FunctionCall:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("FunctionCall", Frontend.FUNCTION_CALL, message)
        oid = reader.uint32()
        formats = reader.formats(reader.int16())
        values = reader.values(reader.int16())
        (result,) = reader.formats(1)
        reader.done()
        return cls(oid, formats, values, result)

    def __repr__(self) -> str:
        return f"FunctionCall(oid={self.oid})"


@dataclass(frozen=True, slots=True)
class CopyFail:
    """The client gives up a COPY FROM STDIN, saying why."""

    reason: bytes

    @classmethod
    def parse(cls, message: Buffer) -> CopyFail:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("CopyFail", Frontend.COPY_FAIL, message)
        reason = reader.string()
        reader.done()
        return cls(reason)

    def build(self) -> bytes:
        """The message."""
        return framed(Frontend.COPY_FAIL, cstring(self.reason))


def copy_data(data: bytes) -> bytes:
    """A CopyData message, either direction."""
    return framed(Frontend.COPY_DATA, data)


def _target(reader: Reader) -> tuple[bytes, bytes]:
    kind = reader.take(1)
    if kind not in (b"S", b"P"):
        raise reader.error("neither a statement nor a portal")
    name = reader.string()
    reader.done()
    return kind, name


__all__ = [
    "COPY_DONE",
    "FLUSH",
    "SYNC",
    "TERMINATE",
    "Bind",
    "Close",
    "CopyFail",
    "Describe",
    "Execute",
    "FunctionCall",
    "Parse",
    "Query",
    "copy_data",
]
