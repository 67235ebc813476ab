"""Tokens of a statement with byte offsets, and its shape: the text with constants and comments cut out.

libpg_query's scanner counts characters, the parse tree counts bytes: here everything is bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from pglast.parser import ParseError, scan

from pgnym.sql.errors import Refused
from pgnym.sql.shape import COMMENT, DECIMAL, INTEGER, STRING, Cuts

# What varies between texts of one shape. U&'…', B'…' and X'…' are rare: they stay in the key.
_CUT = {
    "SCONST": STRING,
    "ICONST": INTEGER,
    "FCONST": DECIMAL,
    "SQL_COMMENT": COMMENT,
    "C_COMMENT": COMMENT,
}
_COMMENTS = ("SQL_COMMENT", "C_COMMENT")


@dataclass(frozen=True, slots=True)
class Lexed:
    """The tokens of ``text``: byte offsets (``ends`` exclusive) and libpg_query's names, comments left out.

    ``cuts`` are constants and comments, with the text in which each of them is replaced by a mark of its sort. The text
    holds no NUL, so marks can't be forged. ``inert`` says that the shape
    depends on more than marks show (``U&'…'`` has an escape character in a constant), so only this very text matches.
    """

    text: bytes
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    names: tuple[str, ...]
    cuts: Cuts
    inert: bool

    def ordinal(self, offset: int) -> int:
        """The number of the first cut-out constant that begins at ``offset`` or after it."""
        return bisect_left(self.cuts.starts, offset)

    def is_comment(self, ordinal: int) -> bool:
        """Whether a cut is a comment rather than a constant."""
        return self.text[self.cuts.starts[ordinal]] in b"-/"

    def token_at(self, offset: int) -> int:
        """The index of the token that begins at ``offset`` or, failing that, of the next one."""
        return bisect_left(self.starts, offset)


def lex(text: bytes) -> Lexed:
    """Scan a client text. Raises Refused (42601, 22021) when it can't be scanned."""
    try:
        characters = text.decode()
    except UnicodeDecodeError as error:
        raise Refused(
            'invalid byte sequence for encoding "UTF8"', sqlstate="22021", position=error.start
        ) from None
    if "\0" in characters:
        raise Refused("invalid byte in statement: NUL", sqlstate="22021", position=text.index(b"\0"))
    try:
        tokens = scan(characters)
    except ParseError as error:
        raise syntax_error(error, characters) from None
    if len(characters) == len(text):
        offsets = None
    else:
        offsets = [0, *accumulate(len(c.encode()) for c in characters)]
    starts: list[int] = []
    ends: list[int] = []
    names: list[str] = []
    cut_starts: list[int] = []
    cut_ends: list[int] = []
    shape: list[bytes] = []
    last = 0
    inert = False
    for start, end, name, _kind in tokens:
        if offsets is None:
            end += 1
        else:
            start, end = offsets[start], offsets[end + 1]
        mark = _CUT.get(name)
        if mark is not None:
            cut_starts.append(start)
            cut_ends.append(end)
            shape.append(text[last:start])
            shape.append(mark)
            last = end
            if name in _COMMENTS:
                continue
        elif name == "USCONST":
            inert = True
        starts.append(start)
        ends.append(end)
        names.append(name)
    shape.append(text[last:])
    return Lexed(
        text,
        tuple(starts),
        tuple(ends),
        tuple(names),
        Cuts(text, b"".join(shape), tuple(cut_starts), tuple(cut_ends)),
        inert,
    )


def syntax_error(error: ParseError, characters: str) -> Refused:
    """A Refused with PostgreSQL's wording, for a text that doesn't parse.

    PostgreSQL quotes the text near the error, which may be a constant: that part is not repeated.
    """
    message = str(error.args[0]) if error.args else "syntax error"
    message = message.split(", at index ")[0]
    if " at or near " in message:
        head, near = message.split(" at or near ", 1)
        if not near.strip('"').replace("_", "").isalpha():
            message = head
    location = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], int) else None
    if location is None and message.endswith("at end of input"):
        location = len(characters)
    position = None if location is None else len(characters[:location].encode())
    return Refused(message, sqlstate="42601", position=position)
