"""The rights that a plan needs of its session's role, told without running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgnym.policy.roles import RolePolicy
from pgnym.sql.plan import LiteralPiece, LookupPiece, Rewrite, Use, ValueUse


@dataclass(frozen=True, order=True, slots=True)
class Right:
    """``verb`` ("compare" or "write") plaintext in ``column`` (``schema.table.column``)."""

    verb: str
    column: str


def needed(rewrite: Rewrite) -> frozenset[Right]:
    """All rights that the gateway will ask for when the statements are sent."""
    found: set[Right] = set()
    for use in uses(rewrite):
        verb = "write" if use.use is Use.WRITE else "compare"
        found.update(Right(verb, column) for column in use.columns or (use.protection.column,))
    for piece in rewrite.pieces:
        if isinstance(piece, LookupPiece):
            found.update(Right("compare", column) for column in piece.lookup.columns)
    return frozenset(found)


def missing(rewrite: Rewrite, role: RolePolicy, purpose: str | None = None) -> tuple[Right, ...]:
    """Those that the role does not have for the stated purpose: the statement will be refused with 42501."""
    return tuple(
        sorted(
            right
            for right in needed(rewrite)
            if not (role.may_write if right.verb == "write" else role.may_compare)(right.column, purpose)
        )
    )


def uses(rewrite: Rewrite) -> Iterator[ValueUse]:
    """Every constant, parameter and COPY column that becomes a token."""
    for piece in rewrite.pieces:
        if isinstance(piece, LiteralPiece):
            yield piece.use
    for statement in rewrite.statements:
        for parameter in statement.parameters or ():
            if parameter.use is not None:
                yield parameter.use
        if statement.copy is not None:
            yield from (use for use in statement.copy.columns if use is not None)
