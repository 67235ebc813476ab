"""Lines of text and csv COPY streams: where a row ends (CopyReadLineText of PostgreSQL)."""

from __future__ import annotations

import re

from pgnym.wire.copy.base import MAX_ROW, Batch, CopyCodec, CopyOptions

_BREAK = re.compile(rb"[\r\n]")


class LineCodec(CopyCodec):
    """Cuts lines. What ends them is what ends the first: NL, CR NL or CR. A subclass knows which line breaks
    are data.

    Each byte is looked at once, however the stream is cut: a row of megabytes in small chunks stays linear.
    """

    def __init__(self, options: CopyOptions, max_row: int = MAX_ROW) -> None:
        super().__init__(options, max_row)
        self._buffer = bytearray()
        self._piece = 0  # start of what `_ends` wasn't asked about yet
        self._scan = 0  # start of what wasn't searched for line breaks yet
        self._eol = b""
        self._header = bool(options.header)
        self._ended = False

    def feed(self, data: bytes) -> Batch:
        """Take the next bytes of the stream.

        What follows the end marker is dropped, as the server drops it.
        """
        self._buffer += data
        return self._cut(final=False)

    def finish(self) -> Batch:
        """What is left is a row without line break."""
        return self._cut(final=True)

    def content(self, row: bytes) -> bytes:
        """The row without its line break."""
        eol = self._eol
        return (
            row[: -len(eol)]
            if eol and row.endswith(eol) and self._is_break(row, len(row) - len(eol))
            else row
        )

    def join(self, row: bytes, fields: list[bytes]) -> bytes:
        """The row again, with the line break it had."""
        return self.options.delimiter.join(fields) + row[len(self.content(row)) :]

    def _ends(self, buffer: bytearray, start: int, stop: int) -> bool:
        """Whether the line break at ``stop`` ends the row; ``start``: where the last call ended.

        May keep state.
        """
        raise NotImplementedError

    def _is_break(self, row: bytes, stop: int) -> bool:
        """Whether the line break at the end of ``row`` isn't data. (The last row may have none.)"""
        raise NotImplementedError

    def _cut(self, *, final: bool) -> Batch:
        rows: list[bytes] = []
        head = tail = b""
        begin = 0
        buffer = self._buffer
        while not self._ended:
            after = self._next_end(buffer, final)
            if after < 0:
                if not final or begin == len(buffer):
                    break
                after = len(buffer)
            row = bytes(buffer[begin:after])
            begin = after
            if self._header:
                self._header = False
                head = row
            elif self.options.end_marker and row.startswith(b"\\.") and self.content(row) == b"\\.":
                self._ended = True
                tail = row
            else:
                rows.append(row)
        if self._ended or final:
            begin = len(buffer)
        del buffer[:begin]
        self._piece = max(self._piece - begin, 0)
        self._scan = max(self._scan - begin, 0)
        if len(buffer) > self.max_row:
            raise self.too_long()
        return Batch(head, rows, tail)

    def _next_end(self, buffer: bytearray, final: bool) -> int:
        """The offset past the next line break that ends a row, or -1."""
        while True:
            eol = self._eol
            if eol:
                stop = buffer.find(eol, self._scan)
            else:
                found = _BREAK.search(buffer, self._scan)
                stop = found.start() if found else -1
                if found:
                    if buffer[stop] == 0x0A:
                        eol = b"\n"
                    elif stop + 1 == len(buffer) and not final:
                        # CR: whether NL follows will be known with the next chunk.
                        self._scan = stop
                        return -1
                    else:
                        eol = b"\r\n" if buffer[stop + 1 : stop + 2] == b"\n" else b"\r"
            if stop < 0:
                self._scan = max(len(buffer) - len(eol) + 1 if eol else len(buffer), self._scan)
                return -1
            ends = self._ends(buffer, self._piece, stop)
            self._piece = self._scan = stop + (len(eol) if ends or self._eol else 1)
            if ends:
                self._eol = eol
                return self._scan
