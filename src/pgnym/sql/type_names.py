"""How far a type name reaches in the text: the parse tree tells where it begins only."""

from __future__ import annotations

from pgnym.sql.errors import Refused
from pgnym.sql.lexer import Lexed

_WORDS_AFTER = {
    "character": ("varying",),
    "char": ("varying",),
    "nchar": ("varying",),
    "bit": ("varying",),
    "double": ("precision",),
    "national": ("character", "char", "varying"),
}


def type_end(lexed: Lexed, start: int) -> int:
    """Where the type name that begins at ``start`` ends (PostgreSQL's ``Typename`` production)."""
    index = lexed.token_at(start)
    count = len(lexed.starts)

    def word(at: int) -> str:
        return lexed.text[lexed.starts[at] : lexed.ends[at]].decode().lower() if at < count else ""

    if word(index) == "setof":
        index += 1
    first = word(index)
    index += 1
    while word(index) == ".":
        index += 2
    while word(index) in _WORDS_AFTER.get(first, ()):
        index += 1
    if word(index) == "(":
        while word(index) != ")":
            if index >= count:
                raise Refused("unsupported form of type name", position=start)
            index += 1
        index += 1
    if first in ("time", "timestamp") and word(index) in ("with", "without") and word(index + 1) == "time":
        index += 3
    if first == "interval":
        while word(index) in ("year", "month", "day", "hour", "minute", "second", "to"):
            index += 1
    if word(index) == "array":
        index += 1
    while word(index) == "[":
        while word(index) != "]":
            if index >= count:
                raise Refused("unsupported form of type name", position=start)
            index += 1
        index += 1
    return lexed.ends[index - 1]
