"""Functions in SQL: what they return follows from their body, given the kinds of their arguments.

Only bodies of plain queries and data changes: each statement is inferred in a run of its own, with the arguments' kinds
in place of ``$1`` and of argument names, so that a constant or parameter of the call meets what the body does with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgnym.sql.catalog import Function
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Run
from pgnym.sql.kinds import PLAIN, Document, Kind, Row, Token, protected, shape, unsized
from pgnym.sql.lexer import lex
from pgnym.sql.resolve import Field, Scope
from pgnym.sql.select import query_columns
from pgnym.sql.syntax import parse
from pgnym.sql.types import family
from pgnym.sql.views import must_be_token

_MAX_DEPTH = 8
_RECORD, _VOID = 2249, 2278


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of arguments and of result columns, from pg_proc's argument names and modes."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _names(function: Function) -> _Names:
    modes = function.argument_modes or "i" * len(function.argument_names)
    pairs = list(zip(function.argument_names, modes, strict=False))
    return _Names(
        tuple(n for n, m in pairs if m in ("i", "b", "v")), tuple(n for n, m in pairs if m in ("o", "b", "t"))
    )


def derive(run: Run, function: Function, arguments: list[Kind]) -> Kind:
    """The kind of a call's result. Raises Refused when the body can't be followed."""
    if run.view_depth >= _MAX_DEPTH:
        raise Refused("its body calls functions too deeply")
    if function.body is None or function.language != "sql":
        raise Refused("its body is not in SQL")
    if len(arguments) != len(function.arguments):
        raise Refused("it is called with defaults or as variadic")
    names = _names(function)
    known: dict[str, Kind] = {}
    for index, kind in enumerate(arguments):
        known[str(index + 1)] = kind
        if index < len(names.inputs) and names.inputs[index]:
            known[names.inputs[index]] = kind
    columns: tuple[Field, ...] = ()
    text = function.body.encode()
    lexed = lex(text)
    for statement in parse(text):
        inner = Run(
            run.knowledge,
            run.session,
            lexed,
            view_depth=run.view_depth + 1,
            arguments=known,
            relations=run.relations,
            stored="the body of a function",
        )
        columns = query_columns(inner, statement.node, Scope())
        run.writes |= inner.writes
        if inner.edits or inner.late_casts:
            raise Refused("its body casts protected values")
        for occurrence in inner.occurrences.values():
            settled = shape(occurrence.open) if occurrence.open is not None else None
            if isinstance(settled, Document):
                raise Refused(f"its body compares {settled.of} with a plain constant")
            if isinstance(settled, Token):
                must_be_token(occurrence.fold, settled, lexed.cuts)
    for kind, type_oid in zip(arguments, function.arguments, strict=True):
        if protected(kind) and family(run.catalog, type_oid) != "text":
            raise Refused("it takes a protected value as an argument of another type than text")
    return _result(run, function, names, columns)


def _result(run: Run, function: Function, names: _Names, columns: tuple[Field, ...]) -> Kind:
    if function.result == _VOID:
        return PLAIN
    kinds = tuple(c.kind for c in columns)
    composite = run.catalog.types.get(function.result)
    relation = (
        run.catalog.by_oid.get(composite.relation) if composite is not None and composite.relation else None
    )
    if relation is not None:
        wanted = tuple(c.name for c in relation.columns)
    elif len(names.outputs) > 1 or (function.result == _RECORD and names.outputs):
        wanted = names.outputs
    elif len(kinds) == 1 and function.result != _RECORD:
        return unsized(kinds[0])
    else:
        raise Refused("its result columns aren't known")
    if len(wanted) == 1 and len(kinds) == 1 and relation is None:
        return kinds[0]
    if len(kinds) == 1 and isinstance(shape(kinds[0]), Row):
        row = shape(kinds[0])
        kinds = row.fields if isinstance(row, Row) else kinds
    if len(wanted) != len(kinds):
        raise Refused("its result columns don't match its body")
    return Row(wanted, kinds)
