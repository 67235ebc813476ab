"""COPY in binary format: a signature and header, rows of counted fields, a trailer (COPY, "Binary Format")."""

from __future__ import annotations

import struct
from typing import Final

from pgnym.wire.copy.base import MAX_ROW, Batch, CopyCodec, CopyOptions, Value, bad_format
from pgnym.wire.errors import CodecError

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
TRAILER: Final = b"\xff\xff"
_CRITICAL = 0xFFFF0000
"""Flag bits that a reader must know: the only one ever defined (16, OIDs) is gone since PostgreSQL 12."""
_int16 = struct.Struct("!h").unpack_from
_int32 = struct.Struct("!i").unpack_from
_words = struct.Struct("!II").unpack_from


class BinaryCodec(CopyCodec):
    """Binary format. A raw field is its value with the length word before it."""

    def __init__(self, options: CopyOptions, max_row: int = MAX_ROW) -> None:
        super().__init__(options, max_row)
        self._buffer = bytearray()
        self._started = False
        self._ended = False

    def feed(self, data: bytes) -> Batch:
        """Take the next bytes of the stream."""
        if self._ended:
            if data:
                raise bad_format("received copy data after EOF marker")
            return Batch(b"", [], b"")
        buffer = self._buffer
        buffer += data
        head = tail = b""
        begin = 0
        if not self._started:
            begin = self._header(buffer)
            if begin == 0:
                return Batch(b"", [], b"")
            head = bytes(buffer[:begin])
            self._started = True
        rows: list[bytes] = []
        while True:
            after = self._row_end(buffer, begin)
            if after == 0:
                break
            if after < 0:
                self._ended = True
                if begin + 2 != len(buffer):
                    raise bad_format("received copy data after EOF marker")
                tail = TRAILER
                begin += 2
                break
            rows.append(bytes(buffer[begin:after]))
            begin = after
        del buffer[:begin]
        if len(buffer) > self.max_row:
            raise self.too_long()
        return Batch(head, rows, tail)

    def finish(self) -> Batch:
        """The trailer may be missing (the server allows it); half a row may not."""
        if self._buffer or not self._started:
            raise bad_format("unexpected EOF in COPY data")
        return Batch(b"", [], b"")

    def fields(self, row: bytes) -> list[bytes]:
        """The raw fields, length words included."""
        (count,) = _int16(row)
        if count != self.options.columns:
            raise self.count_error(count)
        fields: list[bytes] = []
        pos = 2
        for _ in range(count):
            (length,) = _int32(row, pos)
            stop = pos + 4 + max(length, 0)
            fields.append(row[pos:stop])
            pos = stop
        return fields

    def join(self, row: bytes, fields: list[bytes]) -> bytes:
        """The row again."""
        return row[:2] + b"".join(fields)

    def decode(self, raw: bytes, column: int) -> Value:
        """The value in its binary format, or None."""
        return None if raw[:1] == b"\xff" else raw[4:]

    def encode(self, value: bytes | None, raw: bytes) -> bytes:
        """The value with its length."""
        return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value

    def _header(self, buffer: bytearray) -> int:
        """The length of the header, 0 while it isn't complete."""
        seen = min(len(buffer), len(SIGNATURE))
        if buffer[:seen] != SIGNATURE[:seen]:
            raise bad_format("COPY file signature not recognized")
        if len(buffer) < len(SIGNATURE) + 8:
            return 0
        flags, extension = _words(buffer, len(SIGNATURE))
        if flags & _CRITICAL:
            raise bad_format("unrecognized critical flags in COPY file header")
        if extension > MAX_EXTENSION:
            raise bad_format("invalid COPY file header (wrong length)")
        end = len(SIGNATURE) + 8 + int(extension)
        return end if len(buffer) >= end else 0

    def _row_end(self, buffer: bytearray, begin: int) -> int:
        """The offset past the row at ``begin``; 0 while it isn't complete; -1 at the trailer."""
        end = len(buffer)
        if begin + 2 > end:
            return 0
        (count,) = _int16(buffer, begin)
        if count == -1:
            return -1
        if count != self.options.columns:
            raise self.count_error(count)
        pos = begin + 2
        for _ in range(count):
            if pos + 4 > end:
                return 0
            (length,) = _int32(buffer, pos)
            if length < -1:
                raise bad_format("invalid field size")
            pos += 4 + max(length, 0)
            if pos - begin > self.max_row:
                raise self.too_long()
        return pos if pos <= end else 0

    def count_error(self, found: int) -> CodecError:
        """As the server words it."""
        return bad_format(f"row field count is {found}, expected {self.options.columns}")


MAX_EXTENSION: Final = 1 << 16
"""No header extension was ever defined; this much is skipped."""
