"""Reading the audit log: records by time, actor, action, domain, and, once opened, by token."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from pgnym.audit.records import unpack_details
from pgnym.audit.sealing import DetailsCipher
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import CannotOpen
from pgnym.vault.keys import Secret

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_PREFETCH = 500


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records: all that is given must hold. ``since`` is included, ``until`` is not. ``actor``: the database user."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    role: str | None = None
    action: str | None = None
    decision: str | None = None
    domain: str | None = None
    purpose: str | None = None
    fingerprint: str | None = None


_RECORDS = """
SELECT * FROM vault.audit WHERE tenant = $1
   AND ($2::timestamptz IS NULL OR time >= $2) AND ($3::timestamptz IS NULL OR time < $3)
   AND ($4::text IS NULL OR db_user = $4) AND ($5::text IS NULL OR role = $5)
   AND ($6::text IS NULL OR action = $6) AND ($7::text IS NULL OR decision = $7)
   AND ($8::text IS NULL OR counts ? $8) AND ($9::text IS NULL OR purpose = $9)
   AND ($10::text IS NULL OR fingerprint = $10)
   AND ($11::timestamptz IS NULL OR (time, writer, sequence) > ($11, $12::uuid, $13::bigint))
 ORDER BY time, writer, sequence
"""
_NEWEST_FIRST = _RECORDS.replace(
    "time, writer, sequence\n", "time DESC, writer DESC, sequence DESC\n"
).replace("sequence) >", "sequence) <")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands in the order of reading."""

    time: datetime
    writer: UUID
    sequence: int


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record with its details. ``text``: the statement without its constants, or the SQLSTATE of a refusal.

    ``grant``: the number of the one under which values were given.
    """

    time: datetime
    tenant: str
    writer: UUID
    sequence: int
    action: str
    decision: str
    db_user: str
    role: str
    client_address: str
    application_name: str
    purpose: str
    fingerprint: str
    counts: dict[str, int]
    text: str
    tokens: tuple[bytes, ...]
    opened: bool = True
    grant: int | None = None

    def shown(self) -> dict[str, Any]:
        """For JSON."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        told["time"] = self.time.isoformat()
        told["writer"] = str(self.writer)
        told["tokens"] = [token.decode("ascii") for token in self.tokens]
        return told


async def read(
    connection: Connection,
    tenant: int,
    name: str,
    audit_key: Secret,
    which: Filter = Filter(),
    *,
    tokens: Collection[bytes] | None = None,
    newest_first: bool = False,
    after: Place | None = None,
) -> AsyncGenerator[OpenedRecord, None]:
    """The tenant's records that pass the filter; with ``tokens``, only those that name one of them.

    ``after``: those that follow this place.

    ``connection``: of the gateway's role or the owner, outside a transaction. A record whose details don't open comes
    with ``opened`` False (``verify`` says what was done to it). Errors: asyncpg.PostgresError.
    """
    text = _NEWEST_FIRST if newest_first else _RECORDS
    place = (None, None, None) if after is None else astuple(after)
    ciphers: dict[UUID, DetailsCipher] = {}
    wanted = None if tokens is None else frozenset(tokens)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await set_tenant(connection, tenant)
        async for row in connection.cursor(text, tenant, *astuple(which), *place, prefetch=_PREFETCH):
            writer = row["writer"]
            cipher = ciphers.get(writer)
            if cipher is None:
                cipher = ciphers[writer] = DetailsCipher(audit_key, tenant, writer)
            record = _opened(row, name, cipher)
            if wanted is None or not wanted.isdisjoint(record.tokens):
                yield record


async def read_writer(
    connection: Connection,
    tenant: int,
    name: str,
    audit_key: Secret,
    writer: UUID,
    after: int,
    limit: int,
) -> list[OpenedRecord]:
    """A writer's next records after a sequence, at most ``limit``; the tenant must be set on the connection.

    Errors: asyncpg.PostgresError.
    """
    cipher = DetailsCipher(audit_key, tenant, writer)
    rows = await connection.fetch(
        "SELECT * FROM vault.audit WHERE tenant = $1 AND writer = $2 AND sequence > $3 ORDER BY sequence LIMIT $4",
        tenant,
        writer,
        after,
        limit,
    )
    return [_opened(row, name, cipher) for row in rows]


def _opened(row: asyncpg.Record, tenant: str, cipher: DetailsCipher) -> OpenedRecord:
    found: tuple[bytes, ...] = ()
    statement, grant, opened = "", 0, True
    try:
        found, statement, grant = unpack_details(cipher.open(row["sequence"], row["details"]))
    except CannotOpen:
        opened = False
    return OpenedRecord(
        row["time"],
        tenant,
        row["writer"],
        row["sequence"],
        row["action"],
        row["decision"],
        row["db_user"],
        row["role"],
        row["client_address"],
        row["application_name"],
        row["purpose"],
        row["fingerprint"],
        json.loads(row["counts"]),
        statement,
        found,
        opened,
        grant or None,
    )
