"""A test for texts from a regular expression: by RE2, whose time is linear in the length of the text.

RE2 is told the alphabet of the texts (see ``emitting``): it starts with ASCII and grows by pages of characters as they
come. Where words begin and end in other alphabets isn't known to RE2; there the automaton is simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import re2

from pgnym.semantics.ctype import Ctype
from pgnym.semantics.errors import unsupported
from pgnym.semantics.regex.emitting import PAGE, Emitter
from pgnym.semantics.regex.parser import parse
from pgnym.semantics.regex.stepping import Stepper
from pgnym.semantics.regex.tree import EMPTY, WORD_PLACES, Choice, Node, Place, Repeat, Sequence

Test = Callable[[bytes], bool]
_MAX_MEMORY = 8 << 20


def compile_regex(pattern: bytes, ctype: Ctype, *, fold: bool = False, flags: str = "") -> Test:
    """A test for ``text ~ pattern``. ``fold``: ``~*``. ``flags``: as those of ``regexp_like``.

    Raises ``EvaluationError``: 2201B for an invalid pattern, 0A000 for what isn't supported (back references, lookaround,
    collating elements). So may the test, for a character of which the class isn't certain.
    """
    return Matcher(parse(pattern.decode(), fold=fold, flags=flags), ctype).test


class Matcher:
    """An expression under a locale."""

    def __init__(self, root: Node, ctype: Ctype) -> None:
        self._root = root
        self._ctype = ctype
        self._places = frozenset(_word_places(root))
        self._loose = Matcher(_without_places(root), ctype) if self._places else None
        self._stepper: Stepper | None = None
        self._emitter = Emitter(root, ctype)
        self._pages: set[int] = set()
        self._compiled = None if self._in_steps(True) else self._compile()

    def test(self, text: bytes) -> bool:
        """Whether any part of the text matches."""
        if self._compiled is not None:
            if text.isascii():
                return self._compiled.search(text) is not None
            if not self._in_steps(False):
                characters = set(map(ord, text.decode()))
                new = {code // PAGE for code in characters} - self._pages
                if new:
                    self._pages |= new
                    self._compiled = self._compile()
                if not self._emitter.doubtful.isdisjoint(characters):
                    raise unsupported(
                        "whether a character of this text is a letter depends on the version of Unicode",
                        "Use a collation of the libc provider in the pattern's place, or avoid classes of characters.",
                    )
                return self._compiled.search(text) is not None
        if self._loose is not None and not self._loose.test(text):
            return False
        if self._stepper is None:
            self._stepper = Stepper(self._root, self._ctype)
        return self._stepper.matches(text.decode())

    def _in_steps(self, ascii_only: bool) -> bool:
        """RE2's word edges are those of ASCII, and it has no begins and ends of words."""
        if not ascii_only:
            return bool(self._places)
        return bool(self._places - {Place.WORD_EDGE, Place.NO_WORD_EDGE})

    def _compile(self) -> re2._Regexp:
        return _compiled(self._emitter.emit(self._pages))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error:
        raise unsupported("this regular expression is too large") from None


def _without_places(node: Node) -> Node:
    """An expression that matches wherever ``node`` does, and elsewhere: most texts needn't be stepped through."""
    match node:
        case Sequence(parts):
            return Sequence(tuple(_without_places(part) for part in parts))
        case Choice(branches):
            return Choice(tuple(_without_places(branch) for branch in branches))
        case Repeat(body, least, most):
            return Repeat(_without_places(body), least, most)
        case _:
            return EMPTY if node in WORD_PLACES else node


def _word_places(node: Node) -> list[Place]:
    match node:
        case Place():
            return [node] if node in WORD_PLACES else []
        case Sequence(parts) | Choice(parts):
            return [place for part in parts for place in _word_places(part)]
        case Repeat(body, _, _):
            return _word_places(body)
        case _:
            return []
