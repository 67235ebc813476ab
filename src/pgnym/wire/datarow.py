"""The hot path of a reveal: find the tokens in a chunk of DataRow messages, then splice in what replaces
them.

Two passes, so that one look-up serves a whole chunk. ``collect`` cuts the chunk into slices: for each row its
length word, for each column of interest its value with the length word before it, and whatever lies between.
``rebuild`` replaces slices and joins. The slices of one kind are equally far apart in the list, so that all
work except the cutting is done on whole columns by C code: for 10 000 rows with two tokens each it takes 21
ms where a loop over rows took 35 (CPython 3.11, 2 cores). Columns that are not of interest are not looked at
beyond their lengths.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add, sub

from pgnym.wire.errors import CodecError, ProtocolViolation
from pgnym.wire.frames import Backend, Buffer

_head = struct.Struct("!BIH").unpack_from
_length = struct.Struct("!i").unpack_from
_pack = struct.Struct("!I").pack
_WORDS = [_pack(length) for length in range(256)]
"""Length words of short values: a look-up is half the price of packing. No token is longer."""
_NULL = b"\xff\xff\xff\xff"
_PADDING = b"\0" * 8
"""Lets a length be read where a row promises more columns than it has; the row is then refused by its end."""


class TokenShape:
    """How a token is recognized. ``pattern`` (without groups) matches one whole token of ``length`` bytes.

    A token holds no NUL and no byte that a container escapes.
    """

    __slots__ = ("length", "pattern", "whole")

    def __init__(self, pattern: re.Pattern[bytes], length: int) -> None:
        if pattern.groups:
            raise ValueError("the token pattern must have no groups")
        if not 0 < length < len(_WORDS):
            raise ValueError("the token length is out of range")
        self.pattern = pattern
        self.length = length
        # A value that is one token: no text value contains its length word, as it has NULs in it.
        self.whole = re.compile(re.escape(_pack(length)) + b"(" + pattern.pattern + b")")


@dataclass(frozen=True, slots=True)
class TokenColumn:
    """A column to look for tokens in:

    ``index`` (0-based), and whether a value there is either one token or has none.
    """

    index: int
    whole: bool = True


@dataclass(slots=True)
class Collected:
    """What ``collect`` found. ``tokens``: per TokenColumn (in order) its set of tokens.

    ``chunk``: the rows as they came. ``parts``: per row the bytes up to its length word, that word (None, as
    ``sizes`` has it), and per TokenColumn the bytes up to the value and the value with its length word; last,
    the rest.
    """

    chunk: bytes
    tokens: list[set[bytes]]
    parts: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """No column of interest has a token: the chunk can go on as it is."""
        return not any(self.tokens)


Replacement = Mapping[bytes, bytes] | Callable[[bytes], bytes | None]
"""For a whole column: token → value as it is to be sent (a token not in it stays).

