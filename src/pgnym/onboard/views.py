"""Views over a column whose type changes: PostgreSQL refuses the change while they stand.

They are taken down and put up again in the same transaction, with all that belongs to them: owner, grants, comments,
options, defaults, triggers, rules; and for materialized views their indexes and their contents.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import Connection, quoted

DEPENDENTS = """
WITH RECURSIVE uses(view, depth) AS (
  SELECT r.ev_class, 1
  FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::bigint::oid
    AND d.refobjsubid = ANY ($2::int[] || 0) AND r.ev_class <> d.refobjid
  UNION
  SELECT r.ev_class, u.depth + 1
  FROM uses u JOIN pg_depend d ON d.refobjid = u.view
      AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid
  WHERE r.ev_class <> u.view
)
SELECT c.oid::bigint, c.oid::regclass::text, c.relkind = 'm', c.relispopulated
FROM pg_class c JOIN (SELECT view, max(depth) AS depth FROM uses GROUP BY view) u ON u.view = c.oid
WHERE c.relkind IN ('v', 'm') ORDER BY u.depth, c.oid
"""

VIEW = """
SELECT c.oid::regclass::text AS name, c.relkind = 'm' AS materialized, pg_get_viewdef(c.oid) AS body,
  c.reloptions AS options, quote_ident(r.rolname) AS owner, obj_description(c.oid, 'pg_class') AS comment,
  quote_ident(t.spcname) AS tablespace, quote_ident(m.amname) AS method
FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
  LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace LEFT JOIN pg_am m ON m.oid = c.relam
WHERE c.oid = $1::bigint::oid
"""

VIEW_COLUMNS = """
SELECT quote_ident(a.attname), col_description(a.attrelid, a.attnum), pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

ATTACHED = """
SELECT 'INDEX', pg_get_indexdef(i.indexrelid), i.indexrelid::regclass::text, obj_description(i.indexrelid, 'pg_class')
FROM pg_index i WHERE i.indrelid = $1::bigint::oid
UNION ALL
SELECT 'TRIGGER', pg_get_triggerdef(t.oid), quote_ident(t.tgname) || ' ON ' || t.tgrelid::regclass,
  obj_description(t.oid, 'pg_trigger')
FROM pg_trigger t WHERE t.tgrelid = $1::bigint::oid AND NOT t.tgisinternal
UNION ALL
SELECT 'RULE', pg_get_ruledef(r.oid), quote_ident(r.rulename) || ' ON ' || r.ev_class::regclass,
  obj_description(r.oid, 'pg_rewrite')
FROM pg_rewrite r WHERE r.ev_class = $1::bigint::oid AND r.rulename <> '_RETURN'
ORDER BY 1, 3
"""

GRANTS = """
WITH acl AS (
  SELECT '' AS col, x.* FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x
  WHERE c.oid = $1::text::regclass
  UNION ALL
  SELECT quote_ident(a.attname), x.* FROM pg_attribute a, aclexplode(a.attacl) x
  WHERE a.attrelid = $1::text::regclass AND NOT a.attisdropped
)
SELECT col, CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, privilege_type,
  is_grantable
FROM acl
"""


@dataclass(frozen=True, slots=True)
class Dependent:
    """A view over a table. ``name`` is quoted where it needs to be."""

    oid: int
    name: str
    materialized: bool
    populated: bool


async def dependents(app: Connection, table_oid: int, attnums: Collection[int]) -> list[Dependent]:
    """Views over these columns, directly or through other views; each after those that it uses."""
    return [Dependent(*row) for row in await app.fetch(DEPENDENTS, table_oid, list(attnums))]


@dataclass(frozen=True, slots=True)
class Grant:
    """One entry of an access control list; ``column`` is empty for the whole relation. Names are quoted."""

    column: str
    grantee: str
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True)
class View:
    """What is needed to put a view up again. ``after``: statements to be run once it is created, in order."""

    name: str
    drop: str
    create: str
    after: tuple[str, ...]
    grants: tuple[Grant, ...]


