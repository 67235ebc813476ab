"""Tokens as elements of arrays: array_out's text (any dimensions, bounds, quoting) and array_send's binary."""

from __future__ import annotations

import re
import struct

from pgnym.wire.codecs import element_oid
from pgnym.wire.containers.reveal import Context, IsNull, Wrap
from pgnym.wire.errors import CodecError

_BOUNDS = re.compile(rb"(?:\[[+-]?[0-9]+:[+-]?[0-9]+\])+=")
_PIECE = re.compile(rb'([{},])|"([^"\\]*(?:\\.[^"\\]*)*)"|([^{},"\\]+)', re.DOTALL)
_NEEDS_QUOTES = re.compile(rb'[{},"\\ \t\n\r\v\f]')
_UNESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPE = re.compile(rb'(["\\])')
_NULL = b"NULL"
MAX_DIMENSIONS = 6
"""MAXDIM."""
_head = struct.Struct("!iiI")


def replace(value: bytes, rest: tuple[Wrap, ...], context: Context, oid: int) -> bytes:
    """``value`` (array text) with its elements replaced where they hold tokens; all else byte for byte.

    ``oid``: type of the elements, 0 if unknown. Raises ``CodecError`` 22P02 if it isn't an array.
    """
    if (
        value[:1] == b"{"
        and value[-1:] == b"}"
        and b'"' not in value
        and value.count(b"{") == value.count(b"}") == 1
    ):
        return b"{" + b",".join([_plain(e, rest, context, oid) for e in value[1:-1].split(b",")]) + b"}"
    bounds = _BOUNDS.match(value)
    pos = bounds.end() if bounds else 0
    parts = [value[:pos]]
    search = context.pattern.search
    depth = 0
    end = len(value)
    while pos < end:
        found = _PIECE.match(value, pos)
        if found is None or (depth == 0 and pos != (bounds.end() if bounds else 0)):
            raise _malformed()
        pos = found.end()
        if found.group(1) is not None:
            depth += {b"{": 1, b"}": -1, b",": 0}[found.group(1)]
            if depth > MAX_DIMENSIONS or depth < 0:
                raise _malformed()
        elif depth == 0:
            raise _malformed()
        elif search(found.group()):
            quoted = found.group(2)
            element = found.group(3) if quoted is None else _UNESCAPE.sub(rb"\1", quoted)
            new = _element(element, rest, context, oid)
            parts.append(found.group() if new == element else _NULL if new is None else quote(new))
            continue
        parts.append(found.group())
    if depth or end == 0:
        raise _malformed()
    return b"".join(parts)


def _plain(element: bytes, rest: tuple[Wrap, ...], context: Context, oid: int) -> bytes:
    """An unquoted element of the usual array: one dimension, nothing quoted."""
    if not context.pattern.search(element):
        return element
    new = _element(element, rest, context, oid)
    return element if new == element else _NULL if new is None else quote(new)


def _element(element: bytes, rest: tuple[Wrap, ...], context: Context, oid: int) -> bytes | None:
    try:
        return context.inside(element, 0, rest, context, oid)
    except IsNull:
        return None


def quote(element: bytes) -> bytes:
    """An element as array_out prints it."""
    if element and not _NEEDS_QUOTES.search(element) and element.upper() != b"NULL":
        return element
    return b'"' + _ESCAPE.sub(rb"\\\1", element) + b'"'


def replace_binary(value: bytes, rest: tuple[Wrap, ...], context: Context, shown_oid: int) -> bytes:
    """``value`` (array_send) with its elements replaced, and its element type with them.

    ``shown_oid``: the array type that the client was told, 0 if it is the server's own. Its element type is
    written also when the array is empty. Raises ``CodecError`` 22P03 if it is malformed, and 0A000 if tokens
    stay among typed values: those have no binary form.
    """
    if len(value) < _head.size:
        raise _malformed_binary()
    dimensions, flags, oid = _head.unpack_from(value)
    pos = _head.size + 8 * dimensions
    if not 0 <= dimensions <= MAX_DIMENSIONS or flags not in (0, 1) or pos > len(value):
        raise _malformed_binary()
    target = element_oid(shown_oid) or oid
    parts: list[bytes] = []
    left = False
    while pos < len(value):
        if pos + 4 > len(value):
            raise _malformed_binary()
        length = int.from_bytes(value[pos : pos + 4], "big", signed=True)
        pos += 4
        if length == -1:
            parts.append(b"\xff\xff\xff\xff")
            continue
        if length < 0 or pos + length > len(value):
            raise _malformed_binary()
        element = value[pos : pos + length]
        pos += length
        if not rest:
            try:
                revealed = context.whole(element)
            except IsNull:
                parts.append(b"\xff\xff\xff\xff")
                continue
            if revealed is None:
                left = True
            else:
                if not element_oid(shown_oid):
                    target = revealed.oid
                element = context.form(revealed, 1)
        elif context.pattern.search(element):
            element = context.inside(element, 1, rest, context, oid)
        parts.append(len(element).to_bytes(4, "big") + element)
    if left and target != oid and not rest:
        raise CodecError(
            "0A000",
            "an array of protected values can't be shown in binary format, as not all of them may be revealed",
            "Ask for it in text format.",
        )
    return (
        _head.pack(dimensions, flags, target)
        + value[_head.size : _head.size + 8 * dimensions]
        + b"".join(parts)
    )


def element_type(value: bytes) -> int:
    """The element type that an array in binary format names."""
    return int(_head.unpack_from(value)[2])


def _malformed() -> CodecError:
    return CodecError("22P02", "malformed array literal")


def _malformed_binary() -> CodecError:
    return CodecError("22P03", "invalid binary format for an array")
