"""ANY and ALL of an array that is a constant or parameter: written out for its elements once these are known.

``c LIKE ANY (array)`` is planned as ``any ~~(value, array)``, and asked as ``(value ~~ first) or (value ~~ second) …``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pgnym.semantics.expression import Call, Constant, Expression
from pgnym.wire import codecs
from pgnym.wire.arrays import map_array_binary, map_array_text

BOOL = 16
_QUANTIFIERS = {"any": ("or", b"f"), "all": ("and", b"t")}
_NULL_LENGTH = b"\xff\xff\xff\xff"

Elements = tuple[bytes | None, ...] | None
"""Canonical values of an array's elements; None for NULL as a whole."""
Read = Callable[[bytes], bytes]


def elements_of_text(array: bytes, read: Read) -> Elements:
    """The elements of an array in text form; dimensions don't matter to ANY and ALL. Raises ``CodecError``."""
    found: list[bytes | None] = []

    def keep(element: bytes) -> bytes:
        found.append(read(element))
        return b"x"

    rest = map_array_text(array, keep)
    return (*found, *[None] * rest.upper().count(b"NULL"))


def elements_of_binary(array: bytes, read: Read) -> Elements:
    """As ``elements_of_text``, for an array in binary form."""
    found: list[bytes | None] = []

    def keep(element: bytes) -> bytes:
        found.append(read(element))
        return b""

    rest = map_array_binary(array, keep, 0)
    lengths = rest[12 + 8 * int.from_bytes(rest[:4], "big") :]
    nulls = sum(lengths[at : at + 4] == _NULL_LENGTH for at in range(0, len(lengths), 4))
    return (*found, *[None] * nulls)


def has_arrays(expression: Expression) -> bool:
    """Whether an expression has ANY or ALL of an array in it."""
    if not isinstance(expression, Call):
        return False
    return expression.function.partition(" ")[0] in _QUANTIFIERS or any(map(has_arrays, expression.arguments))


def written_out(
    expression: Expression, arrays: Mapping[int, Elements], constants: list[bytes | None]
) -> Expression:
    """The expression with a comparison per element. Appends the elements to ``constants``."""
    if not isinstance(expression, Call):
        return expression
    quantifier, _, operator = expression.function.partition(" ")
    if quantifier not in _QUANTIFIERS:
        arguments = tuple(written_out(a, arrays, constants) for a in expression.arguments)
        return replace(expression, arguments=arguments)
    left, array = expression.arguments
    assert isinstance(array, Constant)
    left = written_out(left, arrays, constants)
    element_oid = codecs.element_oid(array.type_oid)
    elements = arrays.get(array.index)
    joined, empty = _QUANTIFIERS[quantifier]
    tests: list[Expression] = []
    for element in (None,) if elements is None else dict.fromkeys(elements):
        constants.append(element)
        constant = Constant(len(constants) - 1, element_oid)
        tests.append(Call(operator, (left, constant), expression.type_oid, expression.collation))
    if not tests:
        constants.append(empty)
        return Constant(len(constants) - 1, BOOL)
    return tests[0] if len(tests) == 1 else Call(joined, tuple(tests), BOOL)
