"""Runs of retention as the vault keeps them: when the last was, what became of it, and when the next is due."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

RETRY = timedelta(seconds=10)
"""After a run that failed or was killed; twice as long after each further one, ``LONGEST_RETRY`` at most."""
LONGEST_RETRY = timedelta(hours=1)

_LAST = """
SELECT ended IS NOT NULL AND problem = '' AS done, clock_timestamp() - started AS since
FROM vault.retention_run WHERE scheduled AND dry_run = $1 ORDER BY started DESC LIMIT 20
"""
_DONE = """
SELECT max(ended) FROM vault.retention_run WHERE ended IS NOT NULL AND problem = '' AND NOT dry_run
"""


@dataclass(frozen=True, slots=True)
class Due:
    """When the next run is due (zero: now), and when the last that did all of its work ended (None: never)."""

    wait: timedelta
    done: datetime | None


async def due(connection: Connection, every: timedelta, *, dry_run: bool) -> Due:
    """By the vault's clock, whichever gateway asks."""
    rows = await connection.fetch(_LAST, dry_run)
    done: datetime | None = await connection.fetchval(_DONE)
    failed = next((number for number, row in enumerate(rows) if row["done"]), len(rows))
    if not rows:
        return Due(timedelta(0), done)
    pause = every if not failed else min(every, LONGEST_RETRY, RETRY * 2 ** (failed - 1))
    return Due(max(timedelta(0), pause - rows[0]["since"]), done)


async def begin(connection: Connection, *, scheduled: bool, dry_run: bool) -> UUID:
    """Note that a run begins; those of more than a year ago are forgotten."""
    identifier = uuid4()
    await connection.execute("DELETE FROM vault.retention_run WHERE started < now() - interval '1 year'")
    await connection.execute(
        "INSERT INTO vault.retention_run (id, scheduled, dry_run) VALUES ($1, $2, $3)",
        identifier,
        scheduled,
        dry_run,
    )
    return identifier


async def end(connection: Connection, identifier: UUID, told: dict[str, Any], problem: str) -> None:
    """Note what became of it."""
    await connection.execute(
        "UPDATE vault.retention_run SET ended = clock_timestamp(), told = $2, problem = $3 WHERE id = $1",
        identifier,
        json.dumps(told),
        problem,
    )
