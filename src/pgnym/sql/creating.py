"""CREATE TABLE, CREATE TABLE AS, CREATE VIEW: relations that hold or show what others hold are protected as these are."""

from __future__ import annotations

from dataclasses import replace

from pgnym.sql.catalog import Relation
from pgnym.sql.derived import follow_edits, following, made_from
from pgnym.sql.errors import Refused
from pgnym.sql.guard import guards
from pgnym.sql.infer import Node, Run, infer, location, split
from pgnym.sql.kinds import PLAIN, protected
from pgnym.sql.load import exposure
from pgnym.sql.plan import StatementPlan
from pgnym.sql.prepared import prepared_as
from pgnym.sql.resolve import Field, Scope, Source
from pgnym.sql.select import query_columns
from pgnym.sql.settle import settle
from pgnym.sql.sources import relation_fields
from pgnym.sql.statements import Planned, plan_query, utility
from pgnym.sql.storing import foreign_key, must_be_plain, named_fields, scope_of, stored_default
from pgnym.sql.unify import carry

_LIKE_CONSTRAINTS = 1 << 2  # CREATE_TABLE_LIKE_CONSTRAINTS


@utility("ViewStmt")
def _view(run: Run, node: Node, touched: bool) -> Planned:
    _refuse_shadow(run, node["view"])
    if not touched:
        return StatementPlan("CREATE VIEW", catalog_change=True), []
    return _stored_query(run, node["query"], "CREATE VIEW")


def _stored_query(run: Run, query: Node, command: str) -> Planned:
    """A query that the server keeps: its columns are judged by its definition whenever it is used."""
    inner, edits = plan_query(run, query, shown=False)
    return replace(inner, command=command, outputs=(), reads=frozenset(), catalog_change=True), edits


@utility("CreateTableAsStmt")
def _create_table_as(run: Run, node: Node, touched: bool) -> Planned:
    into = node["into"]
    _refuse_shadow(run, into["rel"])
    materialized = node.get("objtype") == "OBJECT_MATVIEW"
    command = "CREATE MATERIALIZED VIEW" if materialized else "CREATE TABLE AS"
    tag, fields = split(node["query"])
    if tag == "ExecuteStmt":
        inner = prepared_as(run, fields["name"])
        run.volatile = True
        if inner is not None and (inner.outputs or inner.parameters is not None):
            raise Refused(
                "CREATE TABLE AS EXECUTE of a statement on protected tables is not supported",
                hint="Write the statement itself in its place.",
            )
        return StatementPlan(command, catalog_change=True), []
    if not touched:
        return StatementPlan(command, catalog_change=True), []
    if materialized:
        return _stored_query(run, node["query"], command)
    columns = query_columns(run, node["query"], Scope())
    for column in columns:
        carry(column.kind)
    return made_from(run, command, into, columns, keep=bool(node.get("if_not_exists")))


def _refuse_shadow(run: Run, node: Node) -> None:
    """A temporary relation hides the protected one of its name from then on."""
    temporary = node.get("relpersistence") == "t" or node.get("schemaname") == "pg_temp"
    names = {
        name
        for schema, name in run.knowledge.dependents.relations
        if not schema.startswith("pg_temp_")  # one of its own is known by its schema
    }
    if temporary and node.get("relname") in names:
        raise Refused(
            f'temporary relation "{node["relname"]}" would hide a protected one',
            detail="Names in later statements would mean another relation than pgnym takes them for.",
            hint="Give it another name.",
            position=location(node),
        )


@utility("CreateStmt")
def _create(run: Run, node: Node, touched: bool) -> Planned:
    table = node["relation"]
    _refuse_shadow(run, table)
    if not touched:
        return StatementPlan("CREATE TABLE", catalog_change=True), []
    parents = [run.relation(item["RangeVar"]) for item in node.get("inhRelations", ())]
    inherited = [Source(p.name, relation_fields(run, p), p.schema, p) for p in parents]
    modelled: list[Field] = []
    for entry in node.get("tableElts", ()):
        tag, fields = split(entry)
        match tag:
            case "TableLikeClause":
                modelled.extend(_like(run, fields, parents))
            case "ColumnDef":
                _column(run, fields, inherited)
            case "Constraint" if fields.get("contype") == "CONSTR_FOREIGN":
                known = [f for s in inherited for f in s.fields]
                foreign_key(run, fields, named_fields(fields.get("fk_attrs", ()), known))
            case "Constraint" if "raw_expr" in fields:
                must_be_plain(run, fields["raw_expr"], scope_of(inherited), "a CHECK")
    follow = following(run, table, guards(modelled, location(table), copied=False))
    settled = settle(run)
    plan = StatementPlan(
        "CREATE TABLE",
        compares=settled.compares,
        writes=frozenset(run.writes),
        relations=frozenset(run.relations),
        catalog_change=True,
        follow=follow,
    )
    return plan, [*settled.edits, *follow_edits(run, follow)]


def _like(run: Run, fields: Node, parents: list[Relation]) -> list[Field]:
    """LIKE: the columns that the new table gets, as far as the clause itself doesn't bring their CHECKs along."""
    position = location(fields["relation"])
    relation = run.relation(fields["relation"])
    if not run.concerned(relation):
        return []
    for parent in parents:
        refuse_exposure(relation, parent, position)
    columns = relation_fields(run, relation)
    if relation.protected and fields.get("options", 0) & _LIKE_CONSTRAINTS:
        return []
    return list(columns)


def _column(run: Run, definition: Node, inherited: list[Source]) -> None:
    """A column of a new table: one that it inherits may be named again, or be given a default."""
    name = definition.get("colname", "")
    known = [f for s in inherited for f in s.fields if f.name == name]
    for entry in definition.get("constraints", ()):
        constraint = entry["Constraint"]
        form = constraint.get("contype", "CONSTR_NULL")
        if form == "CONSTR_DEFAULT" and known:
            stored_default(run, constraint["raw_expr"], known[0])
        elif form == "CONSTR_FOREIGN":
            foreign_key(run, constraint, known[:1] or [Field(name, PLAIN)])
        elif form in ("CONSTR_CHECK", "CONSTR_GENERATED") and any(protected(f.kind) for f in known):
            infer(run, constraint["raw_expr"], scope_of(inherited))


def refuse_exposure(child: Relation, parent: Relation, position: int | None) -> None:
    """Raise Refused where a parent that isn't protected would show what its new child holds."""
    reason = exposure(child, parent)
    if reason is not None:
        raise Refused(
            f'making protected table "{child.name}" a child of "{parent.name}" is not supported',
            detail=f"{parent.schema}.{parent.name} would show tokens: {reason}.",
            hint="Protect the column in the parent, too, and run `pgnym apply`.",
            position=position,
        )
