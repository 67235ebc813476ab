"""ErrorResponse and NoticeResponse: one-byte field codes with a string each (protocol, "Error and Notice
Message Fields").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.frames import Backend, Buffer
from pgnym.wire.reader import Reader, cstring, framed

SEVERITY: Final = "S"
SEVERITY_UNLOCALIZED: Final = "V"
SQLSTATE: Final = "C"
MESSAGE: Final = "M"
DETAIL: Final = "D"
HINT: Final = "H"
POSITION: Final = "P"
INTERNAL_POSITION: Final = "p"
INTERNAL_QUERY: Final = "q"
WHERE: Final = "W"
SCHEMA: Final = "s"
TABLE: Final = "t"
COLUMN: Final = "c"
DATA_TYPE: Final = "d"
CONSTRAINT: Final = "n"

Report = dict[str, bytes]
"""Field code → value, in the order sent. The order is kept when rebuilt, and unknown codes too."""


def parse_report(message: Buffer) -> Report:
    """The fields of an ErrorResponse or NoticeResponse, header included. Raises ``ProtocolViolation``."""
    kind = message[0] if len(message) else 0
    if kind == Backend.ERROR_RESPONSE:
        name = "ErrorResponse"
    elif kind == Backend.NOTICE_RESPONSE:
        name = "NoticeResponse"
    else:
        raise ProtocolViolation("malformed ErrorResponse message: wrong message type")
    reader = Reader(name, kind, message)
    fields: Report = {}
    while True:
        code = reader.byte()
        if not code:
            break
        fields[chr(code)] = reader.string()
    reader.done()
    return fields


def build_report(fields: Mapping[str, bytes], *, notice: bool = False) -> bytes:
    """An ErrorResponse (or NoticeResponse) of ``fields``. Raises ``ValueError`` for a NUL in a value."""
    body = b"".join(code.encode("latin-1") + cstring(value) for code, value in fields.items())
    return framed(Backend.NOTICE_RESPONSE if notice else Backend.ERROR_RESPONSE, body + b"\0")


def error_response(
    severity: str,
    sqlstate: str,
    message: str,
    *,
    detail: str = "",
    hint: str = "",
    position: int | None = None,
    where: str = "",
    schema: str = "",
    table: str = "",
    column: str = "",
) -> bytes:
    """An ErrorResponse of our own, in UTF-8.

    ``severity``: ERROR, FATAL or PANIC. ``position``: 1-based, in characters, into the client's text.
    """
    return build_report(
        _fields(severity, sqlstate, message, detail, hint, position, where, schema, table, column)
    )


def notice_response(severity: str, sqlstate: str, message: str, *, detail: str = "", hint: str = "") -> bytes:
    """A NoticeResponse of our own. ``severity``: WARNING, NOTICE, INFO, LOG or DEBUG."""
    return build_report(_fields(severity, sqlstate, message, detail, hint), notice=True)


def _fields(
    severity: str,
    sqlstate: str,
    message: str,
    detail: str = "",
    hint: str = "",
    position: int | None = None,
    where: str = "",
    schema: str = "",
    table: str = "",
    column: str = "",
) -> Report:
    texts = {
        SEVERITY: severity,
        SEVERITY_UNLOCALIZED: severity,
        SQLSTATE: sqlstate,
        MESSAGE: message,
        DETAIL: detail,
        HINT: hint,
        POSITION: "" if position is None else str(position),
        WHERE: where,
        SCHEMA: schema,
        TABLE: table,
        COLUMN: column,
    }
    return {code: text.encode() for code, text in texts.items() if text or code == MESSAGE}
