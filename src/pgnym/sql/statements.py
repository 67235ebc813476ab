"""One statement to its plan: dispatch by tag. Queries and data changes here; utility statements in ``utility.py``."""

from __future__ import annotations

from collections.abc import Callable

from pgnym.sql import casts, choices, expressions, functions, json_constructors, json_functions
from pgnym.sql.derived import made_from
from pgnym.sql.dml import DATA_CHANGES
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, split
from pgnym.sql.outputs import output_columns, read_columns
from pgnym.sql.plan import StatementPlan
from pgnym.sql.resolve import Scope
from pgnym.sql.rewrite import Edit
from pgnym.sql.select import query_columns
from pgnym.sql.settle import settle
from pgnym.sql.unify import carry

# Imported for the expression tags that they register.
REGISTERED = (casts, choices, expressions, functions, json_constructors, json_functions)

COMMANDS = {
    "SelectStmt": "SELECT",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}

Planned = tuple[StatementPlan, list[Edit]]
Utility = Callable[[Run, Node, bool], Planned]
UTILITIES: dict[str, Utility] = {}


def utility(*tags: str) -> Callable[[Utility], Utility]:
    """Register the function that plans statements with these tags: (run, fields, whether anything protected is named)."""

    def register(function: Utility) -> Utility:
        for tag in tags:
            UTILITIES[tag] = function
        return function

    return register


def plan_query(run: Run, node: Node, *, shown: bool = True) -> Planned:
    """Plan a SELECT or a data-changing statement, given as a tagged node. ``shown``: its result goes to the client."""
    tag, fields = split(node)
    if tag != "SelectStmt" and tag not in DATA_CHANGES:
        raise Refused(f"statement is not supported on protected tables: {tag}")
    run.deferring = shown and not _makes_table(fields)
    columns = query_columns(run, node, Scope())
    for column in columns:
        carry(column.kind)
    if run.into is not None:
        return made_from(run, "SELECT INTO", run.into, columns)
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
        deferred=any(o is not None and o.deferrals for o in outputs),
    )
    return plan, settled.edits


def _makes_table(query: Node) -> bool:
    """Whether a query is a SELECT INTO; of a set operation the first one says it."""
    while "larg" in query:
        query = query["larg"]
    return "intoClause" in query
