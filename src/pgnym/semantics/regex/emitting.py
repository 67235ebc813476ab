"""Trees to RE2's syntax, for texts of a given alphabet.

RE2 has classes of its own, which aren't the server's. So each set is written out as ranges, of ASCII and of those pages of
256 characters that occur in the texts to be matched.
"""

from __future__ import annotations

from collections.abc import Iterable

from pgnym.semantics.ctype import Ctype
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.regex.membership import Member, member
from pgnym.semantics.regex.tree import AnyChar, Char, Choice, Node, One, Place, Repeat, Sequence, Set

PAGE = 256
_ASCII = 128
_PLACES = {
    Place.BEGIN: r"\A",
    Place.END: r"\z",
    Place.LINE_BEGIN: "(?m:^)",
    Place.LINE_END: "(?m:$)",
    Place.WORD_EDGE: r"\b",
    Place.NO_WORD_EDGE: r"\B",
}
_NONE = r"[^\x00-\x{10FFFF}]"


class Emitter:
    """One expression under one locale. What sets match on a page is found out once."""

    def __init__(self, root: Node, ctype: Ctype) -> None:
        self._root = root
        self._ctype = ctype
        self._members: dict[One, Member] = {}
        self._ranges: dict[tuple[One, int], list[tuple[int, int]]] = {}
        self.doubtful: set[int] = set()
        """Characters of the pages so far of which it isn't certain whether some set has them."""

    def emit(self, pages: Iterable[int]) -> str:
        """For texts of ASCII and the characters of ``pages``. Word begins and ends must have been replaced."""
        return self._emit(self._root, sorted(pages))

    def _emit(self, node: Node, pages: list[int]) -> str:
        match node:
            case AnyChar(stop):
                return "[^\\n]" if stop else "(?s:.)"
            case Char(code, False):
                return _escaped(code)
            case Char() | Set():
                return self._set(node, pages)
            case Place():
                return _PLACES[node]
            case Sequence(parts):
                return "".join(self._emit(part, pages) for part in parts)
            case Choice(branches):
                return "(?:" + "|".join(self._emit(branch, pages) for branch in branches) + ")"
            case Repeat(body, least, most):
                bounds = f"{{{least},{'' if most is None else most}}}"
                return f"(?:{self._emit(body, pages)}){bounds}"

    def _set(self, node: One, pages: list[int]) -> str:
        ranges = list(self._found(node, 0, _ASCII))
        for page in pages:
            ranges += self._found(node, max(page * PAGE, _ASCII), (page + 1) * PAGE)
        if not ranges:
            return _NONE
        return "[" + "".join(f"\\x{{{a:X}}}-\\x{{{b:X}}}" for a, b in ranges) + "]"

    def _found(self, node: One, start: int, stop: int) -> list[tuple[int, int]]:
        ranges = self._ranges.get((node, start))
        if ranges is None:
            test = self._members.get(node)
            if test is None:
                test = self._members[node] = member(node, self._ctype)
            ranges = []
            for code in range(start, stop):
                try:
                    if not test(code):
                        continue
                except EvaluationError:
                    self.doubtful.add(code)
                    continue
                if ranges and ranges[-1][1] == code - 1:
                    ranges[-1] = (ranges[-1][0], code)
                else:
                    ranges.append((code, code))
            self._ranges[node, start] = ranges
        return ranges


def _escaped(code: int) -> str:
    character = chr(code)
    if code < _ASCII and not character.isalnum():
        return f"\\x{{{code:X}}}"
    return character
