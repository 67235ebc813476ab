"""The shape of a text by one pass of a compiled pattern: constants and comments cut out, for the plan cache.

It is a lexer for the common case only. Whoever makes a plan compares these cuts with those of PostgreSQL's own scanner
(``lexer.py``) and does not use them for a shape where the two differ. That is safe for all texts of the shape: they are
equal outside the cuts, every cut is a whole constant of its sort in PostgreSQL's grammar (``scan.l``), so the scanner is in
the same state at the end of each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CUT = re.compile(
    rb"("
    rb'"[^"]*"'  # a quoted identifier (stays in the key; "" makes two of them)
    rb"|(?<![\w$\x80-\xff])[eE]'(?:[^'\\]|\\.|'')*'"
    rb"|'[^']*(?:''[^']*)*'"
    rb"|(?<![\w$.\x80-\xff])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.$\x80-\xff])"
    rb"|--[^\r\n]*"
    rb"|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/"
    rb")",
    re.DOTALL,
)
STRING, INTEGER, DECIMAL, COMMENT = b"\0S", b"\0I", b"\0F", b"\0C"
_INT4_DIGITS = 9  # more may not fit: PostgreSQL's scanner makes those decimals


@dataclass(frozen=True, slots=True)
class Cuts:
    """``key``: the text with a mark for each cut; ``starts`` and ``ends``: the spans of the cuts."""

    text: bytes
    key: bytes
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def raw(self, ordinal: int) -> bytes:
        """The spelling of a cut."""
        return self.text[self.starts[ordinal] : self.ends[ordinal]]


def cut(text: bytes) -> Cuts:
    """The cuts of a text (which must hold no NUL)."""
    parts = _CUT.split(text)
    starts: list[int] = []
    ends: list[int] = []
    at = len(parts[0])
    for index in range(1, len(parts), 2):
        found = parts[index]
        end = at + len(found)
        first = found[0]
        if first != 0x22:
            starts.append(at)
            ends.append(end)
            parts[index] = _mark(found, first)
        at = end + len(parts[index + 1])
    return Cuts(text, b"".join(parts), tuple(starts), tuple(ends))


def _mark(found: bytes, first: int) -> bytes:
    if first in b"'eE":
        return STRING
    if first in b"-/":
        return COMMENT
    if found.isdigit() and (len(found) <= _INT4_DIGITS or int(found) <= 0x7FFFFFFF):
        return INTEGER
    return DECIMAL


_NORMAL = re.compile(rb"\0[SIF]|\s*\0C\s*|\s+")


def normalized(cuts: Cuts, limit: int = 2000) -> str:
    """The text without its constants (``?``) and comments, for people to read; at most ``limit`` characters."""
    text = _NORMAL.sub(lambda found: b"?" if found[0][0] == 0 and found[0][1:] in b"SIF" else b" ", cuts.key)
    return text.decode("utf-8", "replace").strip()[:limit]
