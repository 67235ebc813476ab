"""Matching step by step, for what RE2 can't say: where words begin and end, in any alphabet.

A simulation of the nondeterministic automaton after Thompson (1968): all states at once, so the time is in the order of
the length of the text times that of the expression.
"""

from __future__ import annotations

from collections.abc import Callable

from pgnym.semantics.ctype import Ctype
from pgnym.semantics.errors import unsupported
from pgnym.semantics.regex.membership import Member, is_word, member
from pgnym.semantics.regex.tree import Choice, Node, Place, Repeat, Sequence

_MOST_STATES = 2_000
Guard = Callable[[str, int], bool]


class _State:
    """``moves``: on a character of a set to a state; ``jumps``: without one, where a guard (None: always) allows it."""

    __slots__ = ("jumps", "moves")

    def __init__(self) -> None:
        self.moves: list[tuple[Member, _State]] = []
        self.jumps: list[tuple[Place | None, _State]] = []


class Stepper:
    """An expression under a locale. Raises ``EvaluationError`` 0A000 if it is too large."""

    def __init__(self, root: Node, ctype: Ctype) -> None:
        self._ctype = ctype
        self._is_word = is_word(ctype)
        self._size = 0
        self._start, self._end = self._state(), self._state()
        self._build(root, self._start, self._end)

    def matches(self, text: str) -> bool:
        """Whether any part of the text matches."""
        current: dict[_State, None] = {}
        for at in range(len(text) + 1):
            self._add(current, self._start, text, at)
            if self._end in current:
                return True
            if at == len(text):
                return False
            following: dict[_State, None] = {}
            code = ord(text[at])
            for state in current:
                for test, target in state.moves:
                    if target not in following and test(code):
                        self._add(following, target, text, at + 1)
            current = following
        return False

    def _add(self, states: dict[_State, None], state: _State, text: str, at: int) -> None:
        pending = [state]
        while pending:
            here = pending.pop()
            if here in states:
                continue
            states[here] = None
            pending += [t for place, t in here.jumps if place is None or self._holds(place, text, at)]

    def _holds(self, place: Place, text: str, at: int) -> bool:
        match place:
            case Place.BEGIN:
                return at == 0
            case Place.END:
                return at == len(text)
            case Place.LINE_BEGIN:
                return at == 0 or text[at - 1] == "\n"
            case Place.LINE_END:
                return at == len(text) or text[at] == "\n"
        before = at > 0 and self._is_word(ord(text[at - 1]))
        after = at < len(text) and self._is_word(ord(text[at]))
        match place:
            case Place.WORD_BEGIN:
                return after and not before
            case Place.WORD_END:
                return before and not after
            case Place.WORD_EDGE:
                return before != after
            case _:
                return before == after

    def _state(self) -> _State:
        self._size += 1
        if self._size > _MOST_STATES:
            raise unsupported("this regular expression is too large")
        return _State()

    def _build(self, node: Node, start: _State, end: _State) -> None:
        match node:
            case Place():
                start.jumps.append((node, end))
            case Sequence(parts):
                for part in parts:
                    following = self._state()
                    self._build(part, start, following)
                    start = following
                start.jumps.append((None, end))
            case Choice(branches):
                for branch in branches:
                    self._build(branch, start, end)
            case Repeat(body, least, most):
                self._repeat(body, least, most, start, end)
            case _:
                start.moves.append((member(node, self._ctype), end))

    def _repeat(self, body: Node, least: int, most: int | None, start: _State, end: _State) -> None:
        for _ in range(least):
            following = self._state()
            self._build(body, start, following)
            start = following
        if most is None:
            again, done = self._state(), self._state()
            start.jumps.append((None, again))
            self._build(body, again, done)
            done.jumps.append((None, again))
            again.jumps.append((None, end))
            return
        for _ in range(most - least):
            start.jumps.append((None, end))
            following = self._state()
            self._build(body, start, following)
            start = following
        start.jumps.append((None, end))
