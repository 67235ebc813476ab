"""Dispatch of statements; those that neither read nor write rows pass."""

from __future__ import annotations

from pgnym.sql import copying, creating, ddl, prepared
from pgnym.sql.errors import Refused
from pgnym.sql.hints import for_statement
from pgnym.sql.infer import Node, Run, infer, split
from pgnym.sql.kinds import Row, shape
from pgnym.sql.outputs import output_columns, read_columns
from pgnym.sql.plan import StatementPlan
from pgnym.sql.resolve import Field, Scope
from pgnym.sql.searching import kept_for_later
from pgnym.sql.settle import settle
from pgnym.sql.statements import COMMANDS, UTILITIES, Planned, plan_query, utility

# Imported for the statement tags that they register.
REGISTERED = (copying, creating, ddl, prepared)

# What can't show, store or compare a value, whatever it names; the second set changes the catalog.
_HARMLESS = frozenset(
    f"{name}Stmt"
    for name in (
        "Transaction", "VariableSet", "VariableShow", "Lock", "Vacuum", "Reindex", "Cluster", "Truncate", "CheckPoint",
        "ConstraintsSet", "Listen", "Unlisten", "RefreshMatView",
    )
)  # fmt: skip
_CATALOG = frozenset(
    f"{name}Stmt"
    for name in (
        "Drop", "AlterObjectSchema", "AlterOwner", "Comment", "Grant", "GrantRole", "AlterSeq", "CreateSeq",
        "AlterDefaultPrivileges", "DropOwned", "ReassignOwned", "CreateRole", "AlterRole", "DropRole", "AlterFunction",
        "AlterObjectDepends", "SecLabel",
    )
)  # fmt: skip
# Those that hold a query which is run at once, or prepared for this session through pgnym. All others may keep it.
_EXECUTED = frozenset(
    f"{name}Stmt"
    for name in ("Prepare", "DeclareCursor", "Explain", "Copy", "Call", "Execute", "CreateTableAs")
)
# What uses the answer of a look-up now. All else keeps its expressions for later, when other values will be there.
_PASSING = frozenset(
    f"{name}Stmt" for name in ("Prepare", "DeclareCursor", "Explain", "Copy", "CreateTableAs")
)
_COMMANDS = {
    "VacuumStmt": "VACUUM",
    "VariableSetStmt": "SET",
    "VariableShowStmt": "SHOW",
    "TruncateStmt": "TRUNCATE",
    "DropStmt": "DROP",
}


def plan_statement(run: Run, node: Node, touched: bool) -> Planned:
    """Plan one statement, given as a tagged node. ``touched``: whether it names anything protected."""
    try:
        return _plan(run, node, touched)
    except Refused as refusal:
        for_statement(refusal, node)
        raise


def _plan(run: Run, node: Node, touched: bool) -> Planned:
    tag, fields = split(node)
    if tag not in COMMANDS and (tag not in _EXECUTED or fields.get("objtype") == "OBJECT_MATVIEW"):
        run.stored = "a definition"
    if tag in COMMANDS:
        return plan_query(run, node) if touched else (StatementPlan(COMMANDS[tag]), [])
    function = UTILITIES.get(tag)
    if function is not None:
        planned = function(run, fields, touched)
        if run.searches and (tag not in _PASSING or fields.get("objtype") == "OBJECT_MATVIEW"):
            raise kept_for_later(run.searches.values())
        return planned
    command = _COMMANDS.get(tag, tag.removesuffix("Stmt").upper())
    if not touched or tag in _HARMLESS:
        return StatementPlan(command), []
    if tag in _CATALOG:
        return StatementPlan(command, catalog_change=True), []
    raise Refused(
        f"statement is not supported on protected tables: {tag.removesuffix('Stmt')}",
        detail="The gateway does not know what becomes of protected columns in it.",
        hint="If it needs to see no values, run it on the server directly; `pgnym plan` then says whether all is in order.",
    )


@utility("CallStmt")
def _call(run: Run, node: Node, touched: bool) -> Planned:
    """A procedure takes tokens where its signature is configured, plain values otherwise."""
    if not touched:
        return StatementPlan("CALL"), []
    kind = infer(run, {"FuncCall": node["funccall"]}, Scope())
    known = shape(kind)
    columns = (
        tuple(map(Field, known.names, known.fields)) if isinstance(known, Row) else (Field("call", kind),)
    )
    settled = settle(run)
    outputs = output_columns(run.catalog, columns)
    plan = StatementPlan(
        "CALL",
        outputs=outputs if any(outputs) else (),
        reads=read_columns(outputs),
        parameters=settled.parameters,
        shown_parameter_types=settled.shown or None,
        sent_parameter_types=settled.sent or None,
        compares=settled.compares,
        writes=frozenset(run.writes),
        relations=frozenset(run.relations),
    )
    return plan, settled.edits


@utility("CreateSchemaStmt")
def _schema(run: Run, node: Node, touched: bool) -> Planned:
    if touched and node.get("schemaElts"):
        raise Refused(
            "CREATE SCHEMA with elements that name protected tables is not supported",
            hint="Create the elements by statements of their own.",
        )
    return StatementPlan("CREATE SCHEMA", catalog_change=True), []
