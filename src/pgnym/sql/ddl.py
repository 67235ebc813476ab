"""Data definition on protected tables: what leaves protection as it is passes, what would undo it is refused."""

from __future__ import annotations

import re
from dataclasses import replace

from pgnym.sql.catalog import Relation
from pgnym.sql.errors import Refused
from pgnym.sql.infer import Node, Run, infer, location, split
from pgnym.sql.kinds import protected, shape
from pgnym.sql.lexer import lex
from pgnym.sql.load import exposure
from pgnym.sql.plan import StatementPlan
from pgnym.sql.prepared import prepared_as
from pgnym.sql.resolve import Item, Scope, Source
from pgnym.sql.rewrite import Edit
from pgnym.sql.select import query_columns, refuse_derived
from pgnym.sql.settle import settle
from pgnym.sql.sources import relation_fields
from pgnym.sql.statements import Planned, plan_query, utility
from pgnym.sql.unify import groupable, unsupported

_OWN_CHECK = re.compile(r"pgnym_\d+\Z")
_LIKE_CONSTRAINTS = 1 << 2  # CREATE_TABLE_LIKE_CONSTRAINTS
_HINT_APPLY = "Change the configuration, and run `pgnym apply` or `pgnym undo`."
_INDEX_METHODS = frozenset({"btree", "hash"})


def _source(run: Run, node: Node) -> tuple[Relation, Source]:
    relation = run.relation(node)
    return relation, Source(relation.name, relation_fields(run, relation), relation.schema, relation)


def _scope(source: Source) -> Scope:
    return Scope(items=[Item((source,), source.fields)])


def _changed(run: Run, command: str, edits: list[Edit] | None = None) -> Planned:
    settled = settle(run)
    plan = StatementPlan(
        command, compares=settled.compares, relations=frozenset(run.relations), catalog_change=True
    )
    return plan, (edits or []) + settled.edits


def _refuse_own_check(name: str, what: str, position: int | None = None) -> None:
    if _OWN_CHECK.match(name):
        raise Refused(
            f"{what} of constraint {name} is not supported",
            detail="The constraint keeps plaintext out of a protected column.",
            hint=_HINT_APPLY,
            position=position,
        )


@utility("IndexStmt")
def _index(run: Run, node: Node, touched: bool) -> Planned:
    if not touched:
        return StatementPlan("CREATE INDEX", catalog_change=True), []
    _relation, source = _source(run, node["relation"])
    scope = _scope(source)
    for item in node.get("indexParams", ()):
        element = item["IndexElem"]
        if "expr" in element:
            kind = infer(run, element["expr"], scope)
            if protected(kind):
                raise unsupported(kind, "an index on an expression", None)
            continue
        kinds = [f.kind for f in source.fields if f.name == element["name"]]
        if not kinds:
            raise Refused(f'column "{element["name"]}" does not exist', sqlstate="42703")
        if protected(kinds[0]):
            groupable(kinds[0], "an index", location(node["relation"]))
            if node.get("accessMethod", "btree") not in _INDEX_METHODS:
                raise unsupported(
                    kinds[0], f"an index of type {node['accessMethod']}", location(node["relation"])
                )
    if "whereClause" in node:
        infer(run, node["whereClause"], scope)
    return _changed(run, "CREATE INDEX")


@utility("ViewStmt")
def _view(run: Run, node: Node, touched: bool) -> Planned:
    _refuse_shadow(run, node["view"])
    if not touched:
        return StatementPlan("CREATE VIEW", catalog_change=True), []
    inner, edits = plan_query(run, node["query"], shown=False)
    return replace(inner, command="CREATE VIEW", outputs=(), reads=frozenset(), catalog_change=True), edits


