"""Restricting the processing of a subject's data, and lifting that (Art. 18 GDPR)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg

from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.notes import NoteCipher
from pgnym.privacy.requests import Kind, Requests, State
from pgnym.vault import restrictions
from pgnym.vault.consents import Subject
from pgnym.vault.restrictions import Change, Event
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_UNLINKED = """
SELECT count(*) FROM unnest($1::text[]) AS u (token) WHERE NOT EXISTS (
  SELECT FROM pgnym.link l WHERE l.token = u.token AND l.subject_table = $2 AND l.subject = $3)
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be done. ``request``: the subject's request that it follows from, approved and for a restriction."""

    action: str
    reason: str
    show_shared: bool = False
    request: UUID | None = None


async def require_links(app: Connection, tokens: Collection[bytes], subject: Subject) -> None:
    """Raise PrivacyError unless all tokens of a subject's rows are known to be theirs: others couldn't be held back."""
    there = await app.fetchval("SELECT pg_catalog.to_regclass('pgnym.link') IS NOT NULL")
    names = [token.decode("ascii") for token in tokens]
    left = await app.fetchval(_UNLINKED, names, subject.table, subject.id) if there else len(names)
    if left:
        raise PrivacyError(
            f"{left} values of that subject are not linked to it, so they can't be held back",
            hint="Run `pgnym apply`: it links the rows that were written before, or without triggers.",
        )


async def record(
    connection: Connection, tenant: TenantVault, subject: Subject, wanted: Wanted, by: str
) -> Event:
    """Record it; it holds ``restrictions.LEASE`` seconds later at every gateway. ``connection``: to the vault.

    Errors: PrivacyError (the request doesn't allow it), NoChange, asyncpg.PostgresError.
    """
    if wanted.request is not None:
        found = await Requests(connection, tenant).find(wanted.request)
        asked = None if found is None else found[0]
        whose = (subject.table, subject.id)
        if asked is None or (asked.kind, asked.subject) != (Kind.RESTRICT, whose):
            raise PrivacyError("that is no request of this subject to restrict processing")
        if asked.state not in (State.APPROVED, State.COMPLETED):
            raise PrivacyError(f"the request is {asked.state.value}, not approved")
    identifier = uuid4()
    sealed = NoteCipher(tenant.audit_key, tenant.id, identifier).seal(0, wanted.reason)
    change = Change(identifier, wanted.action, wanted.show_shared, wanted.request, sealed)
    return await restrictions.append(connection, tenant, subject, change, by)


def told(tenant: TenantVault, events: Collection[Event]) -> list[dict[str, Any]]:
    """The events of a subject for ``msgspec.json.encode``. Errors: CannotOpen."""
    return [
        {
            "action": event.change.action,
            "time": event.recorded.isoformat(),
            "by": event.recorded_by,
            "reason": NoteCipher(tenant.audit_key, tenant.id, event.change.id).open(0, event.change.reason),
            "request": None if event.change.request is None else str(event.change.request),
            "shared": "show" if event.change.show_shared else "withhold",
            "sound": event.sound,
        }
        for event in events
    ]
