"""Reading the app database: tables, columns, constraints. All names come out schema-qualified."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from pgnym.onboard import storage
from pgnym.onboard.model import Column, Connection, Row, Table, quoted

# The canonical value is what PostgreSQL prints under these (docs/decisions, on the canonical value).
CANONICAL_SETTINGS = {
    "search_path": "",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "row_security": "off",  # an error rather than rows left out
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
}

ALL_TABLES = """
SELECT n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'vault')
  AND n.nspname NOT LIKE 'pg\\_t%'
ORDER BY 1
"""

TABLE = """
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, pg_has_role(c.relowner, 'USAGE') AS owned,
  c.relforcerowsecurity
    AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS forced,
  p.partattrs::int2[] AS partition_columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
WHERE n.nspname = $1 AND c.relname = $2
"""

TREE = """
WITH RECURSIVE tree(oid) AS (
  SELECT $1::bigint::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid
)
SELECT n.nspname, c.relname, c.reltuples::bigint AS rows, c.relkind::text AS kind,
  CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) ELSE 0 END AS bytes
FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY c.oid
"""

COLUMNS = """
SELECT a.attname, a.attnum, a.atttypid::bigint, a.atttypmod, format_type(a.atttypid, a.atttypmod), t.typtype::text,
  t.typname,
  CASE WHEN a.attcollation <> t.typcollation THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
  CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
  a.attidentity <> '', a.attgenerated <> '', a.attinhcount > 0, col_description(a.attrelid, a.attnum)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

BINDINGS = """
SELECT substring(k.conname FROM '^pgnym_([0-9]{1,9})')::int, n.nspname, c.relname, a.attname, k.convalidated, k.conname
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
WHERE k.contype = 'c' AND k.conname ~ '^pgnym_[0-9]{1,9}(_[0-9]+)?$' AND k.coninhcount = 0 AND cardinality(k.conkey) = 1
  AND n.nspname !~ '^pg_temp'
ORDER BY c.oid, k.conname
"""

FOREIGN_KEYS = """
SELECT k.oid::bigint, k.conname, k.conrelid::bigint, k.conrelid::regclass::text, k.confrelid::bigint,
  k.confrelid::regclass::text, k.conkey, k.confkey, pg_get_constraintdef(k.oid)
FROM pg_constraint k
WHERE k.contype = 'f' AND k.conparentid = 0 AND $1::bigint::oid IN (k.conrelid, k.confrelid)
ORDER BY k.oid
"""


@asynccontextmanager
async def pinned(
    app: Connection, isolation: Literal["read_committed", "repeatable_read"] = "read_committed"
) -> AsyncIterator[None]:
    """A transaction under the fixed settings."""
    async with app.transaction(isolation=isolation):
        for name, value in CANONICAL_SETTINGS.items():
            await app.execute(f"SET LOCAL {name} = '{value}'")
        yield


async def all_tables(app: Connection) -> list[str]:
    """``schema.table`` of each table, for hints."""
    return [row[0] for row in await app.fetch(ALL_TABLES)]


async def table(app: Connection, schema: str, name: str) -> Table | None:
    """The table, or None."""
    row = await app.fetchrow(TABLE, schema, name)
    if row is None:
        return None
    leaves = await app.fetch(TREE, row["oid"])
    return Table(
        oid=row["oid"],
        schema=schema,
        name=name,
        kind="foreign" if any(leaf["kind"] == "f" for leaf in leaves) else row["kind"],
        owned=row["owned"],
        forced_rls=row["forced"],
        rows=await row_count(app, leaves, may_count=row["owned"] and not row["forced"]),
        columns={row[0]: Column(*row) for row in await app.fetch(COLUMNS, row["oid"])},
        leaves=tuple(f"{quoted(leaf[0])}.{quoted(leaf[1])}" for leaf in leaves if leaf["kind"] == "r"),
        partition_columns=frozenset(row["partition_columns"] or ()),
    )


ROW_BYTES = 100  # of a row with its header, a guess on the high side of their number
COUNTED_BYTES = 16 << 20  # a table this small is counted in no time


async def row_count(app: Connection, leaves: Sequence[Row], *, may_count: bool) -> int:
    """About how many rows a table has: counted where it was never analyzed and is small, else by its size.

    The planner's estimate is -1 (0 before PostgreSQL 14) until VACUUM or ANALYZE has been there.
    """
    total = 0
    for leaf in leaves:
        if leaf["kind"] != "r":
            continue
        if leaf["rows"] > 0 or leaf["bytes"] == 0:
            total += max(leaf["rows"], 0)
        elif may_count and leaf["bytes"] <= COUNTED_BYTES:
            name = f"{quoted(leaf['nspname'])}.{quoted(leaf['relname'])}"
            total += await app.fetchval(f"SELECT count(*) FROM ONLY {name}")  # noqa: S608 - quoted
        else:
            total += leaf["bytes"] // ROW_BYTES
    return total


@dataclass(frozen=True, slots=True)
class Binding:
    """A CHECK named ``pgnym_<id>`` on a column of a table (not those that children inherit).

    Tables made from a protected one, by LIKE or a query, have one of the same id (``sql/guard.py``): they are its copies.
    """

    id: int
    schema: str
    table: str
    column: str
    validated: bool
    name: str

    @property
    def place(self) -> tuple[str, str, str]:
        """Schema, table and column."""
        return self.schema, self.table, self.column


async def all_bindings(app: Connection) -> list[Binding]:
    """All of them, those of copies too; temporary tables left out."""
    return [Binding(*row) for row in await app.fetch(BINDINGS)]


async def bindings(app: Connection, places: Mapping[int, tuple[str, str, str]]) -> dict[int, Binding]:
    """By registry id, that of the column which the registry means. ``places``: where the registry last saw each."""
    return originals(await all_bindings(app), places)


def originals(found: Sequence[Binding], places: Mapping[int, tuple[str, str, str]]) -> dict[int, Binding]:
    """Of each id the one at its place; where that is none (it was renamed), the first that was made."""
    chosen: dict[int, Binding] = {}
    for binding in found:
        if binding.name != storage.check_name(binding.id):
            continue  # made by a query
        if binding.id not in chosen or binding.place == places.get(binding.id):
            chosen[binding.id] = binding
    return chosen


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: (referring, referred) attnum pairs, the tables by OID and quoted name."""

    oid: int
    name: str
    table_oid: int
    table: str
    referred_oid: int
    referred: str
    pairs: tuple[tuple[int, int], ...]
    definition: str


async def foreign_keys(app: Connection, table_oid: int) -> list[ForeignKey]:
    """Foreign keys from and to a table, those of partitions left out (they come with their parent's)."""
    rows = await app.fetch(FOREIGN_KEYS, table_oid)
    return [
        ForeignKey(
            row[0], row[1], row[2], row[3], row[4], row[5], tuple(zip(row[6], row[7], strict=True)), row[8]
        )
        for row in rows
    ]
