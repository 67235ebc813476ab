"""Statements other than queries and data changes."""

from __future__ import annotations

from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, split
from pgnym.sql.plan import StatementPlan
from pgnym.sql.statements import COMMANDS, Planned, plan_query


def plan_statement(run: Run, node: Node, touched: bool) -> Planned:
    """Plan one statement; what touches nothing protected passes as it is."""
    tag, _fields = split(node)
    if tag in COMMANDS:
        if not touched:
            return StatementPlan(COMMANDS[tag]), []
        return plan_query(run, node)
    if not touched:
        return StatementPlan(tag.removesuffix("Stmt").upper()), []
    raise Refused(f"statement is not supported on protected tables: {tag.removesuffix('Stmt')}")
