"""COPY in text format: tab-separated, backslash escapes (CopyReadAttributesText, CopyAttributeOutText)."""

from __future__ import annotations

import re

from pgnym.wire.copy.base import MAX_ROW, CopyOptions, Marker, Value, bad_format
from pgnym.wire.copy.lines import LineCodec

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)?", re.DOTALL)
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NAMES = {value: b"\\" + letter for letter, value in _LETTERS.items()}


class TextCodec(LineCodec):
    """Text format. A backslash takes away the meaning of a line break or delimiter after it."""

    def __init__(self, options: CopyOptions, max_row: int = MAX_ROW) -> None:
        super().__init__(options, max_row)
        self._special = re.compile(rb"[\\\b\f\n\r\t\v" + re.escape(options.delimiter) + rb"]")

    def fields(self, row: bytes) -> list[bytes]:
        """The raw fields."""
        line = self.content(row)
        delimiter = self.options.delimiter
        fields = line.split(delimiter)
        if b"\\" in line:
            fields = self._merge(fields)
        if len(fields) != self.options.columns:
            raise self.count_error(len(fields))
        return fields

    def decode(self, raw: bytes, column: int) -> Value:
        """Markers are compared before escapes are undone, as the server does."""
        if raw == self.options.null:
            return None
        if raw == self.options.default:
            return Marker.DEFAULT
        return _ESCAPE.sub(_unescape, raw) if b"\\" in raw else raw

    def encode(self, value: bytes | None, raw: bytes) -> bytes:
        """Escaped as COPY TO does."""
        if value is None:
            return self.options.null
        return self._special.sub(_escape, value)

    def _ends(self, buffer: bytearray, start: int, stop: int) -> bool:
        return not _escaped(buffer, stop)

    def _is_break(self, row: bytes, stop: int) -> bool:
        return not _escaped(row, stop)

    def _merge(self, pieces: list[bytes]) -> list[bytes]:
        """Put pieces together again that an escaped delimiter is in."""
        fields: list[bytes] = []
        held: list[bytes] = []
        for piece in pieces:
            held.append(piece)
            if not _escaped(piece, len(piece)):
                fields.append(self.options.delimiter.join(held) if len(held) > 1 else piece)
                held = []
        if held:
            fields.append(self.options.delimiter.join(held))
        if any(b"\\." in field and _has_marker(field) for field in fields):
            raise bad_format("end-of-copy marker is not alone on its line")
        return fields


def _escaped(data: bytes | bytearray, stop: int) -> bool:
    """Whether an odd number of backslashes stands before ``stop``."""
    at = stop
    while at > 0 and data[at - 1] == 0x5C:
        at -= 1
    return (stop - at) % 2 == 1


def _has_marker(field: bytes) -> bool:
    return any(found.group() == b"\\." for found in _ESCAPE.finditer(field))


def _unescape(found: re.Match[bytes]) -> bytes:
    what = found.group(1)
    if what is None:
        return b"\\"
    letter = _LETTERS.get(what)
    if letter is not None:
        return letter
    if what[:1] == b"x" and len(what) > 1:
        return bytes((int(what[1:], 16),))
    return bytes((int(what, 8) & 0xFF,)) if what[:1].isdigit() and what[0] < 0x38 else what


def _escape(found: re.Match[bytes]) -> bytes:
    char = found.group()
    return _NAMES.get(char) or b"\\" + char