@utility("CreateTableAsStmt")
def _create_table_as(run: Run, node: Node, touched: bool) -> Planned:
    into = node["into"]["rel"]
    _refuse_shadow(run, into)
    command = "CREATE MATERIALIZED VIEW" if node.get("objtype") == "OBJECT_MATVIEW" else "CREATE TABLE AS"
    tag, fields = split(node["query"])
    if tag == "ExecuteStmt":
        inner = prepared_as(run, fields["name"])
        run.volatile = True
        if inner is not None and (inner.outputs or inner.parameters is not None):
            raise Refused("CREATE TABLE AS EXECUTE of a statement on protected tables is not supported")
        return StatementPlan(command, catalog_change=True), []
    if not touched:
        return StatementPlan(command, catalog_change=True), []
    for column in query_columns(run, node["query"], Scope()):
        refuse_derived(column, location(into))
    return _changed(run, command)


def _refuse_shadow(run: Run, node: Node) -> None:
    """A temporary relation hides the protected one of its name from then on."""
    temporary = node.get("relpersistence") == "t" or node.get("schemaname") == "pg_temp"
    if temporary and node.get("relname") in run.knowledge.dependents.relation_names:
        raise Refused(
            f'temporary relation "{node["relname"]}" would hide a protected one',
            detail="Names in later statements would mean another relation than pgnym takes them for.",
            hint="Give it another name.",
            position=location(node),
        )


@utility("CreateStmt")
def _create(run: Run, node: Node, touched: bool) -> Planned:
    _refuse_shadow(run, node["relation"])
    if not touched:
        return StatementPlan("CREATE TABLE", catalog_change=True), []
    parents = [run.relation(item["RangeVar"]) for item in node.get("inhRelations", ())]
    for entry in node.get("tableElts", ()):
        tag, fields = split(entry)
        if tag != "TableLikeClause":
            continue
        relation = run.relation(fields["relation"])
        if relation.protected and not fields.get("options", 0) & _LIKE_CONSTRAINTS:
            raise Refused(
                f'CREATE TABLE LIKE "{relation.name}" without its constraints is not supported',
                detail="The new table's columns would not be protected.",
                hint="Write LIKE … INCLUDING CONSTRAINTS (or INCLUDING ALL).",
                position=location(fields["relation"]),
            )
        for parent in parents:
            _refuse_exposure(relation, parent, location(fields["relation"]))
        if run.concerned(relation) and not relation.protected:
            raise Refused(f'CREATE TABLE LIKE view "{relation.name}" is not supported')
    return _changed(run, "CREATE TABLE")


_FREE_ALTERATIONS = frozenset(
    f"AT_{name}"
    for name in (
        "SetNotNull", "DropNotNull", "SetStatistics", "SetOptions", "ResetOptions", "SetStorage", "SetCompression",
        "DropIndex", "ChangeOwner", "ClusterOn", "DropCluster", "SetLogged", "SetUnLogged", "SetTableSpace",
        "SetRelOptions", "ResetRelOptions", "EnableTrig", "EnableAlwaysTrig", "EnableReplicaTrig", "DisableTrig",
        "EnableTrigAll", "DisableTrigAll", "EnableTrigUser", "DisableTrigUser", "EnableRule", "DisableRule",
        "DropInherit", "DetachPartition", "DetachPartitionFinalize",
        "ReplicaIdentity", "EnableRowSecurity", "DisableRowSecurity", "ForceRowSecurity", "NoForceRowSecurity",
        "AddIdentity", "SetIdentity", "DropIdentity", "ValidateConstraint", "AlterConstraint", "DropColumn",
        "SetAccessMethod",
    )
)  # fmt: skip


# What takes a child from its parent; also when it should never have become one.
_RELEASES = frozenset({"AT_DropInherit", "AT_DetachPartition", "AT_DetachPartitionFinalize"})


@utility("AlterTableStmt")
def _alter(run: Run, node: Node, touched: bool) -> Planned:
    if not touched:
        return StatementPlan("ALTER TABLE", catalog_change=True), []
    if node.get("objtype", "OBJECT_TABLE") in ("OBJECT_INDEX", "OBJECT_SEQUENCE"):
        return StatementPlan("ALTER", catalog_change=True), []
    if all(c["AlterTableCmd"].get("subtype") in _RELEASES for c in node.get("cmds", ())):
        return StatementPlan("ALTER TABLE", catalog_change=True), []
    _relation, source = _source(run, node["relation"])
    scope = _scope(source)
    for entry in node.get("cmds", ()):
        _alteration(run, entry["AlterTableCmd"], source, scope)
    return _changed(run, "ALTER TABLE")


