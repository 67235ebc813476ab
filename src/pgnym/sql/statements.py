"""One statement to its plan: dispatch by tag. Queries and data changes here; utility statements in ``utility.py``."""

from __future__ import annotations

from collections.abc import Callable

from pgnym.sql import casts, expressions, functions
from pgnym.sql.dml import DATA_CHANGES
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, split
from pgnym.sql.outputs import output_columns, read_columns
from pgnym.sql.plan import StatementPlan
from pgnym.sql.resolve import Scope
from pgnym.sql.rewrite import Edit
from pgnym.sql.select import query_columns
from pgnym.sql.settle import settle

# Imported for the expression tags that they register.
REGISTERED = (casts, expressions, functions)

COMMANDS = {
    "SelectStmt": "SELECT",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}

Planned = tuple[StatementPlan, list[Edit]]
Utility = Callable[[Run, Node], Planned]


def plan_query(run: Run, node: Node) -> Planned:
    """Plan a SELECT or a data-changing statement, given as a tagged node."""
    tag, _ = split(node)
    if tag != "SelectStmt" and tag not in DATA_CHANGES:
        raise Refused(f"statement is not supported on protected tables: {tag}")
    columns = query_columns(run, node, Scope())
    settled = settle(run)
    outputs = output_columns(run.catalog, columns)
    plan = StatementPlan(
        command=COMMANDS[tag],
        outputs=outputs,
        parameters=settled.parameters,
        shown_parameter_types=settled.shown or None,
        sent_parameter_types=settled.sent or None,
        reads=read_columns(outputs),
        compares=settled.compares,
        writes=frozenset(run.writes),
        relations=frozenset(run.relations),
    )
    return plan, settled.edits
