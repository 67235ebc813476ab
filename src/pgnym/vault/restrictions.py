"""Restriction of processing (Art. 18 GDPR): whose values are held back, as sealed events; the last of a subject counts.

A process remembers for ``LEASE`` seconds, from the beginning of its question, whom a tenant has restricted. So it asks once
in a while, not for each statement; and whoever changes something waits that long before they say that it is done.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

from pgnym.vault.connection import set_tenant
from pgnym.vault.consents import Subject
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault, Vault
from pgnym.vault.times import micros

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

LEASE = 1.0
RESTRICT, LIFT = "restrict", "lift"
_LABEL = b"restriction event"


class NoChange(VaultError):
    """It is so already. Nothing was recorded."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be recorded. ``show_shared``: values that others have too are shown. ``reason`` is sealed (``id``)."""

    id: UUID
    action: str
    show_shared: bool
    request: UUID | None
    reason: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a subject. ``sound``: sealed as it was written, behind its predecessor."""

    subject: Subject
    sequence: int
    change: Change
    recorded: datetime
    recorded_by: str
    sound: bool

    @property
    def holds_back(self) -> bool:
        """Whether the subject's values are held back, this being the last event."""
        return not self.sound or self.change.action == RESTRICT

    @property
    def show_shared(self) -> bool:
        """Whether values that others have too are shown nevertheless."""
        return self.sound and self.change.show_shared


class Restrictions:
    """Whom each tenant has restricted, as one process knows it."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._known: dict[int, tuple[float, Mapping[Subject, Event]]] = {}

    def quiet(self, tenant: TenantVault) -> bool:
        """Whether it is known that nobody is restricted."""
        known = self._known.get(tenant.id)
        return known is not None and not known[1] and self._clock() - known[0] <= LEASE

    async def of(self, vault: Vault, tenant: TenantVault) -> Mapping[Subject, Event]:
        """The last event of each subject that is restricted. Errors: VaultError."""
        known = self._known.get(tenant.id)
        asked = self._clock()
        if known is not None and asked - known[0] <= LEASE:
            return known[1]
        rows = await vault.administer(
            lambda connection: connection.fetch("SELECT * FROM vault.last_restrictions($1)", tenant.id)
        )
        events = (_event(tenant, row, row["previous"]) for row in rows)
        found = {event.subject: event for event in events if event.holds_back}
        self._known[tenant.id] = asked, found
        return found


async def events_of(connection: Connection, tenant: TenantVault, subject: Subject) -> list[Event]:
    """All events of a subject, oldest first. Errors: asyncpg.PostgresError."""
    async with connection.transaction(readonly=True):
        await set_tenant(connection, tenant.id)
        rows = await connection.fetch(
            "SELECT * FROM vault.restriction_event WHERE tenant = $1 AND subject_table = $2 AND subject = $3"
            " ORDER BY sequence",
            tenant.id,
            subject.table,
            subject.id,
        )
    found: list[Event] = []
    previous: bytes | None = None
    for number, row in enumerate(rows, 1):
        event = _event(tenant, row, previous)
        found.append(event if event.sequence == number else replace(event, sound=False))
        previous = row["seal"]
    return found


async def append(
    connection: Connection, tenant: TenantVault, subject: Subject, change: Change, by: str
) -> Event:
    """Record it, committed on return. Errors: NoChange, asyncpg.PostgresError."""
    async with connection.transaction():
        await set_tenant(connection, tenant.id)
        await connection.execute(
            "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, $2))",
            f"pgnym restriction {subject.table} {subject.id}",
            tenant.id,
        )
        events = await events_of(connection, tenant, subject)
        last = events[-1] if events else None
        if change.action == LIFT and (last is None or not last.holds_back):
            raise NoChange("the subject's processing is not restricted")
        sequence = 1 if last is None else last.sequence + 1
        previous = await connection.fetchval(
            "SELECT seal FROM vault.restriction_event WHERE tenant = $1 AND subject_table = $2 AND subject = $3"
            " ORDER BY sequence DESC LIMIT 1",
            tenant.id,
            subject.table,
            subject.id,
        )
        event = Event(subject, sequence, change, datetime.now(UTC), by, sound=True)
        await connection.execute(
            "INSERT INTO vault.restriction_event (tenant, subject_table, subject, sequence, id, action, show_shared,"
            " recorded, recorded_by, request, reason, seal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            tenant.id, subject.table, subject.id, sequence, change.id, change.action, change.show_shared, event.recorded,
            by, change.request, change.reason, _seal(tenant, event, previous),
        )  # fmt: skip
    return event


def _event(tenant: TenantVault, row: Any, previous: bytes | None) -> Event:
    change = Change(row["id"], row["action"], row["show_shared"], row["request"], row["reason"])
    subject = Subject(row["subject_table"], row["subject"])
    event = Event(subject, row["sequence"], change, row["recorded"], row["recorded_by"], sound=True)
    following = (previous is None) == (row["sequence"] == 1)
    if following and hmac.compare_digest(_seal(tenant, event, previous), row["seal"]):
        return event
    return replace(event, sound=False)


def _seal(tenant: TenantVault, event: Event, previous: bytes | None) -> bytes:
    change = event.change
    content = msgspec.json.encode(
        [
            tenant.id,
            event.subject.table,
            event.subject.id,
            event.sequence,
            change.id,
            change.action,
            change.show_shared,
            micros(event.recorded),
            event.recorded_by,
            change.request,
            change.reason,
            previous,
        ]
    )
    return hmac.new(tenant.audit_key.derive(_LABEL), content, hashlib.sha256).digest()
