"""Constants that PostgreSQL would compute itself: ``'a' || 'b'``, ``lower('X')``.

Their value must be known to become a token, so it is computed here; only where the outcome can't depend on the server's
collation or settings (ASCII text, exact operators). Kept as a small tree over the ordinals of constants, so that a cached
plan can be applied to other constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgnym.sql.errors import Refused


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the text by ordinal; ``negative``: with a minus sign before it."""

    ordinal: int
    negative: bool = False


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that the shape itself gives (``true``, ``U&'…'``)."""

    value: str

    def __repr__(self) -> str:
        return "Fixed()"


@dataclass(frozen=True, slots=True)
class Applied:
    """A function of constants."""

    name: str
    arguments: tuple[Fold, ...]


Fold = Constant | Fixed | Applied


def _ascii(function: Callable[[str], str]) -> Callable[..., str]:
    def apply(value: str) -> str:
        if not value.isascii():
            raise Refused(
                "a function of a constant with non-ASCII characters depends on the database's collation",
                hint="Compute the value in the application, and pass it as it is.",
            )
        return function(value)

    return apply


FOLDABLE: Mapping[tuple[str, int], Callable[..., str]] = {
    ("lower", 1): _ascii(str.lower),
    ("upper", 1): _ascii(str.upper),
    ("btrim", 1): lambda v: v.strip(" "),
    ("ltrim", 1): lambda v: v.lstrip(" "),
    ("rtrim", 1): lambda v: v.rstrip(" "),
    ("btrim", 2): lambda v, c: v.strip(c) if c else v,
    ("ltrim", 2): lambda v, c: v.lstrip(c) if c else v,
    ("rtrim", 2): lambda v, c: v.rstrip(c) if c else v,
    ("replace", 3): lambda v, a, b: v.replace(a, b) if a else v,
    ("||", 2): lambda a, b: a + b,
    ("concat", 1): lambda a: a,
    ("concat", 2): lambda a, b: a + b,
    ("concat", 3): lambda a, b, c: a + b + c,
}


def evaluate(fold: Fold, constant: Callable[[int], str]) -> str:
    """The value. ``constant`` gives the decoded value of an ordinal."""
    if isinstance(fold, Constant):
        value = constant(fold.ordinal)
        if not fold.negative:
            return value
        return f"-{value}" if value.strip("0.") else value
    if isinstance(fold, Fixed):
        return fold.value
    function = FOLDABLE[fold.name, len(fold.arguments)]
    return function(*(evaluate(a, constant) for a in fold.arguments))
