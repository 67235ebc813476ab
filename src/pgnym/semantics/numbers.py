"""Arithmetic: whole numbers with the ranges of their types (int.c, int8.c), numeric with its scales (numeric.c)."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from decimal import Decimal

from pgnym.semantics.binding import Entry, entry, plain
from pgnym.semantics.errors import EvaluationError
from pgnym.semantics.types import INT2, INT4, INT8, NUMERIC

_BITS = {INT2: 16, INT4: 32, INT8: 64}
_NAMES = {INT2: "smallint", INT4: "integer", INT8: "bigint"}
_WIDTHS = (INT2, INT4, INT8)
_MAX_WHOLE, _MAX_SCALE = 131_072, 16_383
"""Digits before the point, and after it, that a numeric may have."""
_EXACT = decimal.Context(
    prec=2 * (_MAX_WHOLE + _MAX_SCALE), Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[]
)
Operation = Callable[[int, int], int]


def _divided(one: int, other: int) -> int:
    """Toward zero."""
    if other == 0:
        raise EvaluationError("division by zero", "22012")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _remainder(one: int, other: int) -> int:
    """With the sign of the dividend."""
    return one - other * _divided(one, other)


_INTEGER: dict[str, Operation] = {
    "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": _divided, "%": _remainder
}  # fmt: skip


def fitting(number: int, type_oid: int) -> bytes:
    """The text of a whole number. Raises ``EvaluationError`` 22003 if its type can't hold it."""
    limit = 1 << _BITS[type_oid] - 1
    if not -limit <= number < limit:
        raise EvaluationError(f"{_NAMES[type_oid]} out of range", "22003")
    return b"%d" % number


def _whole(operation: Operation, type_oid: int) -> Callable[[bytes, bytes], bytes]:
    return lambda one, other: fitting(operation(int(one), int(other)), type_oid)


def _scale(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def write_numeric(number: Decimal) -> bytes:
    """The canonical text of a numeric. Raises ``EvaluationError`` 22003 for more digits than it may have."""
    if number.is_nan():
        return b"NaN"
    if number.is_infinite():
        return b"Infinity" if number > 0 else b"-Infinity"
    if number and number.adjusted() >= _MAX_WHOLE:
        raise EvaluationError("value overflows numeric format", "22003")
    if number.is_zero():
        number = abs(number)  # there is no negative zero
    return format(number, "f").encode()


def rounded(number: bytes, scale: int) -> bytes:
    """A numeric with so many digits after the point; NaN and infinities as they are."""
    if number[-1:] in b"Ny" or (len(number) - 1 - number.find(b".") if b"." in number else 0) == scale:
        return number
    return write_numeric(
        Decimal(number.decode()).quantize(Decimal(1).scaleb(-scale), decimal.ROUND_HALF_UP, _EXACT)
    )


def _numeric(operation: Callable[[Decimal, Decimal], Decimal]) -> Callable[[bytes, bytes], bytes]:
    return lambda one, other: write_numeric(operation(Decimal(one.decode()), Decimal(other.decode())))


def _product(one: Decimal, other: Decimal) -> Decimal:
    made = _EXACT.multiply(one, other)
    if _scale(made) <= _MAX_SCALE:
        return made
    return made.quantize(Decimal(1).scaleb(-_MAX_SCALE), decimal.ROUND_HALF_UP, _EXACT)


def _modulo(one: Decimal, other: Decimal) -> Decimal:
    """The remainder of the quotient cut to a whole number, with the larger of the two scales."""
    if one.is_nan() or other.is_nan():
        return Decimal("NaN")
    if other.is_zero():
        raise EvaluationError("division by zero", "22012")
    made = _EXACT.remainder(one, other)
    scale = max(_scale(one), _scale(other))
    return (
        made
        if made.is_nan() or other.is_infinite()
        else made.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    )


def _absolute(type_oid: int) -> Callable[[bytes], bytes]:
    return lambda number: fitting(abs(int(number)), type_oid)


def _negative(type_oid: int) -> Callable[[bytes], bytes]:
    return lambda number: fitting(-int(number), type_oid)


def _numeric_absolute(number: bytes) -> bytes:
    return number.removeprefix(b"-")


def _numeric_negative(number: bytes) -> bytes:
    if number.startswith(b"-"):
        return number[1:]
    return number if number == b"NaN" or not number.strip(b"0.") else b"-" + number


ENTRIES: tuple[Entry, ...] = (
    *[
        entry(
            sign,
            (one, other),
            max(one, other, key=_WIDTHS.index),
            plain(_whole(operation, max(one, other, key=_WIDTHS.index))),
        )
        for sign, operation in _INTEGER.items()
        for one in _WIDTHS
        for other in _WIDTHS
        if sign != "%" or one == other
    ],
    *[entry("mod", (t, t), t, plain(_whole(_remainder, t))) for t in _WIDTHS],
    *[entry("abs", (t,), t, plain(_absolute(t))) for t in _WIDTHS],
    *[entry("-", (t,), t, plain(_negative(t))) for t in _WIDTHS],
    entry("+", (NUMERIC, NUMERIC), NUMERIC, plain(_numeric(_EXACT.add))),
    entry("-", (NUMERIC, NUMERIC), NUMERIC, plain(_numeric(_EXACT.subtract))),
    entry("*", (NUMERIC, NUMERIC), NUMERIC, plain(_numeric(_product))),
    entry("%", (NUMERIC, NUMERIC), NUMERIC, plain(_numeric(_modulo))),
    entry("mod", (NUMERIC, NUMERIC), NUMERIC, plain(_numeric(_modulo))),
    entry("/", (NUMERIC, NUMERIC), NUMERIC, None),
    entry("abs", (NUMERIC,), NUMERIC, plain(_numeric_absolute)),
    entry("-", (NUMERIC,), NUMERIC, plain(_numeric_negative)),
)
