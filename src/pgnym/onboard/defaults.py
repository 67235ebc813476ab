"""Column defaults: constants become tokens and back.

A default is text in the catalog. It is evaluated, and set, by statements that are put together on the server (EXECUTE in
a DO block), so that no statement we send, and no log of statements, holds its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgnym.onboard.model import Column, Connection, Mode, Table, TableWork, quoted

SCRATCH = "pgnym_defaults"

EVALUATE = """
DO $do$
DECLARE r record;
BEGIN
  FOR r IN
    SELECT a.attname AS name, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression,
      pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
    FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      JOIN pg_temp.pgnym_defaults s ON s.name = a.attname
    WHERE d.adrelid = (SELECT t.oid FROM pg_temp.pgnym_defaults t LIMIT 1)
  LOOP
    EXECUTE pg_catalog.format(
      'UPDATE pg_temp.pgnym_defaults SET value = x.v FROM (SELECT CASE WHEN w IS NOT NULL THEN pg_catalog.format(''%%s'', w)'
      ' END AS v FROM (SELECT (%s)::%s AS w) y) x WHERE name = %L', r.expression, r.type, r.name);
  END LOOP;
END
$do$
"""

SET = """
DO $do$
DECLARE r record;
BEGIN
  FOR r IN
    SELECT s.name, s.value, s.type, n.nspname, c.relname
    FROM pg_temp.pgnym_defaults s JOIN pg_catalog.pg_class c ON c.oid = s.oid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LOOP
    EXECUTE pg_catalog.format(
      'ALTER TABLE %I.%I ALTER COLUMN %I SET DEFAULT %L::%s', r.nspname, r.relname, r.name, r.value, r.type);
  END LOOP;
END
$do$
"""


async def take(app: Connection, work: TableWork) -> dict[str, str]:
    """Drop the defaults of the columns that are constants; returns their values. NULL and empty ones stay."""
    columns = [c.column for c in work.columns if c.mode is Mode.PROTECT]
    return {name: value for name, value in (await drop(app, work.table, columns)).items() if value}


async def take_tokens(app: Connection, table: Table, columns: Sequence[Column]) -> dict[str, str]:
    """Drop the defaults that are tokens, or hold some; returns them."""
    return await drop(app, table, columns)


async def drop(app: Connection, table: Table, columns: Sequence[Column]) -> dict[str, str]:
    """The values of the columns' defaults, canonical; those that are not NULL or empty are dropped."""
    names = [column.name for column in columns if column.default is not None]
    if not names:
        return {}
    await begin(app, [(name, None, None, table.oid) for name in names])
    await app.execute(EVALUATE)
    found = await app.fetch("SELECT name, value FROM pg_temp.pgnym_defaults WHERE value <> ''")
    await app.execute(f"DROP TABLE pg_temp.{SCRATCH}")
    for name, _ in found:
        await app.execute(f"ALTER TABLE {table.sql} ALTER COLUMN {quoted(name)} DROP DEFAULT")
    return {row[0]: row[1] for row in found}


async def give(app: Connection, table: Table, values: Mapping[str, tuple[str, str]]) -> None:
    """Set defaults: column → (value, type)."""
    if values:
        await begin(app, [(name, value, type_name, table.oid) for name, (value, type_name) in values.items()])
        await app.execute(SET)
        await app.execute(f"DROP TABLE pg_temp.{SCRATCH}")


async def begin(app: Connection, records: Sequence[tuple[str, str | None, str | None, int]]) -> None:
    """Fill the scratch table by COPY, whose data is not logged."""
    await app.execute(
        f"CREATE TEMPORARY TABLE {SCRATCH} (name text, value text, type text, oid oid) ON COMMIT DROP"
    )
    await app.copy_records_to_table(SCRATCH, schema_name="pg_temp", records=records)
