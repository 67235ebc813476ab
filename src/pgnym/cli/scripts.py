"""Statements out of a script, as psql would cut it up: at semicolons, with its own commands and COPY data left aside.

The rules are those of ``psqlscan.l``: a semicolon ends a statement unless it stands in quotes, comments, parentheses or
the body of a SQL function (BEGIN ATOMIC … END); a backslash outside of quotes begins a psql command that lasts to the end of
its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"(?P<string>(?:(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'|'[^']*(?:''[^']*)*'))"
    r'|(?P<name>"[^"]*(?:""[^"]*)*")'
    r"|(?P<dollar>(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)"
    r"|(?P<line>--[^\n]*)"
    r"|(?P<block>/\*)"
    r"|(?P<word>[^\W\d][\w$]*)"
    r"|(?P<command>\\[^\n]*)"
    r"|(?P<mark>[;()])",
    re.DOTALL,
)
_BLOCK = re.compile(r"/\*|\*/")
_COPY_DATA = re.compile(r"\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
_META_COPY = re.compile(r"\\copy\s+(?P<what>.+)", re.IGNORECASE | re.DOTALL)
_META_FILE = re.compile(
    r"\b(?P<way>from|to)\s+(?:program\s+)?(?:'(?:[^']|'')*'|stdin|stdout|pstdin|pstdout|[^\s;]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as it stands in its source. ``line``: where it begins, from 1.

    ``command``: it is a psql command, not SQL, and ``text`` is the whole of it.
    """

    source: str
    line: int
    text: str
    command: bool = False


@dataclass(slots=True)
class _Depth:
    """What a semicolon may stand in, as ``psqlscan.l`` counts it."""

    words: list[str] = field(default_factory=list)  # the first few: is it CREATE FUNCTION?
    parens: int = 0
    begins: int = 0

    def word(self, text: str) -> None:
        text = text.lower()
        if len(self.words) < 4:
            self.words.append(text)
        if self.words[:1] != ["create"] or not {"function", "procedure"} & set(self.words):
            return
        if text == "begin" or (text == "case" and self.begins):
            self.begins += 1
        elif text == "end" and self.begins:
            self.begins -= 1

    def mark(self, text: str) -> bool:
        """Whether the mark is a semicolon that ends the statement."""
        if text == ";":
            return not self.parens and not self.begins
        self.parens = max(0, self.parens + (1 if text == "(" else -1))
        return False


def statements(text: str, source: str) -> Iterator[Statement]:
    """The statements and psql commands of a script, in order. What never ends reaches to the end of the text."""
    at = 0
    start: int | None = None  # where the statement begins, comments before it left out
    depth = _Depth()
    while (found := _TOKEN.search(text, at)) is not None:
        if start is None and text[at : found.start()].strip():
            start = at
        at = found.end()
        kind = found.lastgroup if found.lastgroup != "tag" else "dollar"
        if kind == "block":
            at = _block_end(text, found.start())
        elif kind == "command":
            yield from _cut(text, start, found.start(), source)
            yield Statement(source, _line(text, found.start()), found[0].rstrip(), command=True)
            start, depth = None, _Depth()
        elif kind == "mark" and depth.mark(found[0]):
            yield from _cut(text, start, found.start(), source)
            if start is not None and _COPY_DATA.match(text[start : found.start()]):
                at = _data_end(text, at)
            start, depth = None, _Depth()
        elif kind != "line":
            start = found.start() if start is None else start
            if kind == "word":
                depth.word(found[0])
    if start is None and text[at:].strip():
        start = at
    yield from _cut(text, start, len(text), source)


def of_command(statement: Statement) -> str | None:
    r"""The SQL that a psql command sends on its own account (``\copy``), or None: psql sees to it alone."""
    found = _META_COPY.match(statement.text)
    if found is None:
        return None
    what = found["what"]
    query = _query_end(what)
    return (
        "COPY "
        + what[:query]
        + _META_FILE.sub(
            lambda m: "FROM STDIN" if m["way"].lower() == "from" else "TO STDOUT", what[query:], count=1
        )
    )


def _query_end(what: str) -> int:
    """Where the query in parentheses ends that is copied; 0 for a table."""
    level = 0
    for found in _TOKEN.finditer(what):
        level += {"(": 1, ")": -1}.get(found[0], 0)
        if level <= 0:
            return found.end() if found[0] == ")" else 0
    return 0


def _cut(text: str, start: int | None, end: int, source: str) -> Iterator[Statement]:
    if start is not None:
        piece = text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        yield Statement(source, _line(text, first), piece.strip())


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _block_end(text: str, start: int) -> int:
    """Where a comment ends; comments nest (SQL standard, and PostgreSQL)."""
    level = 0
    for found in _BLOCK.finditer(text, start):
        level += 1 if found[0] == "/*" else -1
        if not level:
            return found.end()
    return len(text)


def _data_end(text: str, at: int) -> int:
    r"""Behind the data of a COPY, which begin on the next line and end with ``\.`` on a line of its own."""
    end_of_line = text.find("\n", at)
    if end_of_line < 0 or text[at:end_of_line].strip():
        return at  # something follows on the line: psql reads data from there too, but nobody writes it so
    found = re.compile(r"^\\\.\r?$", re.MULTILINE).search(text, end_of_line)
    return found.end() if found is not None else len(text)