async def capture(app: Connection, oid: int) -> View:
    """Everything of a view, as statements."""
    row = await app.fetchrow(VIEW, oid)
    columns = await app.fetch(VIEW_COLUMNS, oid)
    if row is None:
        raise OnboardError("a view is gone that was there a moment ago", "run it again")
    name = row["name"]
    kind = "MATERIALIZED VIEW" if row["materialized"] else "VIEW"
    create = f"CREATE {kind} {name} ({', '.join(c[0] for c in columns)})"
    if row["materialized"] and row["method"]:
        create += f" USING {row['method']}"
    if row["options"]:
        create += f" WITH ({', '.join(option_sql(o) for o in row['options'])})"
    if row["tablespace"]:
        create += f" TABLESPACE {row['tablespace']}"
    create += f" AS {row['body'].rstrip().removesuffix(';')}" + (
        " WITH NO DATA" if row["materialized"] else ""
    )
    after = [f"ALTER {kind} {name} OWNER TO {row['owner']}"]
    if row["comment"] is not None:
        after.append(f"COMMENT ON {kind} {name} IS {literal(row['comment'])}")
    for column, comment, default in columns:
        if comment is not None:
            after.append(f"COMMENT ON COLUMN {name}.{column} IS {literal(comment)}")
        if default is not None:
            after.append(f"ALTER VIEW {name} ALTER COLUMN {column} SET DEFAULT {default}")
    for what, definition, attached, comment in await app.fetch(ATTACHED, oid):
        after.append(definition)
        if comment is not None:
            after.append(f"COMMENT ON {what} {attached} IS {literal(comment)}")
    return View(name, f"DROP {kind} {name}", create, tuple(after), tuple(await grants(app, name)))


async def grants(app: Connection, name: str) -> list[Grant]:
    """The privileges on a relation and its columns, the owner's own included."""
    return [Grant(*row) for row in await app.fetch(GRANTS, name)]


async def restore(app: Connection, views: Sequence[View]) -> None:
    """Create views again with what belongs to them; default privileges that a new relation gets are taken back.

    Grants are given by the owner, also those that a grantee had passed on.
    """
    for view in views:
        await app.execute(view.create)
        for statement in view.after:
            await app.execute(statement)
        for grant in await grants(app, view.name):
            columns = f" ({grant.column})" if grant.column else ""
            await app.execute(
                f"REVOKE {grant.privilege}{columns} ON {view.name} FROM {grant.grantee} CASCADE"
            )
        for grant in view.grants:
            columns = f" ({grant.column})" if grant.column else ""
            option = " WITH GRANT OPTION" if grant.grantable else ""
            await app.execute(f"GRANT {grant.privilege}{columns} ON {view.name} TO {grant.grantee}{option}")


async def take_down(app: Connection, tables: Collection[tuple[int, Collection[int]]]) -> list[View]:
    """Drop the views over these columns of these tables (OID, attnums); returns them in the order to restore them."""
    found = await over(app, tables)
    views = [await capture(app, view.oid) for view in found]
    for view in reversed(views):
        await app.execute(view.drop)
    return views


async def over(app: Connection, tables: Collection[tuple[int, Collection[int]]]) -> list[Dependent]:
    """Views over any of these columns of these tables (OID, attnums), each after those that it uses."""
    order: dict[int, Dependent] = {}
    for oid, attnums in tables:
        if attnums:
            for view in await dependents(app, oid, attnums):
                # One that was listed for an earlier table moves behind what it uses of this one.
                order.pop(view.oid, None)
                order[view.oid] = view
    return list(order.values())


async def refresh(app: Connection, views: Collection[Dependent]) -> list[str]:
    """Compute the materialized ones among ``views`` anew, in order, unless never filled; returns their names."""
    names = [view.name for view in views if view.materialized and view.populated]
    for name in names:
        await app.execute(f"REFRESH MATERIALIZED VIEW {name}")
    return names


def option_sql(option: str) -> str:
    """``name=value`` of pg_class.reloptions as it is written in WITH."""
    name, _, value = option.partition("=")
    return f"{quoted(name)} = {literal(value)}"


def literal(text: str) -> str:
    """A string constant; ``standard_conforming_strings`` is on."""
    return "'" + text.replace("'", "''") + "'"
