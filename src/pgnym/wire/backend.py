"""Messages from a server: parse and build (protocol, "Message Formats")."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pgnym.wire.frames import Backend, Buffer
from pgnym.wire.reader import Reader, cstring, encode_values, framed

PARSE_COMPLETE = framed(Backend.PARSE_COMPLETE, b"")
BIND_COMPLETE = framed(Backend.BIND_COMPLETE, b"")
CLOSE_COMPLETE = framed(Backend.CLOSE_COMPLETE, b"")
NO_DATA = framed(Backend.NO_DATA, b"")
PORTAL_SUSPENDED = framed(Backend.PORTAL_SUSPENDED, b"")
EMPTY_QUERY_RESPONSE = framed(Backend.EMPTY_QUERY_RESPONSE, b"")

_field = struct.Struct("!IhIhih")


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a result. ``table_oid`` and ``column`` are 0 unless it is a plain column of a table or
    view.

    ``type_size`` is ``pg_type.typlen`` (negative: variable), ``typmod`` ``pg_attribute.atttypmod`` (-1:
    none), ``format`` 0 for text and 1 for binary (0 where it is not yet known: Describe of a statement).
    """

    name: bytes
    table_oid: int
    column: int
    type_oid: int
    type_size: int
    typmod: int
    format: int


@dataclass(frozen=True, slots=True)
class RowDescription:
    """The columns of the rows that follow."""

    fields: tuple[Field, ...]

    @classmethod
    def parse(cls, message: Buffer) -> RowDescription:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("RowDescription", Backend.ROW_DESCRIPTION, message)
        count = reader.uint16()
        fields: list[Field] = []
        data, pos = reader.data, reader.pos
        find, unpack, size = data.find, _field.unpack_from, _field.size
        try:
            for _ in range(count):
                stop = find(0, pos)
                if stop < 0:
                    raise reader.error("string without end")
                fields.append(Field(data[pos:stop], *unpack(data, stop + 1)))
                pos = stop + 1 + size
        except struct.error:
            raise reader.error("message too short") from None
        reader.pos = pos
        reader.done()
        return cls(tuple(fields))

    def build(self) -> bytes:
        """The message."""
        parts = [struct.pack("!H", len(self.fields))]
        for f in self.fields:
            parts.append(cstring(f.name))
            parts.append(_field.pack(f.table_oid, f.column, f.type_oid, f.type_size, f.typmod, f.format))
        return framed(Backend.ROW_DESCRIPTION, b"".join(parts))


@dataclass(frozen=True, slots=True)
class ParameterDescription:
    """The types of a prepared statement's parameters."""

    oids: tuple[int, ...]

    @classmethod
    def parse(cls, message: Buffer) -> ParameterDescription:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("ParameterDescription", Backend.PARAMETER_DESCRIPTION, message)
        oids = reader.oids(reader.uint16())
        reader.done()
        return cls(oids)

    def build(self) -> bytes:
        """The message."""
        body = struct.pack(f"!H{len(self.oids)}I", len(self.oids), *self.oids)
        return framed(Backend.PARAMETER_DESCRIPTION, body)


def parse_data_row(message: Buffer) -> list[bytes | None]:
    """The values of a DataRow, header included.

    Raises ``ProtocolViolation``. (Whole chunks: see ``datarow``.)
    """
    reader = Reader("DataRow", Backend.DATA_ROW, message)
    values = reader.values(reader.uint16())
    reader.done()
    return values


def build_data_row(values: list[bytes | None]) -> bytes:
    """A DataRow of ``values``."""
    return framed(Backend.DATA_ROW, len(values).to_bytes(2, "big") + encode_values(values))


@dataclass(frozen=True, slots=True)
class CommandComplete:
    """``tag`` such as b"INSERT 0 1"."""

    tag: bytes

    @classmethod
    def parse(cls, message: Buffer) -> CommandComplete:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("CommandComplete", Backend.COMMAND_COMPLETE, message)
        tag = reader.string()
        reader.done()
        return cls(tag)

    def build(self) -> bytes:
        """The message."""
        return framed(Backend.COMMAND_COMPLETE, cstring(self.tag))


@dataclass(frozen=True, slots=True)
class ReadyForQuery:
    """``status`` is b"I" (idle), b"T" (in a transaction) or b"E" (in a failed one)."""

    status: bytes

    @classmethod
    def parse(cls, message: Buffer) -> ReadyForQuery:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("ReadyForQuery", Backend.READY_FOR_QUERY, message)
        status = reader.take(1)
        reader.done()
        if status not in (b"I", b"T", b"E"):
            raise reader.error("unknown transaction status")
        return cls(status)

    def build(self) -> bytes:
        """The message."""
        return framed(Backend.READY_FOR_QUERY, self.status)


@dataclass(frozen=True, slots=True)
class ParameterStatus:
    """A setting that the server reports, at start or when it changes."""

    name: bytes
    value: bytes

    @classmethod
    def parse(cls, message: Buffer) -> ParameterStatus:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("ParameterStatus", Backend.PARAMETER_STATUS, message)
        name = reader.string()
        value = reader.string()
        reader.done()
        return cls(name, value)

    def build(self) -> bytes:
        """The message."""
        return framed(Backend.PARAMETER_STATUS, cstring(self.name) + cstring(self.value))


@dataclass(frozen=True, slots=True)
class CopyResponse:
    """CopyInResponse, CopyOutResponse or CopyBothResponse, as ``kind`` (the type byte) says.

    ``format``: 0 text (also csv), 1 binary; ``formats``: per column.
    """

    kind: int
    format: int
    formats: tuple[int, ...]

    @classmethod
    def parse(cls, message: Buffer) -> CopyResponse:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        kind = message[0] if len(message) else 0
        name = _COPY_NAMES.get(kind)
        if name is None:
            raise Reader("CopyResponse", Backend.COPY_IN_RESPONSE, message).error("wrong message type")
        reader = Reader(name, kind, message)
        code = reader.byte()
        if code not in (0, 1):
            raise reader.error("unknown format code")
        formats = reader.formats(reader.uint16())
        reader.done()
        return cls(kind, code, formats)

    def build(self) -> bytes:
        """The message."""
        count = len(self.formats)
        return framed(self.kind, struct.pack(f"!BH{count}h", self.format, count, *self.formats))


_COPY_NAMES = {
    Backend.COPY_IN_RESPONSE: "CopyInResponse",
    Backend.COPY_OUT_RESPONSE: "CopyOutResponse",
    Backend.COPY_BOTH_RESPONSE: "CopyBothResponse",
}


@dataclass(frozen=True, slots=True, repr=False)
class NotificationResponse:
    """A NOTIFY reached this session: from backend ``pid``, on ``channel``."""

    pid: int
    channel: bytes
    payload: bytes

    @classmethod
    def parse(cls, message: Buffer) -> NotificationResponse:
        """Read a whole message, header included. Raises ``ProtocolViolation``."""
        reader = Reader("NotificationResponse", Backend.NOTIFICATION_RESPONSE, message)
        pid = reader.int32()
        channel = reader.string()
        payload = reader.string()
        reader.done()
        return cls(pid, channel, payload)

    def build(self) -> bytes:
        """The message."""
        body = struct.pack("!i", self.pid) + cstring(self.channel) + cstring(self.payload)
        return framed(Backend.NOTIFICATION_RESPONSE, body)
