"""Advanced regular expressions to trees, by the rules of PostgreSQL's lexer and parser (regc_lex.c, regcomp.c).

What is greedy and what isn't, and what is captured, makes no difference to whether a text matches, and is dropped.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NoReturn

from pgnym.semantics.errors import EvaluationError, unsupported
from pgnym.semantics.regex.tree import EMPTY, AnyChar, Char, Choice, Node, Place, Repeat, Sequence, Set

CLASSES = frozenset(
    ("alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
     "xdigit", "word")
)  # fmt: skip
_MOST_TIMES = 255
"""DUPMAX"""
_LAST_CHARACTER = 0x7FFFFFFE
_DEEPEST = 200
"""Nested parentheses; PostgreSQL has a limit, too, by its stack."""
_CONTROLS = {"a": 7, "b": 8, "B": 92, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_CLASS_ESCAPES = {"d": "digit", "s": "space", "w": "word"}
_PLACES = {
    "A": Place.BEGIN, "Z": Place.END, "m": Place.WORD_BEGIN, "M": Place.WORD_END, "y": Place.WORD_EDGE,
    "Y": Place.NO_WORD_EDGE,
}  # fmt: skip
_SPACE = " \t\n\v\f\r"


@dataclass(slots=True)
class _Options:
    fold: bool = False
    stop: bool = False  # newline ends what . and [^ match
    lines: bool = False  # ^ and $ match at newlines
    expanded: bool = False
    quote: bool = False

    def newline(self, stop: bool, lines: bool) -> None:
        self.stop, self.lines = stop, lines


def parse(pattern: str, *, fold: bool = False, flags: str = "") -> Node:
    """The tree. ``fold``: without regard to case. ``flags``: further options, as embedded ones are written.

    Raises ``EvaluationError``: 2201B where PostgreSQL finds the expression invalid, 0A000 for what isn't supported.
    """
    options = _Options(fold=fold)
    for letter in flags:
        _set_option(options, letter)
    return _Parser(pattern, options).whole()


def _invalid(reason: str) -> NoReturn:
    raise EvaluationError(f"invalid regular expression: {reason}", "2201B")


def _set_option(options: _Options, letter: str) -> None:
    match letter:
        case "i":
            options.fold = True
        case "c":
            options.fold = False
        case "n" | "m":
            options.newline(stop=True, lines=True)
        case "p":
            options.newline(stop=True, lines=False)
        case "w":
            options.newline(stop=False, lines=True)
        case "s":
            options.newline(stop=False, lines=False)
        case "x":
            options.expanded = True
        case "t":
            options.expanded = False
        case "q":
            options.quote = True
        case "b" | "e":
            raise unsupported("basic and extended regular expressions are not supported, only advanced ones")
        case _:
            _invalid("invalid embedded option")


class _Parser:
    """One pattern and the place in it."""

    def __init__(self, pattern: str, options: _Options) -> None:
        self._text = pattern
        self._at = 0
        self._options = options
        self._groups = 0  # opened so far
        self._depth = 0

    def whole(self) -> Node:
        self._prefixes()
        if self._options.quote:
            return Sequence(tuple(Char(ord(c), self._options.fold) for c in self._text[self._at :]))
        node = self._choice()
        if self._at < len(self._text):
            _invalid("parentheses () not balanced")
        return node

    def _prefixes(self) -> None:
        """``***=``, ``***:`` and embedded options."""
        if self._options.quote:
            return
        if self._text.startswith("***") and len(self._text) > 3:
            if self._text[3] == "=":
                self._options.quote, self._at = True, 4
                return
            if self._text[3] != ":":
                _invalid("quantifier operand invalid")
            self._at = 4
        if self._next("(?") and _is_letter(self._text[self._at + 2 : self._at + 3]):
            self._at += 2
            while _is_letter(self._peek()):
                _set_option(self._options, self._peek())
                self._at += 1
            if not self._eat(")"):
                _invalid("invalid embedded option")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _eat(self, text: str) -> bool:
        found = self._next(text)
        if found:
            self._at += len(text)
        return found

    def _skip(self) -> None:
        """Comments ``(?#…)``; with the expanded syntax blanks and comments to the end of the line."""
        while True:
            start = self._at
            if self._options.expanded:
                while self._peek() and self._peek() in _SPACE:
                    self._at += 1
                if self._peek() == "#":
                    end = self._text.find("\n", self._at)
                    self._at = len(self._text) if end < 0 else end
            if self._next("(?#"):
                end = self._text.find(")", self._at + 3)
                self._at = len(self._text) if end < 0 else end + 1
            if self._at == start:
                return

    def _choice(self) -> Node:
        branches = [self._branch()]
        while self._eat("|"):
            branches.append(self._branch())
        return branches[0] if len(branches) == 1 else Choice(tuple(branches))

    def _branch(self) -> Node:
        parts: list[Node] = []
        while True:
            self._skip()
            character = self._peek()
            if not character or character == "|" or (character == ")" and self._depth):
                break
            parts.append(self._quantified())
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts)) if parts else EMPTY

    def _quantified(self) -> Node:
        atom = self._atom()
        if isinstance(atom, Place):
            return atom  # a quantifier after it is an error, which the next atom will be
        self._skip()
        bounds = self._quantifier()
        return atom if bounds is None else Repeat(atom, *bounds)

    def _quantifier(self) -> tuple[int, int | None] | None:
        character = self._peek()
        if character and character in "*+?":
            self._at += 1
            self._eat("?")
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        if character != "{" or not self._bound_follows():
            return None
        self._at += 1
        least = most = self._number()
        if self._eat_spaced(","):
            most = self._number() if self._digit_follows() else -1
            if 0 <= most < least:
                _invalid("invalid repetition count(s)")
        if not self._eat_spaced("}"):
            _invalid("invalid repetition count(s)" if self._peek() else "braces {} not balanced")
        self._eat("?")
        return least, None if most < 0 else most

    def _bound_follows(self) -> bool:
        """A brace that no digit follows is an ordinary character."""
        here = self._at
        self._at += 1
        found = self._digit_follows()
        self._at = here
        return found

    def _blanks(self) -> None:
        while self._options.expanded and self._peek() and self._peek() in _SPACE:
            self._at += 1

    def _digit_follows(self) -> bool:
        self._blanks()
        return self._peek() in tuple("0123456789")

    def _eat_spaced(self, text: str) -> bool:
        self._blanks()
        return self._eat(text)

    def _number(self) -> int:
        number = 0
        while self._digit_follows() and number < _MOST_TIMES:
            number = number * 10 + int(self._peek())
            self._at += 1
        if number > _MOST_TIMES or self._digit_follows():
            _invalid("invalid repetition count(s)")
        return number

    def _atom(self) -> Node:
        character = self._peek()
        self._at += 1
        match character:
            case "(":
                return self._group()
            case ")":
                _invalid("parentheses () not balanced")
            case "*" | "+" | "?":
                _invalid("quantifier operand invalid")
            case "{":
                self._at -= 1
                if self._bound_follows():
                    _invalid("quantifier operand invalid")
                self._at += 1
            case ".":
                return AnyChar(self._options.stop)
            case "^":
                return Place.LINE_BEGIN if self._options.lines else Place.BEGIN
            case "$":
                return Place.LINE_END if self._options.lines else Place.END
            case "[":
                return self._bracket()
            case "\\":
                return self._escape()
        return Char(ord(character), self._options.fold)

    def _group(self) -> Node:
        if self._eat("?"):
            if not self._eat(":"):
                if self._next("=") or self._next("!") or self._next("<=") or self._next("<!"):
                    raise unsupported("lookahead and lookbehind in regular expressions are not supported")
                _invalid("quantifier operand invalid")
        else:
            self._groups += 1
        self._depth += 1
        if self._depth > _DEEPEST:
            raise unsupported("this regular expression is nested too deeply")
        inner = self._choice()
        if not self._eat(")"):
            _invalid("parentheses () not balanced")
        self._depth -= 1
        return Sequence((inner,)) if isinstance(inner, Place) else inner

    def _escape(self) -> Node:
        """An escape outside of brackets; the backslash has been read."""
        character = self._peek()
        if character in _PLACES and character:
            self._at += 1
            return _PLACES[character]
        found = self._escaped()
        if isinstance(found, int):
            return Char(found, self._options.fold)
        name, complement = found
        if complement and self._options.stop and name != "space":
            raise unsupported(
                "\\D and \\W beside an option about newlines differ between versions of PostgreSQL"
            )
        return Set(classes=(found,), fold=self._options.fold)

    def _escaped(self) -> int | tuple[str, bool]:
        """A character, or a class and whether its complement is meant. Raises for places and unknown letters."""
        character = self._peek()
        if not character:
            _invalid("invalid escape \\ sequence")
        self._at += 1
        if not (character.isascii() and character.isalnum()):
            return ord(character)
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character.lower() in _CLASS_ESCAPES:
            return _CLASS_ESCAPES[character.lower()], character.isupper()
        match character:
            case "c":
                if not self._peek():
                    _invalid("invalid escape \\ sequence")
                self._at += 1
                return ord(self._text[self._at - 1]) & 0o37
            case "u":
                return self._digits(16, 4, 4)
            case "U":
                return self._digits(16, 8, 8)
            case "x":
                return self._digits(16, 1, 255)
        if not character.isdigit():
            _invalid("invalid escape \\ sequence")
        return self._octal(character)

    def _octal(self, character: str) -> int:
        """A digit and what follows: a reference to a group, or a character by its number."""
        start = self._at
        self._at -= 1
        if character != "0":
            number = self._digits(10, 1, 255)
            if self._at == start or 0 < number <= self._groups:
                raise unsupported("back references in regular expressions are not supported")
            self._at = start - 1
        code = self._digits(8, 1, 3)
        if code > 0xFF:
            self._at -= 1
            code >>= 3
        return code

    def _digits(self, base: int, least: int, most: int) -> int:
        start = self._at
        allowed = "0123456789abcdefABCDEF" if base == 16 else "0123456789"[:base]
        number = 0
        while self._at - start < most and self._peek() and self._peek() in allowed:
            number = number * base + int(self._peek(), base)
            self._at += 1
        if self._at - start < least or number > _LAST_CHARACTER:
            _invalid("invalid escape \\ sequence")
        if base == 16 and (number > sys.maxunicode or 0xD800 <= number < 0xE000):
            raise unsupported("characters that UTF-8 can't have are not supported in regular expressions")
        return number

    def _bracket(self) -> Node:
        if self._eat("[:<:]]"):
            return Place.WORD_BEGIN
        if self._eat("[:>:]]"):
            return Place.WORD_END
        negated = self._eat("^")
        chars: list[int] = []
        ranges: list[tuple[int, int]] = []
        classes: list[tuple[str, bool]] = []
        first = True
        while first or not self._next("]"):
            if not self._peek():
                _invalid("brackets [] not balanced")
            item = self._bracket_item(first)
            first = False
            if isinstance(item, tuple):
                classes.append(item)
            elif self._next("-") and not self._next("-]"):
                self._at += 1
                last = self._range_end()
                if last < item:
                    _invalid("invalid character range")
                ranges.append((item, last))
            else:
                chars.append(item)
        self._at += 1
        options = self._options
        if options.stop and any(complement for _, complement in classes):
            raise unsupported(
                "\\D, \\S and \\W in brackets beside an option about newlines are not supported"
            )
        return Set(
            tuple(chars), tuple(ranges), tuple(classes), negated, options.fold, stop=negated and options.stop
        )

    def _bracket_item(self, first: bool) -> int | tuple[str, bool]:
        character = self._peek()
        self._at += 1
        if character == "-" and not first and not self._next("]"):
            _invalid("invalid character range")
        if character == "[":
            if self._next(".") or self._next("="):
                raise unsupported("collating elements in regular expressions are not supported")
            if self._eat(":"):
                return self._class_name(), False
        if character == "\\":
            if self._peek() and self._peek() in _PLACES:
                _invalid("invalid escape \\ sequence")
            return self._escaped()
        return ord(character)

    def _class_name(self) -> str:
        end = self._text.find(":]", self._at)
        name = self._text[self._at : end] if end >= 0 else ""
        if name not in CLASSES:
            _invalid("invalid character class")
        self._at = end + 2
        return name

    def _range_end(self) -> int:
        if not self._peek():
            _invalid("brackets [] not balanced")
        item = self._bracket_item(first=True)
        if isinstance(item, tuple):
            _invalid("invalid character range")
        return item


def _is_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()