def _alteration(run: Run, command: Node, source: Source, scope: Scope) -> None:
    form = command.get("subtype", "AT_AddColumn")
    name = command.get("name", "")
    kind = next((f.kind for f in source.fields if f.name == name), None)
    guarded = kind is not None and protected(kind)
    match form:
        case _ if form in _FREE_ALTERATIONS:
            return
        case "AT_AddInherit" if source.relation is not None:
            parent = command["def"]["RangeVar"]
            _refuse_exposure(source.relation, run.relation(parent), location(parent))
        case "AT_AttachPartition" if source.relation is not None:
            child = command["def"]["PartitionCmd"]["name"]
            _refuse_exposure(run.relation(child), source.relation, location(child))
        case "AT_AlterColumnType" if guarded:
            raise Refused(
                f"changing the type of protected column {source.alias}.{name} is not supported",
                detail="The column holds tokens; its own type is kept in the registry.",
                hint=_HINT_APPLY,
                position=location(command["def"]["ColumnDef"]),
            )
        case "AT_AlterColumnType":
            definition = command["def"]["ColumnDef"]
            if "raw_default" in definition:
                _must_be_plain(run, definition["raw_default"], scope, "ALTER COLUMN TYPE … USING")
        case "AT_ColumnDefault":
            if guarded and "def" in command and not _is_null(command["def"]):
                raise Refused(
                    f"a default for protected column {source.alias}.{name} is not supported",
                    detail="The server would store the default as it is, which the column's CHECK refuses.",
                    hint="Let the application give the value.",
                )
        case "AT_DropConstraint":
            _refuse_own_check(name, "dropping")
        case "AT_AddConstraint":
            _constraint(run, command["def"]["Constraint"], source, scope)
        case "AT_AddColumn":
            definition = command["def"]["ColumnDef"]
            for constraint in definition.get("constraints", ()):
                _column_constraint(run, constraint["Constraint"], scope)
        case _:
            raise Refused(
                f"ALTER TABLE action is not supported on protected tables: {form.removeprefix('AT_')}"
            )


def _refuse_exposure(child: Relation, parent: Relation, position: int | None) -> None:
    reason = exposure(child, parent)
    if reason is not None:
        raise Refused(
            f'making protected table "{child.name}" a child of "{parent.name}" is not supported',
            detail=f"{parent.schema}.{parent.name} would show tokens: {reason}.",
            hint="Protect the column in the parent, too, and run `pgnym apply`.",
            position=position,
        )


def _is_null(node: Node) -> bool:
    tag, fields = split(node)
    return tag == "A_Const" and bool(fields.get("isnull"))


def _must_be_plain(run: Run, node: Node, scope: Scope, what: str) -> None:
    kind = infer(run, node, scope)
    if protected(kind):
        raise unsupported(kind, what, None)


def _constraint(run: Run, constraint: Node, source: Source, scope: Scope) -> None:
    form = constraint.get("contype", "CONSTR_NULL")
    if "conname" in constraint:
        _refuse_own_check(constraint["conname"], "adding", location(constraint))
    match form:
        case "CONSTR_CHECK":
            infer(run, constraint["raw_expr"], scope)
        case "CONSTR_UNIQUE" | "CONSTR_PRIMARY" | "CONSTR_FOREIGN":
            keys = constraint.get("keys", ()) or constraint.get("fk_attrs", ())
            for key in keys:
                name = key["String"].get("sval", "")
                for field in source.fields:
                    if field.name == name and protected(field.kind):
                        groupable(
                            shape(field.kind), "a UNIQUE or foreign key constraint", location(constraint)
                        )
        case "CONSTR_NOTNULL" | "CONSTR_NULL":
            return
        case _:
            raise Refused(
                "constraint is not supported on a protected table: " + form.removeprefix("CONSTR_"),
                position=location(constraint),
            )


