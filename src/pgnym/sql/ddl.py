"""Data definition on protected tables: what leaves protection as it is passes, what would undo it is refused."""

from __future__ import annotations

from dataclasses import replace

from pgnym.sql.catalog import Relation
from pgnym.sql.creating import refuse_exposure
from pgnym.sql.errors import Refused
from pgnym.sql.guard import CHECK_NAME
from pgnym.sql.infer import Node, Run, infer, is_null, location
from pgnym.sql.kinds import PLAIN, ArrayOf, Document, Token, protected, shape
from pgnym.sql.lexer import lex
from pgnym.sql.plan import StatementPlan
from pgnym.sql.resolve import Field, Scope, Source
from pgnym.sql.settle import settle
from pgnym.sql.sources import relation_fields
from pgnym.sql.statements import Planned, utility
from pgnym.sql.storing import foreign_key, must_be_plain, named_fields, scope_of, stored_default, unique
from pgnym.sql.unify import groupable, unsupported

_HINT_APPLY = "Change the configuration, and run `pgnym apply` or `pgnym undo`."
_INDEX_METHODS = frozenset({"btree", "hash"})


def _source(run: Run, node: Node) -> tuple[Relation, Source]:
    relation = run.relation(node)
    return relation, Source(relation.name, relation_fields(run, relation), relation.schema, relation)


def _scope(source: Source) -> Scope:
    return scope_of([source])


def _changed(run: Run, command: str) -> Planned:
    settled = settle(run)
    plan = StatementPlan(
        command,
        compares=settled.compares,
        writes=frozenset(run.writes),
        relations=frozenset(run.relations),
        catalog_change=True,
    )
    return plan, settled.edits


def _refuse_own_check(name: str, what: str, position: int | None = None) -> None:
    if CHECK_NAME.match(name):
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
            if isinstance(shape(kind), Token):  # a string of a jsonb value
                groupable(kind, "an index", location(node["relation"]))
            elif protected(kind):
                raise unsupported(kind, "an index on an expression", None)
            continue
        kinds = [f.kind for f in source.fields if f.name == element["name"]]
        if not kinds:
            raise Refused(f'column "{element["name"]}" does not exist', sqlstate="42703")
        if protected(kinds[0]):
            method = node.get("accessMethod", "btree")
            within = method == "gin" and isinstance(shape(kinds[0]), ArrayOf | Document)
            if not within:
                groupable(kinds[0], "an index", location(node["relation"]))
            if method not in _INDEX_METHODS and not within:
                raise unsupported(
                    kinds[0], f"an index of type {node['accessMethod']}", location(node["relation"])
                )
    if "whereClause" in node:
        infer(run, node["whereClause"], scope)
    return _changed(run, "CREATE INDEX")


_FREE_ALTERATIONS = frozenset(
    f"AT_{name}"
    for name in (
        "SetNotNull", "DropNotNull", "SetStatistics", "SetOptions", "ResetOptions", "SetStorage", "SetCompression",
        "DropIndex", "ChangeOwner", "ClusterOn", "DropCluster", "SetLogged", "SetUnLogged", "SetTableSpace",
        "SetRelOptions", "ResetRelOptions", "EnableTrig", "EnableAlwaysTrig", "EnableReplicaTrig", "DisableTrig",
        "EnableTrigAll", "DisableTrigAll", "EnableTrigUser", "DisableTrigUser", "EnableRule", "DisableRule",
        "DropInherit", "DetachPartition", "DetachPartitionFinalize",
        "ReplicaIdentity", "EnableRowSecurity", "DisableRowSecurity", "ForceRowSecurity", "NoForceRowSecurity",
        "AddIdentity", "SetIdentity", "DropIdentity", "ValidateConstraint", "DropColumn",
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
    field = next((f for f in source.fields if f.name == name), Field(name, PLAIN))
    guarded = protected(field.kind)
    match form:
        case _ if form in _FREE_ALTERATIONS:
            return
        case "AT_AddInherit" if source.relation is not None:
            parent = command["def"]["RangeVar"]
            refuse_exposure(source.relation, run.relation(parent), location(parent))
        case "AT_AttachPartition" if source.relation is not None:
            child = command["def"]["PartitionCmd"]["name"]
            refuse_exposure(run.relation(child), source.relation, location(child))
        case "AT_AlterConstraint":
            _refuse_own_check(name, "altering")
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
                must_be_plain(run, definition["raw_default"], scope, "ALTER COLUMN TYPE … USING")
        case "AT_ColumnDefault":
            if "def" in command and not is_null(command["def"]):
                stored_default(run, command["def"], field)
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


def _constraint(run: Run, constraint: Node, source: Source, scope: Scope) -> None:
    form = constraint.get("contype", "CONSTR_NULL")
    if "conname" in constraint:
        _refuse_own_check(constraint["conname"], "adding", location(constraint))
    match form:
        case "CONSTR_CHECK":
            infer(run, constraint["raw_expr"], scope)
        case "CONSTR_UNIQUE" | "CONSTR_PRIMARY":
            unique(named_fields(constraint.get("keys", ()), source.fields), location(constraint))
        case "CONSTR_FOREIGN":
            foreign_key(run, constraint, named_fields(constraint.get("fk_attrs", ()), source.fields))
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
        must_be_plain(run, constraint["raw_expr"], scope, "a generated column")
    elif form == "CONSTR_FOREIGN":
        foreign_key(run, constraint, [Field("", PLAIN)])
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
        _refuse_own_check(node.get("newname", ""), "adding")
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


@utility("RuleStmt")
def _rule(run: Run, node: Node, touched: bool) -> Planned:
    """A rule puts statements of its own in place of the application's: pgnym would plan one and the server run another."""
    if touched and (node.get("actions") or "whereClause" in node):
        raise Refused(
            "CREATE RULE on protected tables with actions or a condition is not supported",
            detail="The server would run other statements than those that pgnym has planned.",
            hint="Use a trigger, or INSTEAD NOTHING.",
            position=location(node["relation"]),
        )
    return StatementPlan("CREATE RULE", catalog_change=True), []


@utility("CreatePublicationStmt", "AlterPublicationStmt")
def _publication(run: Run, node: Node, touched: bool) -> Planned:
    """Subscribers get the tokens. A row filter may compare by them."""
    for item in node.get("pubobjects", ()):
        table = item["PublicationObjSpec"].get("pubtable", {})
        if touched and "whereClause" in table:
            _relation, source = _source(run, table["relation"])
            infer(run, table["whereClause"], _scope(source))
    return _changed(run, "PUBLICATION") if touched else (StatementPlan("PUBLICATION"), [])


@utility("CreateStatsStmt")
def _statistics(run: Run, node: Node, touched: bool) -> Planned:
    if touched:
        for item in node.get("relations", ()):
            if "RangeVar" not in item:
                raise Refused("CREATE STATISTICS only allows one table in its FROM list", sqlstate="0A000")
            _relation, source = _source(run, item["RangeVar"])
            for element in node.get("exprs", ()):
                if "expr" in element["StatsElem"]:
                    must_be_plain(
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
