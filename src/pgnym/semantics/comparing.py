"""``= <> < <= > >=``: equality by the type's own notion of it, order by ``collations.sort_key``."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from pgnym.semantics import moments
from pgnym.semantics.binding import FALSE, TRUE, Binder, Constants, Entry, Run, entry
from pgnym.semantics.collations import is_bytewise, sort_key
from pgnym.semantics.errors import unsupported
from pgnym.semantics.expression import Collation
from pgnym.semantics.types import (
    BOOL,
    BPCHAR,
    BYTEA,
    DATE,
    FLOAT8,
    INET,
    INT2,
    INT4,
    INT8,
    INTEGERS,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
)

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge
}  # fmt: skip
_EQUALITY: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, "<>": operator.ne}


def equality_key(type_oid: int, collation: Collation | None) -> Callable[[bytes], Any]:
    """Values are equal to the server where their keys are. Under a deterministic collation that takes no locale."""
    if type_oid not in (TEXT, BPCHAR):
        return sort_key(type_oid, collation)
    if collation is not None:
        is_bytewise(collation)  # raises where it is nondeterministic
    return bytes if type_oid == TEXT else lambda value: value.rstrip(b" ")


def _comparison(sign: str, left_type: int, right_type: int) -> Binder:
    compare = _EQUALITY.get(sign) or _ORDER[sign]
    keys = equality_key if sign in _EQUALITY else sort_key

    def bind(collation: Collation | None, constants: Constants) -> Run:
        if left_type == right_type or left_type in INTEGERS:
            key = keys(left_type, collation)
            return _compared(compare, key, key, constants)
        return _compared(compare, _INSTANTS[left_type], _INSTANTS[right_type], constants)

    return bind


def _bytewise(sign: str) -> Binder:
    return lambda _collation, constants: _compared(_ORDER[sign], bytes, bytes, constants)


def _compared(
    compare: Callable[[Any, Any], bool],
    left_key: Callable[[bytes], Any],
    right_key: Callable[[bytes], Any],
    constants: Constants,
) -> Run:
    left, right = constants
    if right is not None:
        limit = right_key(right)
        if left_key is bytes:
            return lambda value: TRUE if compare(value, limit) else FALSE
        return lambda value: TRUE if compare(left_key(value), limit) else FALSE
    if left is not None:
        bound = left_key(left)
        return lambda value: TRUE if compare(bound, right_key(value)) else FALSE
    return lambda one, other: TRUE if compare(left_key(one), right_key(other)) else FALSE


def _date_as_instant(canonical: bytes) -> int:
    """Versions of PostgreSQL disagree on how dates that no timestamp can be compare with infinity: refused."""
    days = moments.read_date(canonical)
    if days in (moments.FOREVER, moments.NEVER):
        return days
    if days * moments.DAY >= moments.END_INSTANT:
        raise unsupported("comparing a timestamp with a date after the year 294276 is not supported")
    return days * moments.DAY


_INSTANTS: dict[int, Callable[[bytes], int]] = {DATE: _date_as_instant, TIMESTAMP: moments.read_moment}
_PAIRS = (
    *[
        (t, t)
        for t in (TEXT, BPCHAR, NUMERIC, DATE, TIMESTAMP, TIMESTAMPTZ, TIME, UUID, INET, BYTEA, BOOL, FLOAT8)
    ],
    *[(one, other) for one in (INT2, INT4, INT8) for other in (INT2, INT4, INT8)],
    (DATE, TIMESTAMP),
    (TIMESTAMP, DATE),
)
# These exist and depend on the TimeZone setting.
_ZONED = ((DATE, TIMESTAMPTZ), (TIMESTAMPTZ, DATE), (TIMESTAMP, TIMESTAMPTZ), (TIMESTAMPTZ, TIMESTAMP))

ENTRIES: tuple[Entry, ...] = (
    *[entry(sign, pair, BOOL, _comparison(sign, *pair)) for sign in (*_EQUALITY, *_ORDER) for pair in _PAIRS],
    *[entry(sign, pair, BOOL, None) for sign in (*_EQUALITY, *_ORDER) for pair in _ZONED],
    # of text_pattern_ops, whatever the collation
    *[entry(f"~{sign}~", (TEXT, TEXT), BOOL, _bytewise(sign)) for sign in _ORDER],
)
