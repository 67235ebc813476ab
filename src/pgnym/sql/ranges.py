"""Comparisons of a value with constants where the database has an order index: by code, so that an index on it is used.

A constant need not be a value of the domain, and must not be stored; so the vault says between which two values it would be,
and the database whether there is still none between these (``vault/order_tables.py``).
"""

from __future__ import annotations

from pgnym.semantics.expression import Call, Constant, Expression, Value
from pgnym.sql.fold import Fold
from pgnym.sql.kinds import Token
from pgnym.sql.ordering import code_place, coded
from pgnym.sql.plan import Answer
from pgnym.sql.rewrite import LookupHole
from pgnym.sql.splices import New

_SWAPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_TEXTS = frozenset((25, 1043))
_INTEGERS = frozenset((20, 21, 23))
_NUMERIC = 1700


class _Other(Exception):
    """The test is not made of comparisons with constants alone."""


def coded_test(
    value: Token, test: Expression, constants: tuple[Fold | int | None, ...], kept: bytes
) -> tuple[New, ...] | None:
    """A test as text and look-ups; None where it isn't one of order, or there is no index. ``kept``: its text."""
    if not all(p.order_index for p in value.lineage):
        return None
    writer = _Writer(value, constants, kept)
    try:
        return tuple(writer.test(test))
    except _Other:
        return None


class _Writer:
    def __init__(self, value: Token, constants: tuple[Fold | int | None, ...], kept: bytes) -> None:
        self._value = value
        self._constants = constants
        self._kept = kept

    def test(self, test: Expression) -> list[New]:
        """A boolean expression, in parentheses."""
        if not isinstance(test, Call):
            raise _Other
        if test.function in ("and", "or"):
            pieces: list[New] = [b"("]
            for number, argument in enumerate(test.arguments):
                pieces += [b" %s " % test.function.upper().encode()] * (number > 0)
                pieces += self.test(argument)
            return [*pieces, b")"]
        if test.function == "not":
            return [b"(NOT ", *self.test(test.arguments[0]), b")"]
        if test.function not in _SWAPPED:
            raise _Other
        left, right = test.arguments
        operator = test.function
        if isinstance(left, Constant):
            left, right, operator = right, left, _SWAPPED[operator]
        protection = self._value.protection
        if (
            not isinstance(left, Value)
            or not isinstance(right, Constant)
            or not _alike(protection.codec_oid, right.type_oid)
            or (protection.collation is not None and test.collation not in (None, protection.collation))
        ):
            raise _Other
        source = self._constants[right.index]
        hole = LookupHole(
            Answer.CODE,
            protection,
            self._value.columns,
            Constant(0, right.type_oid),
            (source,),
        )
        key, place = coded(protection), code_place(protection, hole)
        return [
            b"(",
            *key.before,
            self._kept,
            *key.after,
            b" %s " % operator.encode(),
            *place.before,
            *place.after,
            b")",
        ]


def _alike(own: int, other: int) -> bool:
    """Whether a constant's canonical text can be sorted as a value's."""
    return (
        own == other
        or {own, other} <= _TEXTS
        or {own, other} <= _INTEGERS
        or (own == _NUMERIC and other in _INTEGERS)
    )
