"""Waiting for those who have written to tables, without standing in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from pgnym.privacy.holders import NAMED

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_SECONDS = 60.0
_POLL = 0.1
# Transactions that have written to one of the tables, or a partition of it, or wait to. (As CREATE INDEX CONCURRENTLY does,
# WaitForLockers in PostgreSQL's lmgr.c: nobody has to queue behind us.)
_WRITERS = f"""
WITH RECURSIVE tree(oid) AS (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE {NAMED} = ANY ($1::text[])
  UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid
)
SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l JOIN tree ON l.relation = tree.oid
WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
  AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""  # noqa: S608 - constants


async def writers_end(app: Connection, names: Sequence[str]) -> bool:
    """Returns when all transactions have ended that had written to one of the tables (as SQL) when this was called.

    False if they have not after a minute.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SECONDS
    waited = {row[0] for row in await app.fetch(_WRITERS, names)}
    while waited:
        if loop.time() > deadline:
            return False
        await asyncio.sleep(_POLL)
        waited &= {row[0] for row in await app.fetch(_WRITERS, names)}
    return True
