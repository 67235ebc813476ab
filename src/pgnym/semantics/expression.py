"""Expressions over one protected value, as the planner finds them and the gateway evaluates them.

Values travel in canonical form: PostgreSQL's own text output under DateStyle ISO, TimeZone UTC, IntervalStyle postgres,
bytea_output hex and extra_float_digits 1, in UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Collation:
    """A collation, as ``pg_collation`` and, for the database's default, ``pg_database`` describe it.

    ``provider``: ``c`` libc, ``i`` ICU, ``b`` builtin. ``locale`` orders, ``ctype`` decides case and classes (one and the
    same except for libc). ``version``: of the provider's data, as recorded; None where it records none.
    """

    name: str
    provider: str
    locale: str
    ctype: str
    version: str | None = None
    deterministic: bool = True


@dataclass(frozen=True, slots=True)
class Value:
    """The protected value itself. ``type_oid``: of its built-in type (``codec_oid`` of its protection)."""

    type_oid: int
    typmod: int = -1
    collation: Collation | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant or parameter: the ``index``-th of those that are given when the expression is evaluated."""

    index: int
    type_oid: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function, by its name in ``pg_catalog``, or an operator, by its sign (``~~`` is LIKE, ``!~~`` NOT LIKE).

    ``and``, ``or``, ``not``, ``is null``, ``is distinct from`` and their opposites stand for themselves;
    ``cast`` has the target in ``type_oid``.
    ``type_oid``: of the result. ``collation``: that which PostgreSQL would use, None where the result depends on none.
    """

    function: str
    arguments: tuple[Expression, ...]
    type_oid: int
    collation: Collation | None = None


Expression = Value | Constant | Call


_PREFIX = frozenset(("not", "-"))
_POSTFIX = frozenset(("is null", "is not null"))
_INFIX = frozenset(("and", "or", "is distinct from", "is not distinct from"))


def describe(expression: Expression, constants: tuple[str, ...] = ()) -> str:
    """The expression in words, for explanations. ``constants``: what to show for each; ``?`` where there is none."""
    if isinstance(expression, Value):
        return "value"
    if isinstance(expression, Constant):
        return constants[expression.index] if expression.index < len(constants) else "?"
    parts = [describe(argument, constants) for argument in expression.arguments]
    name = expression.function
    if name in _POSTFIX and len(parts) == 1:
        return f"({parts[0]} {name})"
    if name in _PREFIX and len(parts) == 1:
        return f"({name} {parts[0]})"
    if name in _INFIX or (len(parts) == 2 and not name[0].isalpha()):
        return "(" + f" {name} ".join(parts) + ")"
    return f"{name}({', '.join(parts)})"
