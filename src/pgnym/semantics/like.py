"""LIKE, compiled (like.c, like_match.c): ``%`` any run of characters, ``_`` one character, the rest itself.

Between two ``%`` lies a segment that matches a fixed number of characters, so taking the first place where it matches is
always right: no backtracking, and time in the order of the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pgnym.semantics.errors import EvaluationError

Test = Callable[[bytes], bool]
Segment = list[str | None]
"""Characters; None for any one character."""


def compile_like(pattern: bytes) -> Test:
    """A test for ``text LIKE pattern``, with the backslash as escape character (see ``escape_pattern`` for others).

    The test raises ``EvaluationError`` 22025 where a dangling backslash at the end of the pattern is reached.
    """
    segments, dangling = segments_of(pattern.decode())
    if dangling:
        return _dangling(segments)
    return _compile(segments)


def segments_of(pattern: str) -> tuple[list[Segment], bool]:
    """The segments between ``%`` (one more than there are ``%``), and whether a backslash dangles at the end."""
    segments: list[Segment] = [[]]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "%":
            segments.append([])
        elif character == "_":
            segments[-1].append(None)
        elif character == "\\":
            if at == len(pattern):
                return segments, True
            segments[-1].append(pattern[at])
            at += 1
        else:
            segments[-1].append(character)
    return segments, False


def escape_pattern(pattern: bytes, escape: bytes) -> bytes:
    """``like_escape``: the pattern with backslash in the place of ``escape``. Raises ``EvaluationError`` 22025."""
    if escape == b"\\":
        return pattern
    if not escape:
        return pattern.replace(b"\\", b"\\\\")
    if len(escape.decode()) != 1:
        raise EvaluationError(
            "invalid escape string", "22025", "Escape string must be empty or one character."
        )
    mark = escape.decode()
    made = []
    after = False
    for character in pattern.decode():
        if character == mark and not after:
            made.append("\\")
            after = True
        elif character == "\\" and not after:
            made.append("\\\\")
        else:
            made.append(character)
            after = False
    return "".join(made).encode()


def _compile(segments: list[Segment]) -> Test:
    if all(None not in segment for segment in segments):
        return _compile_literal(["".join(c or "" for c in segment).encode() for segment in segments])
    return _compile_wild(segments)


def _compile_literal(parts: list[bytes]) -> Test:
    """Segments without ``_``: substrings, and UTF-8 never matches in the middle of a character."""
    if len(parts) == 1:
        return parts[0].__eq__
    first, last = parts[0], parts[-1]
    middle = [part for part in parts[1:-1] if part]
    if not middle:
        if not last:
            return lambda text: text.startswith(first)
        if not first:
            return lambda text: text.endswith(last)
    if not first and not last and len(middle) == 1:
        inner = middle[0]
        return lambda text: inner in text
    shortest = len(first) + len(last)

    def test(text: bytes) -> bool:
        end = len(text) - len(last)
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        at = len(first)
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return test


def _compile_wild(segments: list[Segment]) -> Test:
    """Segments with ``_``, on decoded text: each an expression of fixed length."""
    patterns = [
        re.compile("".join("." if c is None else re.escape(c) for c in s), re.DOTALL) for s in segments
    ]
    if len(patterns) == 1:
        whole = patterns[0].fullmatch
        return lambda text: whole(text.decode()) is not None
    first, last = patterns[0], patterns[-1]
    head, tail = len(segments[0]), len(segments[-1])
    middle = [p for p, s in zip(patterns[1:-1], segments[1:-1], strict=True) if s]

    def test(text: bytes) -> bool:
        characters = text.decode()
        end = len(characters) - tail
        if end < head or first.match(characters) is None or last.match(characters, end) is None:
            return False
        at = head
        for pattern in middle:
            found = pattern.search(characters, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return test


def _dangling(segments: list[Segment]) -> Test:
    """A pattern that ends in its escape character never matches; it is an error for texts that get that far.

    That is: for texts of which a part, with at least one character after it, matches all that comes before; after a
    ``%``, the characters of the ``_`` that follow it are skipped first.
    """
    if len(segments) > 1 and all(c is None for c in segments[-1]):
        before = [*segments[:-2], [*segments[-2], *([None] * max(1, len(segments[-1])))], []]
    else:
        before = [*segments[:-1], [*segments[-1], None], []]
    reaches = _compile(before)

    def test(text: bytes) -> bool:
        if reaches(text):
            raise EvaluationError("LIKE pattern must not end with escape character", "22025")
        return False

    return test
