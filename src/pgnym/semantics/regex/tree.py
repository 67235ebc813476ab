"""What a regular expression says, without how it was written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Char:
    """One character; with ``fold`` its lower and its upper case instead."""

    code: int
    fold: bool = False


@dataclass(frozen=True, slots=True)
class Set:
    """One character out of a bracket expression or class escape.

    ``classes``: (name, complement). ``negated``: any other character; with ``stop`` not a newline either.
    ``fold``: characters and ranges also match in their other case, and ``lower`` and ``upper`` any letter.
    """

    chars: tuple[int, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    classes: tuple[tuple[str, bool], ...] = ()
    negated: bool = False
    fold: bool = False
    stop: bool = False


@dataclass(frozen=True, slots=True)
class AnyChar:
    """The dot; with ``stop`` it doesn't match a newline."""

    stop: bool = False


class Place(Enum):
    """A constraint on a place between characters."""

    BEGIN = "begin"
    END = "end"
    LINE_BEGIN = "line begin"
    LINE_END = "line end"
    WORD_BEGIN = "word begin"
    WORD_END = "word end"
    WORD_EDGE = "word edge"
    NO_WORD_EDGE = "no word edge"


WORD_PLACES = frozenset((Place.WORD_BEGIN, Place.WORD_END, Place.WORD_EDGE, Place.NO_WORD_EDGE))


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of them."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """``least`` to ``most`` times; ``most`` None: any number of times."""

    body: Node
    least: int
    most: int | None


Node = Char | Set | AnyChar | Place | Sequence | Choice | Repeat
One = Char | Set | AnyChar
"""Nodes that match one character."""
EMPTY = Sequence(())
