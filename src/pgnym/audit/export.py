"""Sending the audit log on, as it grows. The log is the queue: a record is sent until it was taken, and never left out.

One gateway at a time does it (an advisory lock of the session). How far each writer's records have come is in the vault, and
moves on only after the sink has taken a batch: so a record may be sent twice (after a crash), and its ``writer`` and
``sequence`` tell; none is skipped. A sink that is slow or gone delays what is sent, not the gateway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import asyncpg

from pgnym.audit.reading import OpenedRecord, read_writer
from pgnym.audit.sinks import Sink
from pgnym.vault.connection import Lane, set_tenant
from pgnym.vault.locks import AUDIT_EXPORT
from pgnym.vault.store import Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_BATCH = 500
_GROWN = """
SELECT w.writer, coalesce(e.sequence, 0) AS sent
FROM vault.audit_writer w LEFT JOIN vault.audit_export e ON e.tenant = w.tenant AND e.writer = w.writer
WHERE w.tenant = $1 AND w.sequence > coalesce(e.sequence, 0) ORDER BY w.number
"""


class Exporter:
    """Sends what is new when asked to. One task at a time."""

    def __init__(self, vault: Vault, sink: Sink, line: Callable[[OpenedRecord], str]) -> None:
        self._vault = vault
        self._sink = sink
        self._line = line
        self._lane = Lane(vault.connector)

    async def run(self) -> int | None:
        """Sends all that is there; how many records, None where another gateway does it.

        Errors: SinkFailed, VaultUnavailable, VaultError. What was taken before stays taken.
        """
        return await self._lane.run(self._run)

    async def _run(self, connection: Connection) -> int | None:
        # Given again each time: it is counted, and goes with the session.
        held = await connection.fetchval(
            "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            " AND classid = ($1::bigint >> 32)::oid AND objid = ($1::bigint & 4294967295)::oid AND granted)"
            " THEN true ELSE pg_try_advisory_lock($1) END",
            AUDIT_EXPORT,
        )
        if not held:
            return None
        sent = 0
        for row in await connection.fetch("SELECT name FROM vault.tenant ORDER BY id"):
            tenant = await self._vault.tenant(row["name"])
            await set_tenant(connection, tenant.id, local=False)
            for grown in await connection.fetch(_GROWN, tenant.id):
                position: int = grown["sent"]
                while True:
                    records = await read_writer(
                        connection,
                        tenant.id,
                        tenant.name,
                        tenant.audit_key,
                        grown["writer"],
                        position,
                        _BATCH,
                    )
                    if not records:
                        break
                    await self._sink.send([(record.time, self._line(record)) for record in records])
                    position = records[-1].sequence
                    await connection.execute(
                        "INSERT INTO vault.audit_export (tenant, writer, sequence) VALUES ($1, $2, $3)"
                        " ON CONFLICT (tenant, writer) DO UPDATE SET sequence = excluded.sequence",
                        tenant.id, grown["writer"], position,
                    )  # fmt: skip
                    sent += len(records)
        return sent

    async def close(self) -> None:
        """Gives the lock up, and ends the connection and the sink."""
        await self._lane.close()
        await self._sink.close()