def _column_constraint(run: Run, constraint: Node, scope: Scope) -> None:
    """A constraint of a new column: its CHECK may name the new column itself, which is not known yet."""
    form = constraint.get("contype", "CONSTR_NULL")
    if form == "CONSTR_GENERATED":
        _must_be_plain(run, constraint["raw_expr"], scope, "a generated column")
    elif form == "CONSTR_CHECK":
        raise Refused(
            "ADD COLUMN with a CHECK on a protected table is not supported",
            hint="Add the column first, then the constraint.",
            position=location(constraint),
        )


@utility("RenameStmt")
def _rename(run: Run, node: Node, touched: bool) -> Planned:
    if node.get("renameType") == "OBJECT_TABCONSTRAINT":
        _refuse_own_check(node.get("subname", ""), "renaming")
    return StatementPlan("ALTER", catalog_change=True), []


@utility("CreateTrigStmt")
def _trigger(run: Run, node: Node, touched: bool) -> Planned:
    if not touched or "whenClause" not in node:
        return StatementPlan("CREATE TRIGGER", catalog_change=True), []
    _relation, source = _source(run, node["relation"])
    rows = [replace(source, alias=name, schema=None) for name in ("old", "new")]
    infer(run, node["whenClause"], Scope(only_sources=rows))
    return _changed(run, "CREATE TRIGGER")


@utility("CreatePolicyStmt", "AlterPolicyStmt")
def _policy(run: Run, node: Node, touched: bool) -> Planned:
    if not touched:
        return StatementPlan("CREATE POLICY", catalog_change=True), []
    _relation, source = _source(run, node["table"])
    for clause in ("qual", "with_check"):
        if clause in node:
            infer(run, node[clause], _scope(source))
    return _changed(run, "CREATE POLICY")


@utility("CreateStatsStmt")
def _statistics(run: Run, node: Node, touched: bool) -> Planned:
    if touched:
        for item in node.get("relations", ()):
            if "RangeVar" not in item:
                raise Refused("CREATE STATISTICS only allows one table in its FROM list", sqlstate="0A000")
            _relation, source = _source(run, item["RangeVar"])
            for element in node.get("exprs", ()):
                if "expr" in element["StatsElem"]:
                    _must_be_plain(
                        run, element["StatsElem"]["expr"], _scope(source), "statistics on an expression"
                    )
    return StatementPlan("CREATE STATISTICS"), []


@utility("DoStmt", "CreateFunctionStmt")
def _opaque(run: Run, node: Node, touched: bool) -> Planned:
    """Code that pgnym doesn't follow sees tokens and can't store plaintext; constants in it would be sent as they are."""
    command = "DO" if "args" in node else "CREATE FUNCTION"
    if touched and ("sql_body" in node or any(_has_constant(b) for b in _bodies(node))):
        raise Refused(
            f"{command} with constants in a body that names protected tables is not supported",
            detail="The body is not rewritten, so its constants would reach the database as plaintext.",
            hint="Pass values as arguments, or run the statements themselves.",
        )
    return StatementPlan(command, catalog_change=command != "DO"), []


def _bodies(node: Node) -> list[str]:
    found: list[str] = []
    for option in [*node.get("args", ()), *node.get("options", ())]:
        element = option.get("DefElem", {})
        if element.get("defname") != "as":
            continue
        argument = element.get("arg", {})
        items = argument["List"]["items"] if "List" in argument else [argument]
        found.extend(i["String"].get("sval", "") for i in items if "String" in i)
    return found


def _has_constant(body: str) -> bool:
    lexed = lex(body.encode())
    return any(n in ("SCONST", "ICONST", "FCONST", "USCONST", "BCONST", "XCONST") for n in lexed.names)
