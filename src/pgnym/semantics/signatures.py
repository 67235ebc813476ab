"""What is supported: one table of signatures, and the choice among them by PostgreSQL's rules (parse_func.c, parse_oper.c).

Only functions are in it whose results depend on nothing but their arguments and collation, and that are exact here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from pgnym.semantics import casts, comparing, dates, formats, numbers, texts
from pgnym.semantics.binding import Entry, Signature
from pgnym.semantics.types import (
    BOOL,
    CATEGORIES,
    INTEGERS,
    NUMERIC,
    PREFERRED,
    TEXT,
    TEXTS,
    UNKNOWN,
    UUID,
    converts,
)

__all__ = ["Signature", "find", "resolve"]

_TABLE: dict[tuple[str, int], list[Entry]] = {}
for _entry in chain(texts.ENTRIES, comparing.ENTRIES, numbers.ENTRIES, dates.ENTRIES, formats.ENTRIES):
    _TABLE.setdefault((_entry.signature.function, len(_entry.signature.argument_types)), []).append(_entry)

_LOGIC = {"and": None, "or": None, "not": 1, "is null": 1, "is not null": 1}
CONCATENATED = TEXTS | INTEGERS | {NUMERIC, UUID, BOOL}
_COMMON_TYPE = frozenset(("coalesce", "greatest", "least"))


def resolve(function: str, argument_types: Sequence[int], *, iso_dates: bool = False) -> Signature | None:
    """The signature of a function (its name in ``pg_catalog``) or operator (its sign) for arguments of these types.

    A type of 0 or 705 stands for a literal whose type isn't known yet: the signature says which it takes. ``and``, ``or``,
    ``not``, ``is null``, ``is distinct from`` and their opposites, ``coalesce``,
    ``nullif``, ``greatest``, ``least`` and ``concat`` are found, too;
    ``cast`` takes source and target type. ``iso_dates``: the session's DateStyle is ISO, so casts of dates to text are
    offered. None: not supported, or not by that name, or ambiguous.
    """
    types = tuple(UNKNOWN if t == 0 else t for t in argument_types)
    if function == "cast":
        return _cast(types, iso_dates)
    special = _SPECIAL.get(function)
    if special is not None:
        return special(function, types)
    found = find(function, types)
    return found.signature if found is not None and found.bind is not None else None


def find(function: str, types: tuple[int, ...]) -> Entry | None:
    """The row of the table that PostgreSQL would choose, or None."""
    rows = _TABLE.get((function, len(types)), [])
    operator = not function[0].isalpha()
    for row in rows:
        if row.signature.argument_types == types:
            return row
    if operator and len(types) == 2 and UNKNOWN in types and types != (UNKNOWN, UNKNOWN):
        known = types[0] if types[1] == UNKNOWN else types[1]
        for row in rows:  # an unknown operand is first taken for the type of the other (binary_oper_exact)
            if row.signature.argument_types == (known, known):
                return row
    return _choose(_convertible(rows, types), types)


def _convertible(rows: list[Entry], types: tuple[int, ...]) -> list[Entry]:
    return [r for r in rows if all(map(converts, types, r.signature.argument_types))]


def _choose(rows: list[Entry], types: tuple[int, ...]) -> Entry | None:
    """func_select_candidate: the most exact matches, then preferred types, then what an unknown literal may be."""

    def keep(score: Callable[[tuple[int, ...]], int]) -> None:
        nonlocal rows
        best = max((score(r.signature.argument_types) for r in rows), default=0)
        rows = [r for r in rows if score(r.signature.argument_types) == best]

    keep(lambda wanted: sum(t == w for t, w in zip(types, wanted, strict=True) if t != UNKNOWN))
    if len(rows) > 1:
        keep(
            lambda wanted: sum(
                t == w or (w in PREFERRED and CATEGORIES.get(w) == CATEGORIES.get(t))
                for t, w in zip(types, wanted, strict=True)
                if t != UNKNOWN
            )
        )
    if len(rows) > 1:
        rows = _by_category(rows, types)
    if len(rows) > 1:
        known = {t for t in types if t != UNKNOWN}
        if len(known) == 1:
            only = known.pop()
            rows = [r for r in rows if all(converts(only, w) for w in r.signature.argument_types)]
    return rows[0] if len(rows) == 1 else None


def _by_category(rows: list[Entry], types: tuple[int, ...]) -> list[Entry]:
    """For each unknown argument: string if any candidate takes one, else the one category that all take."""
    for at, given in enumerate(types):
        if given != UNKNOWN:
            continue
        categories = {CATEGORIES.get(r.signature.argument_types[at]) for r in rows}
        if "S" in categories:
            chosen = "S"
        elif len(categories) == 1:
            chosen = next(iter(categories)) or ""
        else:
            return rows
        rows = [r for r in rows if CATEGORIES.get(r.signature.argument_types[at]) == chosen]
        favoured = [r for r in rows if r.signature.argument_types[at] in PREFERRED]
        rows = favoured or rows
    return rows


def common_type(types: Sequence[int]) -> int | None:
    """select_common_type, for CASE, COALESCE and their kin; None if there is none."""
    known = [t for t in types if t != UNKNOWN]
    if not known:
        return TEXT
    if len(set(known)) == 1:
        return known[0]
    if len({CATEGORIES.get(t) for t in known}) != 1:
        return None
    chosen = known[0]
    for other in known[1:]:
        if chosen not in PREFERRED and converts(chosen, other) and not converts(other, chosen):
            chosen = other
    return chosen if all(converts(t, chosen) for t in known) else None


def _logic(function: str, types: tuple[int, ...]) -> Signature | None:
    wanted = _LOGIC[function]
    if wanted is not None and len(types) != wanted:
        return None
    if function in ("is null", "is not null"):
        return Signature(function, tuple(TEXT if t == UNKNOWN else t for t in types), BOOL)
    if not types or any(t not in (BOOL, UNKNOWN) for t in types):
        return None
    return Signature(function, (BOOL,) * len(types), BOOL)


def _common(function: str, types: tuple[int, ...]) -> Signature | None:
    chosen = common_type(types) if types else None
    if chosen is None or (function != "coalesce" and resolve("<", (chosen, chosen)) is None):
        return None
    return Signature(function, (chosen,) * len(types), chosen)


def _cast(types: tuple[int, ...], iso_dates: bool) -> Signature | None:
    """``types``: source and target."""
    source, target = types
    if source == UNKNOWN:
        return Signature("cast", (target,), target)
    if casts.cast(source, target) is None or (casts.shows_by_setting(source, target) and not iso_dates):
        return None
    return Signature("cast", (source,), target)


def _concat(function: str, types: tuple[int, ...]) -> Signature | None:
    """Of values whose output doesn't depend on settings."""
    wanted = tuple(TEXT if t == UNKNOWN else t for t in types)
    if not wanted or any(t not in CONCATENATED for t in wanted):
        return None
    return Signature(function, wanted, TEXT)


def _nullif(function: str, types: tuple[int, ...]) -> Signature | None:
    equal = resolve("=", types) if len(types) == 2 else None
    if equal is None:
        return None
    result = types[0] if types[0] != UNKNOWN else equal.argument_types[0]
    return Signature(function, equal.argument_types, result)


def _distinct(function: str, types: tuple[int, ...]) -> Signature | None:
    equal = resolve("=", types) if len(types) == 2 else None
    return Signature(function, equal.argument_types, BOOL) if equal is not None else None


_SPECIAL: dict[str, Callable[[str, tuple[int, ...]], Signature | None]] = {
    **dict.fromkeys(_LOGIC, _logic),
    **dict.fromkeys(_COMMON_TYPE, _common),
    "nullif": _nullif,
    "is distinct from": _distinct,
    "is not distinct from": _distinct,
    "concat": _concat,
}


def offered() -> list[Signature]:
    """All rows of the table that are offered."""
    return [e.signature for rows in _TABLE.values() for e in rows if e.bind is not None]
