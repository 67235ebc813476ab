"""Which characters a node matches, under a locale."""

from __future__ import annotations

from collections.abc import Callable

from pgnym.semantics.ctype import Ctype
from pgnym.semantics.errors import unsupported
from pgnym.semantics.regex.tree import AnyChar, Char, One, Set

Member = Callable[[int], bool]
_NEWLINE, _UNDERSCORE = 0x0A, 0x5F
_WIDEST = 5_000
"""Characters of a range of which each one's other case is looked up."""
_FIXED: dict[str, Member] = {
    "ascii": lambda code: code < 0x80,
    "blank": lambda code: code in (0x20, 0x09),
    "cntrl": lambda code: code < 0x20 or 0x7F <= code <= 0x9F,
    "xdigit": lambda code: chr(code) in "0123456789abcdefABCDEF",
}
"""The classes that mean the same everywhere (cclasscvec)."""


def member(node: One, ctype: Ctype) -> Member:
    """A test of code points. It may raise ``EvaluationError`` 0A000 where the class of a character isn't certain."""
    match node:
        case AnyChar(stop):
            return (lambda code: code != _NEWLINE) if stop else (lambda code: True)
        case Char(only, fold):
            both = frozenset((ctype.tolower(only), ctype.toupper(only)) if fold else (only,))
            return both.__contains__
        case Set():
            return _of_set(node, ctype)


def _of_set(node: Set, ctype: Ctype) -> Member:
    chars = set(node.chars)
    if node.fold:  # of a character only its two cases; of a range itself, too (allcases, range)
        chars = {case for code in chars for case in (ctype.tolower(code), ctype.toupper(code))}
        for low, high in node.ranges:
            if high - low > _WIDEST:
                raise unsupported("a range of so many characters, without regard to case, is not supported")
            for code in range(low, high + 1):
                chars.update((ctype.tolower(code), ctype.toupper(code)))
    tests = [_of_class(name, complement, node.fold, ctype) for name, complement in node.classes]
    ranges = node.ranges
    negated, stop = node.negated, node.stop

    def test(code: int) -> bool:
        found = code in chars or any(a <= code <= b for a, b in ranges) or any(t(code) for t in tests)
        return found != negated and not (stop and code == _NEWLINE)

    return test


def _of_class(name: str, complement: bool, fold: bool, ctype: Ctype) -> Member:
    if fold and name in ("lower", "upper"):
        name = "alpha"
    test = _FIXED.get(name) or _word_or_class(name, ctype)
    return (lambda code: not test(code)) if complement else test


def _word_or_class(name: str, ctype: Ctype) -> Member:
    if name == "word":
        return lambda code: code == _UNDERSCORE or ctype.is_class("alnum", code)
    return lambda code: ctype.is_class(name, code)


def is_word(ctype: Ctype) -> Member:
    """Letters, digits and the underscore: what words are made of."""
    return _word_or_class("word", ctype)
