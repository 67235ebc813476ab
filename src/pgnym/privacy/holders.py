"""Where tokens lie in the application's database, and which of a given set of tokens any row still holds.

What holds tokens is told by the CHECK constraints ``pgnym_<id>`` of the columns themselves, so renamed columns and copies
of tables are found as well; what an id means is told by the registry in the vault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from pgnym.privacy.errors import PrivacyError
from pgnym.vault.tokens import domain_id, prefix

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

NAMED = """('"' || replace(n.nspname, '"', '""') || '"."' || replace(c.relname, '"', '""') || '"')"""
"""A table ``c`` of schema ``n``, in SQL, as ``Holder.sql`` spells it in Python."""
_CHUNK = 5000  # tokens in one question

_REGISTERED = """
SELECT p.id, p.domain_id, d.name, d.randomized, p.casefold, p.codec_oid::bigint, p.path, p.normalize, p.state,
  p.schema_name || '.' || p.table_name || '.' || p.column_name
FROM vault.protected_column p JOIN vault.domain d ON d.id = p.domain_id ORDER BY p.id
"""
_BOUND = """
SELECT substring(k.conname FROM '^pgnym_([0-9]{1,9})')::int, n.nspname, c.relname, a.attname,
  pg_catalog.format_type(a.atttypid, -1), a.attnotnull, t.typcategory = 'A', k.convalidated
FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE k.contype = 'c' AND k.conname ~ '^pgnym_[0-9]{1,9}(_[0-9]+)?$' AND k.coninhcount = 0 AND cardinality(k.conkey) = 1
  AND n.nspname !~ '^pg_temp'
ORDER BY n.nspname, c.relname, a.attnum, k.conname
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """A column that holds tokens, or a path within one. ``codec_oid``: the type of the values."""

    schema: str
    table: str
    column: str
    type: str
    not_null: bool
    array: bool
    domain_id: int
    domain: str
    randomized: bool
    casefold: bool
    codec_oid: int
    path: str
    normalize: str

    @property
    def label(self) -> str:
        """``schema.table``."""
        return f"{self.schema}.{self.table}"

    @property
    def name(self) -> str:
        """``schema.table.column``, and the path behind another dot."""
        return f"{self.label}.{self.column}" + (f".{self.path}" if self.path else "")

    @property
    def sql(self) -> str:
        """The table as SQL."""
        return f"{quoted(self.schema)}.{quoted(self.table)}"

    @property
    def prefix(self) -> bytes:
        """The six bytes that its tokens start with."""
        return prefix(self.domain_id)

    @property
    def pattern(self) -> str:
        """Its tokens as a regular expression, of PostgreSQL's and of Python's."""
        return f"{self.prefix.decode()}[a-z2-7]{{24}}"

    @property
    def whole(self) -> bool:
        """Whether the column's value is one token, not something with tokens in it."""
        return not (self.array or self.path)


async def holders(app: Connection, vault: Connection) -> list[Holder]:
    """All columns that hold tokens.

    Raises PrivacyError while a column is being protected or given back, or has lost its CHECK: then what rows hold which
    tokens can't be told for sure.
    """
    registered = {row[0]: row for row in await vault.fetch(_REGISTERED)}
    bound = await app.fetch(_BOUND)
    valid = {row[0] for row in bound if row[7]}
    for identifier, row in registered.items():
        if row["state"] != "protected" or identifier not in valid:
            raise PrivacyError(
                f"{row[9]} is not protected in full, so what it holds can't be told",
                hint="Run `pgnym apply`, or finish `pgnym undo`, first.",
            )
    found = []
    for identifier, schema, table, column, type_name, not_null, array, _ in bound:
        if identifier not in registered:
            raise PrivacyError(
                f"{schema}.{table}.{column} has a CHECK of pgnym's, but the vault doesn't know it",
                hint="Is this the vault of that database?",
            )
        _, domain, name, randomized, casefold, codec, path, normalize, *_ = registered[identifier]
        found.append(
            Holder(
                schema,
                table,
                column,
                type_name,
                not_null,
                array,
                domain,
                name,
                randomized,
                casefold,
                codec,
                path,
                normalize,
            )
        )
    return found


async def referenced(
    app: Connection, everywhere: Iterable[Holder], tokens: Collection[bytes]
) -> dict[str, set[bytes]]:
    """By name of a column, those of the tokens that some row of it holds; columns that hold none are left out.

    An index on a column that holds nothing but a token is used; else a table is read as a whole.
    """
    by_domain: dict[int, list[str]] = {}
    for token in tokens:
        by_domain.setdefault(domain_id(token), []).append(token.decode("ascii"))
    found: dict[str, set[bytes]] = {}
    for holder in everywhere:
        wanted = by_domain.get(holder.domain_id, [])
        for start in range(0, len(wanted), _CHUNK):
            rows = await app.fetch(_question(holder), wanted[start : start + _CHUNK])
            if rows:
                found.setdefault(holder.name, set()).update(row[0].encode("ascii") for row in rows)
    return found


def _question(holder: Holder) -> str:
    column = quoted(holder.column)
    if holder.whole:
        return (
            f"SELECT DISTINCT {column}::text FROM {holder.sql}"  # noqa: S608 - names are quoted
            f" WHERE {column} = ANY ($1::text[]::{holder.type}[])"
        )
    return (
        f"SELECT DISTINCT m.found[1] FROM {holder.sql},"  # noqa: S608 - names are quoted
        f" LATERAL pg_catalog.regexp_matches({column}::text, '{holder.pattern}', 'g') AS m (found)"
        " WHERE m.found[1] = ANY ($1::text[])"
    )


def tables(some: Iterable[Holder]) -> list[str]:
    """Their tables as SQL, each once, in one order for all who lock them."""
    return sorted({holder.sql for holder in some})


def of_domains(everywhere: Sequence[Holder], tokens: Collection[bytes]) -> list[Holder]:
    """The columns of the tokens' domains."""
    domains = {domain_id(token) for token in tokens}
    return [holder for holder in everywhere if holder.domain_id in domains]


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'
