"""The registry: which columns are protected, in the vault's schema. Written here, read by the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pgnym.onboard.errors import OnboardError
from pgnym.onboard.model import ColumnWork, Connection, Table
from pgnym.sql.types import ELEMENTS
from pgnym.vault.migrations import current_version

DOMAINS = 32768  # 15 bits of the token

READ = """
SELECT p.id, p.schema_name, p.table_name, p.column_name, p.domain_id, d.name, d.randomized, p.type_name,
  p.type_oid::bigint, p.typmod, p.codec_oid::bigint, p.stored_type, p.casefold, p.state,
  coalesce(to_jsonb(p) ->> 'path', ''), coalesce(to_jsonb(p) ->> 'normalize', '')  -- a schema not migrated yet lacks them
FROM vault.protected_column p JOIN vault.domain d ON d.id = p.domain_id ORDER BY p.id
"""

REGISTER = """
INSERT INTO vault.protected_column (schema_name, table_name, column_name, domain_id, type_name, type_oid, typmod,
  codec_oid, stored_type, casefold, path, normalize, state)
VALUES ($1, $2, $3, $4, $5, $6::bigint::oid, $7, $8::bigint::oid, $9, $10, $11, $12, 'migrating')
ON CONFLICT (schema_name, table_name, column_name, path) DO UPDATE SET
  domain_id = excluded.domain_id, type_name = excluded.type_name, type_oid = excluded.type_oid,
  typmod = excluded.typmod, codec_oid = excluded.codec_oid, stored_type = excluded.stored_type,
  casefold = excluded.casefold, normalize = excluded.normalize,
  state = CASE protected_column.state WHEN 'protected' THEN 'protected' ELSE excluded.state END
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of ``vault.protected_column`` with its domain."""

    id: int
    schema: str
    table: str
    column: str
    domain_id: int
    domain: str
    randomized: bool
    type_name: str
    type_oid: int
    typmod: int
    codec_oid: int
    stored_type: str
    casefold: bool
    state: str
    path: str
    normalize: str = ""

    @property
    def place(self) -> tuple[str, str, str]:
        """Schema, table and column as last known."""
        return self.schema, self.table, self.column

    @property
    def array(self) -> bool:
        """Whether the elements are tokens, rather than the value."""
        return self.codec_oid in ELEMENTS

    @property
    def name(self) -> str:
        """``schema.table.column``, and the path within it if it has one."""
        return ".".join((*self.place, self.path) if self.path else self.place)


def places(registered: Mapping[int, Registered]) -> dict[int, tuple[str, str, str]]:
    """Where each column was when it was last followed, by id."""
    return {identifier: row.place for identifier, row in registered.items()}


async def read(vault: Connection) -> dict[int, Registered]:
    """All registered columns by id; none where the vault's schema is not there yet."""
    if await current_version(vault) == 0:
        return {}
    return {row[0]: Registered(*row) for row in await vault.fetch(READ)}


async def domains(vault: Connection) -> dict[str, bool]:
    """Names of the known domains, and whether they are randomized."""
    if await current_version(vault) == 0:
        return {}
    return {row[0]: row[1] for row in await vault.fetch("SELECT name, randomized FROM vault.domain")}


async def domain_id(vault: Connection, name: str, randomized: bool) -> int:
    """The id of a domain, made if it is new. Ids are never used again: old tokens must not change their
    meaning."""
    async with vault.transaction():
        await vault.execute("LOCK TABLE vault.domain IN SHARE ROW EXCLUSIVE MODE")
        row = await vault.fetchrow("SELECT id, randomized FROM vault.domain WHERE name = $1", name)
        if row is not None:
            if row["randomized"] != randomized:
                raise OnboardError(
                    f"domain {name} exists with other tokens", "give the column another domain"
                )
            known: int = row["id"]
            return known
        new: int = await vault.fetchval("SELECT coalesce(max(id) + 1, 0) FROM vault.domain")
        if new >= DOMAINS:
            raise OnboardError(f"all {DOMAINS} domains are taken", "let columns share domains")
        await vault.execute(
            "INSERT INTO vault.domain (id, name, randomized) VALUES ($1, $2, $3)", new, name, randomized
        )
        return new


async def register(vault: Connection, table: Table, work: ColumnWork, domain: int) -> int:
    """Write the row of a column about to be protected, in state ``migrating``; returns its id.

    The row of a column that is protected and has lost its CHECK stays ``protected``: it holds tokens, and must be known to
    do so also when this run is killed before the CHECK is there again.
    """
    identifier: int = await vault.fetchval(
        REGISTER,
        table.schema,
        table.name,
        work.column.name,
        domain,
        work.type_name,
        work.type_oid,
        work.typmod,
        work.codec_oid,
        work.stored_type,
        work.casefold,
        work.path,
        work.normalize,
    )
    return identifier


async def set_state(vault: Connection, identifiers: list[int], state: str) -> None:
    """Set the state of rows."""
    await vault.execute(
        "UPDATE vault.protected_column SET state = $2 WHERE id = ANY ($1)", identifiers, state
    )


async def rename(vault: Connection, identifier: int, schema: str, table: str, column: str) -> None:
    """Follow a renamed table or column."""
    await vault.execute(
        "UPDATE vault.protected_column SET schema_name = $2, table_name = $3, column_name = $4 WHERE id = $1",
        identifier,
        schema,
        table,
        column,
    )


async def forget(vault: Connection, identifiers: list[int]) -> None:
    """Delete rows: their columns hold plaintext again."""
    await vault.execute("DELETE FROM vault.protected_column WHERE id = ANY ($1)", identifiers)
