"""COPY options, and what the three formats have in common: rows out of chunks, fields out of rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from pgnym.wire.errors import CodecError

MAX_ROW: Final = 1 << 28
"""Bytes that one row may have before the copy is refused: bounds the memory of a session."""


class Marker(Enum):
    """What a field may hold other than a value or NULL (None)."""

    DEFAULT = "default"  # the DEFAULT option's string: the server takes the column's default


Value = bytes | None | Marker


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """The options of a COPY statement. ``columns``: how many columns are copied.

    ``force_null`` and ``force_not_null`` are 0-based column numbers. ``header``: the first line isn't a row
    ("match" too). ``end_marker``: a line ``\\.`` ends the data; in csv only servers before 18 read it so.
    """

    columns: int
    format: Literal["text", "csv", "binary"] = "text"
    delimiter: bytes = b"\t"
    null: bytes = b"\\N"
    quote: bytes = b'"'
    escape: bytes = b'"'
    header: bool | str = False
    force_null: frozenset[int] = field(default_factory=frozenset)
    force_not_null: frozenset[int] = field(default_factory=frozenset)
    default: bytes | None = None
    end_marker: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """What one chunk completes. ``head`` and ``tail`` are no rows and go on as they are; ``rows`` are raw."""

    head: bytes
    rows: list[bytes]
    tail: bytes


class CopyCodec:
    """Reads a COPY stream, either direction, cut anywhere; gives back rows with some of their values
    replaced.

    ``feed`` and ``finish`` cut the stream into rows; ``fields`` and ``join`` a row into raw fields and back;
    ``decode`` and ``encode`` a raw field into a value and back. A raw field that isn't replaced stays byte
    for byte. All raise ``CodecError`` (22P04 bad_copy_file_format), which never shows data.
    """

    def __init__(self, options: CopyOptions, max_row: int = MAX_ROW) -> None:
        self.options = options
        self.max_row = max_row

    def feed(self, data: bytes) -> Batch:
        """Take the next bytes of the stream."""
        raise NotImplementedError

    def finish(self) -> Batch:
        """The stream ends (CopyDone): what is still there is the last row, or the stream was cut."""
        raise NotImplementedError

    def fields(self, row: bytes) -> list[bytes]:
        """The raw fields; raises if they aren't as many as the columns."""
        raise NotImplementedError

    def join(self, row: bytes, fields: list[bytes]) -> bytes:
        """A row of ``fields``, that ends as ``row`` does."""
        raise NotImplementedError

    def decode(self, raw: bytes, column: int) -> Value:
        """The value of a raw field."""
        raise NotImplementedError

    def encode(self, value: bytes | None, raw: bytes) -> bytes:
        """The raw field for ``value``, in place of ``raw``."""
        raise NotImplementedError

    def read(self, rows: Sequence[bytes], columns: Sequence[int]) -> CopyRows:
        """The values of ``columns`` (0-based) in ``rows``."""
        fields = [self.fields(row) for row in rows]
        decode = self.decode
        return CopyRows(
            self, rows, fields, columns, [[decode(f[column], column) for f in fields] for column in columns]
        )

    def count_error(self, found: int) -> CodecError:
        """A row doesn't have as many fields as there are columns."""
        what = (
            "missing data for a column"
            if found < self.options.columns
            else "extra data after last expected column"
        )
        return CodecError(
            "22P04", what, f"A row has {found} fields, the copy {self.options.columns} columns."
        )

    def too_long(self) -> CodecError:
        """A row is over ``max_row``."""
        return CodecError("54000", f"a row of the copy is longer than {self.max_row} bytes")


@dataclass(frozen=True, slots=True, repr=False)
class CopyRows:
    """Rows taken apart. ``values``: per column asked for, the values of all rows."""

    codec: CopyCodec
    rows: Sequence[bytes]
    fields: list[list[bytes]]
    columns: Sequence[int]
    values: list[list[Value]]

    def build(self, new: Sequence[Sequence[Value]]) -> list[bytes]:
        """The rows, each on its own, with ``new`` values, shaped as ``values``.

        A value that is the same object as before stays as it was.
        """
        encode = self.codec.encode
        for column, before, after in zip(self.columns, self.values, new, strict=True):
            for fields, old, value in zip(self.fields, before, after, strict=True):
                if value is not old and not isinstance(value, Marker):
                    fields[column] = encode(value, fields[column])
        join = self.codec.join
        return [join(row, fields) for row, fields in zip(self.rows, self.fields, strict=True)]


def bad_format(message: str) -> CodecError:
    """22P04 bad_copy_file_format."""
    return CodecError("22P04", message)
