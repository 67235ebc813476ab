"""One DataRow message with tokens as whole values: what a point query answers.

``datarow.py`` is made for many rows at once; for one row its passes over whole columns cost three times what they save.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pgnym.wire.datarow import TokenShape
from pgnym.wire.frames import HEADER

_length = struct.Struct("!i").unpack_from

Spot = tuple[int, int, bytes]
"""(which of the columns looked at, offset of the value's length word, token)."""


def is_one_row(chunk: bytes) -> bool:
    """Whether a chunk of complete DataRow messages is a single one."""
    return int.from_bytes(chunk[1:HEADER], "big") + 1 == len(chunk)


def find_tokens(row: bytes, columns: Sequence[int], shape: TokenShape) -> list[Spot] | None:
    """The values of ``columns`` (ascending, 0-based) that are tokens. ``row``: one complete DataRow message.

    None for a row that is not as it should be, or has fewer columns: ``datarow.collect`` says what is wrong with it.
    """
    spots: list[Spot] = []
    length, match = shape.length, shape.pattern.fullmatch
    pos, index = HEADER + 2, 0
    if int.from_bytes(row[HEADER:pos], "big") <= columns[-1]:
        return None
    try:
        for which, column in enumerate(columns):
            while True:
                (size,) = _length(row, pos)
                if size < -1:
                    return None
                if index == column:
                    break
                pos += 4 + size if size > 0 else 4
                index += 1
            if size == length and match(row, pos + 4, pos + 4 + size):
                spots.append((which, pos, row[pos + 4 : pos + 4 + size]))
            pos += 4 + size if size > 0 else 4
            index += 1
    except struct.error:
        return None
    return spots if pos <= len(row) else None


def replace_tokens(row: bytes, spots: Sequence[Spot], values: Sequence[bytes | None]) -> bytes:
    """The row with a value in place of each token of ``spots``; None: the token stays."""
    parts = [b""]
    done = HEADER
    for (_, pos, token), value in zip(spots, values, strict=True):
        if value is not None:
            parts += row[done:pos], len(value).to_bytes(4, "big"), value
            done = pos + 4 + len(token)
    parts.append(row[done:])
    parts[0] = row[:1] + (sum(map(len, parts)) + 4).to_bytes(4, "big")
    return b"".join(parts)
