"""Erasures as the vault keeps them: how far each is, and what became of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from pgnym.vault.connection import set_tenant

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_SHOWN = """
SELECT e.*, (
  SELECT coalesce(jsonb_agg(jsonb_build_object('connector', c.connector, 'done', c.done, 'erased', c.erased,
    'attempts', c.attempts, 'problem', c.problem) ORDER BY c.connector, c.number), '[]')
  FROM vault.erasure_connector c WHERE c.erasure = e.id
) AS elsewhere
FROM vault.erasure e WHERE e.tenant = $1 AND ($2::uuid IS NULL OR e.id = $2)
  AND ($3::timestamptz IS NULL OR (e.started, e.id) < ($3, $4::uuid))
ORDER BY e.started DESC, e.id DESC LIMIT $5
"""
# Those that somebody should work on now.
_DUE = """
SELECT e.id FROM vault.erasure e WHERE e.tenant = $1 AND (e.state = 'pending' OR e.state = 'incomplete' AND EXISTS (
  SELECT FROM vault.erasure_connector c WHERE c.erasure = e.id AND NOT c.done AND (c.next <= clock_timestamp() OR $2)))
ORDER BY e.started, e.id
"""


class State(Enum):
    """How far an erasure is."""

    PENDING = "pending"
    INCOMPLETE = "incomplete"  # nothing is left here, but another system could not do its part yet
    FINISHED = "finished"
    UNDONE = "undone"  # its transaction was rolled back: nothing was done


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The part of another system. ``erased``: how many things; ``problem``: why it isn't done yet."""

    connector: str
    done: bool
    erased: int
    attempts: int
    problem: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure, and what became of it. ``deleted``: values by domain; ``kept``: by column, how many other rows still
    hold; ``revived``: how many were put again while it went on. ``problem``: why it isn't finished yet."""

    id: UUID
    state: State
    started: datetime
    ended: datetime | None
    told: str
    actor: str
    problem: str
    deleted: dict[str, int]
    kept: dict[str, int]
    revived: int
    elsewhere: tuple[Elsewhere, ...]


async def listed(
    connection: Connection,
    tenant: int,
    limit: int,
    *,
    identifier: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
) -> list[Erasure]:
    """The tenant's erasures, newest first; only the one that ``identifier`` names; those behind ``after``."""
    async with connection.transaction():
        await set_tenant(connection, tenant)
        rows = await connection.fetch(_SHOWN, tenant, identifier, *(after or (None, None)), limit)
    return [_erasure(row) for row in rows]


async def due(connection: Connection, tenant: int, *, all_of_them: bool = False) -> list[UUID]:
    """The erasures to be worked on now; ``all_of_them``: also those of which another system failed a moment ago."""
    async with connection.transaction():
        await set_tenant(connection, tenant)
        return [row[0] for row in await connection.fetch(_DUE, tenant, all_of_them)]


def _erasure(row: asyncpg.Record) -> Erasure:
    return Erasure(
        row["id"], State(row["state"]), row["started"], row["ended"], row["told"], row["actor"], row["problem"],
        json.loads(row["deleted"]), json.loads(row["kept"]), row["revived"],
        tuple(Elsewhere(**each) for each in json.loads(row["elsewhere"])),
    )  # fmt: skip
