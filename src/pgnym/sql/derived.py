"""Tables made from protected columns: they are guarded by a statement that follows the one that makes them.

Both run in one transaction, so that there is no moment at which others could see or use the table unguarded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgnym.sql.catalog import Relation
from pgnym.sql.errors import Refused
from pgnym.sql.guard import guardable, guards, origins, quoted
from pgnym.sql.infer import Node, Run, location
from pgnym.sql.plan import FollowPiece, StatementPlan
from pgnym.sql.resolve import Field
from pgnym.sql.rewrite import Edit
from pgnym.sql.settle import settle
from pgnym.sql.sources import relation_fields


def made_from(
    run: Run, command: str, into: Node, columns: Sequence[Field], *, keep: bool = False
) -> tuple[StatementPlan, list[Edit]]:
    """CREATE TABLE AS and SELECT INTO: the plan, once the kinds of the query's columns are known.

    ``keep``: IF NOT EXISTS. Raises Refused for a column that can't be guarded.
    """
    table = into["rel"]
    listed = [n["String"].get("sval", "") for n in into.get("colNames", ())]
    named = [Field(listed[i] if i < len(listed) else c.name, c.kind) for i, c in enumerate(columns)]
    settled = settle(run)
    checks = guards(named, location(table))
    known = _found(run, table) if keep and checks else None
    if known is not None and not _is_alike(run, known, named):
        raise Refused(
            f'CREATE TABLE IF NOT EXISTS AS is not supported, as "{known.name}" exists and has other protected columns',
            detail="Should it be dropped meanwhile, the new table would not be guarded.",
            hint="Leave the statement out, or drop the table first.",
            position=location(table),
        )
    follow = following(run, table, checks, again=known is not None)
    plan = StatementPlan(
        command,
        parameters=settled.parameters,
        shown_parameter_types=settled.shown or None,
        sent_parameter_types=settled.sent or None,
        compares=settled.compares,
        relations=frozenset(run.relations),
        catalog_change=True,
        follow=follow,
    )
    return plan, [*settled.edits, *follow_edits(run, follow)]


def following(run: Run, table: Node, checks: Mapping[str, str], *, again: bool = False) -> tuple[str, ...]:
    """The statements that guard a table (a RangeVar) which has just been made; ``again``: or was there, guarded."""
    clauses = [f"DROP CONSTRAINT IF EXISTS {name}" for name in checks] if again else []
    clauses += [f"ADD CONSTRAINT {name} CHECK ({condition})" for name, condition in checks.items()]
    return (f"ALTER TABLE {_called(run, table)} {', '.join(clauses)}",) if clauses else ()


def follow_edits(run: Run, follow: Sequence[str]) -> list[Edit]:
    """The place of what follows in the text of a Query: behind the statement's last token."""
    text = "".join(f"; {statement}" for statement in follow)
    return [Edit(run.end, run.end, FollowPiece(text.encode()))] if text else []


def _found(run: Run, table: Node) -> Relation | None:
    """The relation that is where the new one would be made: IF NOT EXISTS then does nothing."""
    path = run.session.search_path
    if "schemaname" in table and table["schemaname"] != "pg_temp":
        schemas = [table["schemaname"]]
    elif table.get("relpersistence") == "t" or "schemaname" in table:
        schemas = [s for s in path if s.startswith("pg_temp_")]
    else:
        schemas = [s for s in path if not _implicit(s)][:1]
    found = (run.catalog.relations.get((schema, table["relname"])) for schema in schemas)
    return next((relation for relation in found if relation is not None), None)


def _is_alike(run: Run, relation: Relation, columns: Sequence[Field]) -> bool:
    """Whether a table has the columns that a query brings, with values from the same origins."""
    known = {f.name: _origin_ids(f) for f in relation_fields(run, relation)}
    return relation.broken is None and known == {f.name: _origin_ids(f) for f in columns}


def _origin_ids(field: Field) -> frozenset[int]:
    token = guardable(field.kind)
    return frozenset() if token is None else frozenset(p.id for p in origins(token))


def _implicit(schema: str) -> bool:
    """Whether a schema may be searched without being in search_path, and so before those in which tables are made."""
    return schema == "pg_catalog" or schema.startswith("pg_temp_")


def _called(run: Run, table: Node) -> str:
    """The name by which the new table can be called right after it was made."""
    name = quoted(table["relname"])
    if "schemaname" in table:
        return f"{quoted(table['schemaname'])}.{name}"
    if table.get("relpersistence") == "t":
        return f"pg_temp.{name}"
    for schema in run.session.search_path:
        if not _implicit(schema):
            break
        if (schema, table["relname"]) in run.catalog.relations:
            raise Refused(
                f'the new table would be hidden by "{schema}.{table["relname"]}"',
                hint="Write the new table's schema, or give it another name.",
                position=location(table),
            )
    return name
