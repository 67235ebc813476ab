"""COPY in csv format (CopyReadAttributesCSV, CopyAttributeOutCSV): quotes may open and close anywhere in a
field.
"""

from __future__ import annotations

import re

from pgnym.wire.copy.base import MAX_ROW, CopyOptions, Marker, Value, bad_format
from pgnym.wire.copy.lines import LineCodec


class CsvCodec(LineCodec):
    """CSV format. Line breaks and delimiters within quotes are data."""

    def __init__(self, options: CopyOptions, max_row: int = MAX_ROW) -> None:
        super().__init__(options, max_row)
        quote, escape, delimiter = map(re.escape, (options.quote, options.escape, options.delimiter))
        if options.quote == options.escape:
            inside = rb"(?:[^" + quote + rb"]++|" + quote + quote + rb")*+"
            unescape = quote + rb"(" + quote + rb")"
        else:
            both = rb"[" + quote + escape + rb"]"
            inside = rb"(?:[^" + quote + escape + rb"]++|" + escape + both + rb"|" + escape + rb")*+"
            unescape = escape + rb"(" + both + rb")"
        quoted = quote + rb"(" + inside + rb")" + quote
        plain = rb"[^" + delimiter + quote + rb"]++"
        self._quoted = re.compile(quoted, re.DOTALL)
        self._field = re.compile(rb"(?:" + plain + rb"|" + quoted + rb")*+", re.DOTALL)
        self._escaped = re.compile(unescape)
        self._marks = re.compile(rb"[" + quote + escape + rb"]")
        self._special = re.compile(rb"[\r\n" + quote + delimiter + rb"]")
        self._same = options.quote == options.escape
        self._in_quotes = False

    def fields(self, row: bytes) -> list[bytes]:
        """The raw fields, quotes included."""
        line = self.content(row)
        delimiter = self.options.delimiter
        if self.options.quote not in line:
            fields = line.split(delimiter)
        else:
            fields = []
            pos = 0
            while True:
                found = self._field.match(line, pos)
                stop = found.end() if found else pos
                fields.append(line[pos:stop])
                if stop == len(line):
                    break
                if line[stop : stop + 1] != delimiter:
                    raise bad_format("unterminated CSV quoted field")
                pos = stop + 1
        if len(fields) != self.options.columns:
            raise self.count_error(len(fields))
        return fields

    def decode(self, raw: bytes, column: int) -> Value:
        """NULL and DEFAULT markers count unquoted only, unless FORCE_NULL or FORCE_NOT_NULL say otherwise."""
        options = self.options
        if options.quote not in raw:
            if raw == options.null:
                return raw if column in options.force_not_null else None
            return Marker.DEFAULT if raw == options.default else raw
        value = self._quoted.sub(self._unquote, raw)
        return None if column in options.force_null and value == options.null else value

    def encode(self, value: bytes | None, raw: bytes) -> bytes:
        """Quoted where COPY TO would, and where ``raw`` was (FORCE_QUOTE)."""
        options = self.options
        if value is None:
            return options.null
        if (
            raw[:1] == options.quote
            or value in (options.null, options.default)
            or self._special.search(value)
            or (value == b"\\." and options.columns == 1)
        ):
            return options.quote + self._marks.sub(self._mark, value) + options.quote
        return value

    def _ends(self, buffer: bytearray, start: int, stop: int) -> bool:
        if self._same:
            # Two quotes for one change nothing about what is open.
            if buffer.count(self.options.quote, start, stop) % 2:
                self._in_quotes = not self._in_quotes
            return not self._in_quotes
        quote = self.options.quote[0]
        skip = -1
        for found in self._marks.finditer(buffer, start, stop):
            at = found.start()
            if at == skip:
                continue
            if buffer[at] == quote:
                self._in_quotes = not self._in_quotes
            elif self._in_quotes:
                skip = at + 1
        return not self._in_quotes

    def _is_break(self, row: bytes, stop: int) -> bool:
        return True

    def _unquote(self, found: re.Match[bytes]) -> bytes:
        return self._escaped.sub(rb"\1", found.group(1))

    def _mark(self, found: re.Match[bytes]) -> bytes:
        return self.options.escape + found.group()
