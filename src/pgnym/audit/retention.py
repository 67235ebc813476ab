"""Dropping what is past its retention, so that the rest can still be verified.

The log goes by whole months. Before a month's partition is dropped, the last record of each writer in it is noted in a
sealed checkpoint that says so: the chain then begins behind it. Whoever has no key can drop a table, but not make such a
checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

from pgnym.audit.chain import ChainKey, Checkpoint
from pgnym.vault.connection import set_tenant
from pgnym.vault.keys import Secret

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_MONTHS = """
SELECT c.oid, c.relname AS name,
       substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([^'']+)''\\)')::timestamptz AS until
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'vault.audit'::regclass AND c.relname ~ '^audit_[0-9]{4}_[0-9]{2}$'
ORDER BY 3
"""


@dataclass(frozen=True, slots=True)
class Dropped:
    """One month that was dropped."""

    name: str
    records: int


@dataclass(frozen=True, slots=True)
class AuditTenant:
    """A tenant whose records are dropped with all others'."""

    id: int
    name: str
    audit_key: Secret


async def expired(connection: Connection, before: datetime) -> list[str]:
    """The partitions of which every record is from before ``before``. ``connection``: of the owner."""
    return [row["name"] for row in await connection.fetch(_MONTHS) if row["until"] <= before]


async def drop_before(
    connection: Connection, tenants: Mapping[int, AuditTenant], before: datetime, now: datetime
) -> list[Dropped]:
    """Drops the months that ended before ``before``, each in a transaction. ``connection``: of the owner.

    ``tenants`` must be all there are. Verify first: what was tampered with can't be found out once it is gone. Errors:
    asyncpg.PostgresError, ValueError for a tenant that is not in ``tenants``.
    """
    done = []
    for row in await connection.fetch(_MONTHS):
        if row["until"] <= before:
            done.append(await _drop(connection, tenants, row["oid"], row["name"], now))
    return done


async def _drop(
    connection: Connection, tenants: Mapping[int, AuditTenant], oid: int, name: str, now: datetime
) -> Dropped:
    records = 0
    async with connection.transaction():
        known = {row["id"] for row in await connection.fetch("SELECT id FROM vault.tenant")}
        if missing := known - set(tenants):
            raise ValueError(f"{len(missing)} tenants are not among those whose records may be dropped")
        ends: list[tuple[AuditTenant, Checkpoint]] = []
        for tenant in tenants.values():
            await set_tenant(connection, tenant.id)
            rows = await connection.fetch(
                "SELECT DISTINCT ON (writer) writer, sequence, mac, count(*) OVER (PARTITION BY writer) AS n"
                " FROM vault.audit WHERE tenant = $1 AND tableoid = $2 ORDER BY writer, sequence DESC",
                tenant.id,
                oid,
            )
            records += sum(row["n"] for row in rows)
            ends += [
                (
                    tenant,
                    Checkpoint(tenant.name, row["writer"], row["sequence"], row["mac"], now, dropped=True),
                )
                for row in rows
            ]
        # The name comes from the catalog and matches the pattern above.
        await connection.execute(f"DROP TABLE vault.{name}")
        for tenant, end in ends:
            await set_tenant(connection, tenant.id)
            # Records are numbered when they are written, a moment after their time: at the turn of a month one with a lower
            # number may lie in the next. It can't be verified without those before it.
            gone = await connection.execute(
                "DELETE FROM vault.audit WHERE tenant = $1 AND writer = $2 AND sequence <= $3",
                tenant.id, end.writer, end.sequence,
            )  # fmt: skip
            records += int(gone.rpartition(" ")[2])
            await connection.execute(
                "INSERT INTO vault.audit_checkpoint (tenant, writer, sequence, time, dropped, mac, seal)"
                " VALUES ($1, $2, $3, $4, true, $5, $6)",
                tenant.id, end.writer, end.sequence, end.time, end.mac,
                ChainKey(tenant.audit_key, tenant.id).checkpoint(end),
            )  # fmt: skip
    return Dropped(name, records)