Otherwise: value → new value, None for NULL.
"""


def collect(
    buffer: Buffer, columns: Sequence[TokenColumn], shape: TokenShape, start: int = 0, end: int | None = None
) -> Collected:
    """Find the tokens of ``columns`` (ascending by index) in the DataRow messages of ``buffer[start:end]``.

    A row with fewer columns is read as far as it goes. Raises ``ProtocolViolation`` for anything but
    complete, well-formed DataRow messages.
    """
    chunk = bytes(memoryview(buffer)[start : len(buffer) if end is None else end])
    found = Collected(chunk, [set() for _ in columns])
    # One scan at memory speed, which most results of a mixed workload end with.
    if not columns or shape.pattern.search(chunk) is None:
        return found
    _cut(chunk, columns, found)
    stride = 2 + 2 * len(columns)
    for position, column in enumerate(columns):
        joined = b"".join(set(found.parts[3 + 2 * position :: stride]))
        # Two values don't make a token together: the length word between them has a NUL.
        found.tokens[position].update((shape.whole if column.whole else shape.pattern).findall(joined))
    return found


def rebuild(found: Collected, replacements: Sequence[Replacement], most: int | None = None) -> bytes:
    """The chunk with new values; ``replacements`` has one per TokenColumn, in order.

    ``most``: how many bytes it may become; ``CodecError`` 54000 beyond that, before they are put together.

    ``found`` stays usable. Raises what a callable among ``replacements`` raises.
    """
    if found.empty:
        return found.chunk
    parts: list[bytes] = found.parts.copy()
    sizes: list[int] = found.sizes
    stride = 2 + 2 * len(replacements)
    for position, replacement in enumerate(replacements):
        if not found.tokens[position]:
            continue
        place = slice(3 + 2 * position, None, stride)
        old = parts[place]
        if isinstance(replacement, Mapping):
            new = list(map(_encoded(replacement).get, old, old))
        else:
            new = _apply(replacement, old)
        sizes = list(map(add, sizes, map(sub, map(len, new), map(len, old))))
        parts[place] = new
    if most is not None and sum(sizes) > most:
        raise too_large(most)
    parts[1::stride] = map(_pack, sizes)
    return b"".join(parts)


def too_large(most: int) -> CodecError:
    """The error for rows that would become larger than they may."""
    return CodecError(
        "54000",
        f"the rows that have come together would take more than {most >> 20} MB with the values in them",
        "Compute such large texts in the application.",
    )


def _cut(chunk: bytes, columns: Sequence[TokenColumn], found: Collected) -> None:
    """Fill ``found.parts`` and ``found.sizes``."""
    wanted = {column.index for column in columns}
    wants = [index in wanted for index in range(columns[-1].index + 1)]
    if len(wanted) != len(columns) or sum(wants) != len(columns):
        raise ValueError("columns must ascend by index")
    expected = len(wants)
    end = len(chunk)
    data = chunk + _PADDING
    head, length = _head, _length
    put, put_size = found.parts.append, found.sizes.append
    kind_wanted = Backend.DATA_ROW
    row = done = 0
    try:
        while row < end:
            kind, size, count = head(data, row)
            after = row + size + 1
            if kind != kind_wanted or after > end:
                raise _malformed("not a complete DataRow")
            put_size(size)
            put(data[done : row + 1])
            put(b"")
            done = row + 5
            pos = row + 7
            for want in wants if count >= expected else wants[:count]:
                # A length read past the row's end does no harm: where it leads is judged once, below.
                (size,) = length(data, pos)
                if size > 0:
                    stop = pos + 4 + size
                elif size >= -1:
                    stop = pos + 4
                else:
                    raise _malformed("negative value length")
                if want:
                    put(data[done:pos])
                    put(data[pos:stop])
                    done = stop
                pos = stop
            if pos > after:
                raise _malformed("value beyond message")
            if count < expected:
                found.parts.extend([b""] * (2 * sum(wants[count:])))
            row = after
    except struct.error:
        raise _malformed("message too short") from None
    put(data[done:end])


def _encoded(replacement: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The same with length words before tokens and values, as the slices of a row have them."""
    words = _WORDS
    return {
        words[len(token)] + token: (words[len(value)] if len(value) < 256 else _pack(len(value))) + value
        for token, value in replacement.items()
    }


def _apply(replace: Callable[[bytes], bytes | None], old: list[bytes]) -> list[bytes]:
    """New values with their length words. NULLs and missing columns stay; equal values are replaced once."""
    done: dict[bytes, bytes] = {}
    for slot in old:
        if slot not in done:
            if len(slot) <= 4:
                done[slot] = slot
            else:
                value = replace(slot[4:])
                done[slot] = _NULL if value is None else _pack(len(value)) + value
    return [done[slot] for slot in old]


def _malformed(problem: str) -> ProtocolViolation:
    return ProtocolViolation(f"malformed DataRow message: {problem}")
