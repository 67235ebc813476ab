"""Tokens as fields of records (row values): record_out's text and record_send's binary."""

from __future__ import annotations

import re
import struct

from pgnym.wire.codecs import array_oid
from pgnym.wire.containers import arrays
from pgnym.wire.containers.reveal import Context, IsNull, Wrap
from pgnym.wire.errors import CodecError

_FIELD = re.compile(rb'"([^"\\]*(?:(?:""|\\.)[^"\\]*)*)"|([^(),"\\]*)', re.DOTALL)
_NEEDS_QUOTES = re.compile(rb'[(),"\\ \t\n\r\v\f]')
_UNESCAPE = re.compile(rb'"(")|\\(.)', re.DOTALL)
_ESCAPE = re.compile(rb'(["\\])')
_field = struct.Struct("!Ii")


def replace(value: bytes, rest: tuple[Wrap, ...], context: Context) -> bytes:
    """``value`` (record text) with its fields replaced where they hold tokens; all else byte for byte.

    Raises ``CodecError`` 22P02 if it isn't a record.
    """
    end = len(value) - 1
    if end < 1 or value[:1] != b"(" or value[end:] != b")":
        raise _malformed()
    parts = [b"("]
    search = context.pattern.search
    pos = 1
    while True:
        found = _FIELD.match(value, pos, end)
        if found is None:
            raise _malformed()
        text = found.group()
        pos = found.end()
        if search(text):
            quoted = found.group(1)
            field = text if quoted is None else _UNESCAPE.sub(_one, quoted)
            try:
                new = context.inside(field, 0, rest, context, 0)
                text = text if new == field else quote(new)
            except IsNull:
                text = b""
        parts.append(text)
        if pos == end:
            break
        if value[pos : pos + 1] != b",":
            raise _malformed()
        parts.append(b",")
        pos += 1
    parts.append(b")")
    return b"".join(parts)


def quote(field: bytes) -> bytes:
    """A field that isn't NULL as record_out prints it."""
    if field and not _NEEDS_QUOTES.search(field):
        return field
    return b'"' + _ESCAPE.sub(rb"\1\1", field) + b'"'


def replace_binary(value: bytes, rest: tuple[Wrap, ...], context: Context) -> bytes:
    """``value`` (record_send) with its fields replaced, and their types with them.

    Raises ``CodecError`` 22P03.
    """
    if len(value) < 4:
        raise _malformed_binary()
    count = int.from_bytes(value[:4], "big")
    parts = [value[:4]]
    pos = 4
    search = context.pattern.search
    for _ in range(count):
        if pos + 8 > len(value):
            raise _malformed_binary()
        oid, length = _field.unpack_from(value, pos)
        pos += 8
        if length == -1:
            parts.append(_field.pack(oid, -1))
            continue
        if length < 0 or pos + length > len(value):
            raise _malformed_binary()
        field = value[pos : pos + length]
        pos += length
        if search(field):
            if not rest:
                try:
                    revealed = context.whole(field)
                except IsNull as null:
                    parts.append(_field.pack(null.oid, -1))
                    continue
                if revealed is not None:
                    oid, field = revealed.oid, context.form(revealed, 1)
            else:
                # What type an array of tokens has for the client isn't known here: its elements will tell.
                nested = rest[0] is Wrap.ARRAY
                field = context.inside(field, 1, rest, context, 0 if nested else oid)
                if nested:
                    oid = array_oid(arrays.element_type(field)) or oid
        parts.append(_field.pack(oid, len(field)))
        parts.append(field)
    if pos != len(value):
        raise _malformed_binary()
    return b"".join(parts)


def _one(found: re.Match[bytes]) -> bytes:
    return found.group(1) or found.group(2)


def _malformed() -> CodecError:
    return CodecError("22P02", "malformed record literal")


def _malformed_binary() -> CodecError:
    return CodecError("22P03", "invalid binary format for a record")
