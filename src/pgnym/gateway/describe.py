"""Descriptions as plain PostgreSQL would give them: original types, and only the parameters that the client wrote."""

from __future__ import annotations

from dataclasses import replace

from pgnym.gateway.session import Session
from pgnym.gateway.slots import Prepared
from pgnym.policy.sight import Sight
from pgnym.sql.plan import STORED_TYPMOD, Container, OutputColumn
from pgnym.sql.types import VARCHAR
from pgnym.wire.codecs import type_size
from pgnym.wire.errors import ProtocolViolation
from pgnym.wire.messages import Field, RowDescription


def shows_values(output: OutputColumn, session: Session) -> bool:
    """Whether the session's role sees values or masks of the column's own type there, rather than tokens."""
    role, purpose = session.role, session.purpose
    return any(role.combined(lineage.columns, purpose) is not Sight.TOKENS for lineage in output.lineages)


def show_description(
    message: bytes, outputs: tuple[OutputColumn | None, ...], session: Session, *, planned: bool
) -> tuple[tuple[Field, ...], bytes]:
    """The fields that the server describes, and the RowDescription that the client gets: ``message`` itself if it may.

    ``planned``: it is of a statement that the server has planned, as one that is about to be executed.

    Raises ``ProtocolViolation`` as ``show_columns`` does.
    """
    fields = RowDescription.parse(message).fields
    shown = show_columns(fields, outputs, session, planned=planned)
    return fields, message if shown is fields else RowDescription(shown).build()


def show_columns(
    fields: tuple[Field, ...], outputs: tuple[OutputColumn | None, ...], session: Session, *, planned: bool
) -> tuple[Field, ...]:
    """The fields with original types; the same object if nothing changes.

    Raises ``ProtocolViolation`` if the server describes another number of columns than was planned: then the plan is
    not of this statement, and nothing may be revealed by it.
    """
    if not outputs:
        return fields
    if len(fields) != len(outputs):
        raise ProtocolViolation(f"{len(fields)} columns where the plan has {len(outputs)}")
    shown = list(fields)
    changed = False
    for index, output in enumerate(outputs):
        if output is None or not shows_values(output, session):
            continue
        if fields[index].table_oid and output.containers[:1] == (Container.TEXT,):
            # A cast to text is nothing to a server that holds text; to the client the column is an expression.
            shown[index] = replace(fields[index], table_oid=0, column=0)
            changed = True
        if output.type_oid is None:
            if output.resized is not None and _is_stored(fields[index]):
                shown[index] = replace(shown[index], typmod=output.resized)
                changed = True
            continue
        typmod = -1 if output.typmod is None else output.typmod
        if planned and output.planned is not None:
            typmod = output.planned
        shown[index] = replace(
            shown[index], type_oid=output.type_oid, type_size=type_size(output.type_oid), typmod=typmod
        )
        changed = True
    return tuple(shown) if changed else fields


def _is_stored(field: Field) -> bool:
    """Whether the server describes a column as it is stored, whatever the statement makes of it in between."""
    return field.type_oid == VARCHAR and field.typmod == STORED_TYPMOD


def show_parameters(oids: tuple[int, ...], prepared: Prepared) -> tuple[int, ...]:
    """The types of the client's own parameters, from those of the parameters sent upstream."""
    plan = prepared.plan
    shown = plan.shown_parameter_types or {}
    if plan.parameters is None:
        return tuple(shown.get(number, oid) for number, oid in enumerate(oids, 1))
    types: dict[int, int] = {}
    for index, parameter in enumerate(plan.parameters):
        if index < len(oids) and (parameter.source not in types or parameter.use is None):
            types[parameter.source] = oids[index]
    for number, declared in enumerate(prepared.declared, 1):
        if declared:
            types[number] = declared
    types.update(shown)
    return tuple(types.get(number, 0) for number in range(1, max(types, default=0) + 1))
