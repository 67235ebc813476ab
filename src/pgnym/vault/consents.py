"""What data subjects agree to: sealed events, of which the last of a subject and purpose counts.

An event that isn't sealed as it should be counts for nothing, so that writing to the table makes nobody agree. Who may
delete rows there can bring back an older state; the audit log has every change.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault, Vault
from pgnym.vault.times import micros

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_LABEL = b"consent event"
_ATTEMPTS = 20


class Action(Enum):
    """What a subject did."""

    ACCEPT = "accept"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, order=True, slots=True)
class Subject:
    """A data subject: its own table (``schema.table``), and its ID there as text."""

    table: str
    id: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a subject says. ``expires`` None: never. ``channel``: how; ``reference``: where that can be looked up."""

    action: Action
    expires: datetime | None = None
    text_version: int | None = None
    channel: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a subject and purpose. ``sound``: sealed as it was written, behind its predecessor."""

    subject: Subject
    purpose: str
    sequence: int
    said: Said
    recorded: datetime
    recorded_by: str
    sound: bool

    def holds(self, now: datetime) -> bool:
        """Whether the subject agrees, this being the last event."""
        expires = self.said.expires
        return self.sound and self.said.action is Action.ACCEPT and (expires is None or now < expires)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A name of a subject under which consent may have been told as well (``by_value``). ``counts``: acceptances, too."""

    subject: Subject
    counts: bool


def deciding(events: Iterable[tuple[Event, bool]]) -> Event | None:
    """Which of the last events of all names of a subject, for one purpose, tells whether they agree; the latest.

    With each whether its acceptance counts. One that isn't sound decides before all others: they don't agree. Of two
    at the same time, a withdrawal does.
    """
    met = [
        event for event, counts in events if counts or not event.sound or event.said.action is Action.WITHDRAW
    ]
    return max(
        met,
        key=lambda event: (not event.sound, event.recorded, event.said.action is Action.WITHDRAW),
        default=None,
    )


class NoSuchText(VaultError):
    """A version of a text that there isn't. Nothing was recorded."""


async def record(
    vault: Vault, tenant: TenantVault, subject: Subject, purposes: Collection[str], said: Said, by: str
) -> list[Event]:
    """Records the same for several purposes, all or none. Committed on return. Errors: NoSuchText, VaultError."""

    async def insert(connection: Connection) -> list[Event]:
        async with connection.transaction():
            await set_tenant(connection, tenant.id)
            return await append(connection, tenant, subject, purposes, said, by)

    return await vault.administer(insert)


async def append(
    connection: Connection,
    tenant: TenantVault,
    subject: Subject,
    purposes: Collection[str],
    said: Said,
    by: str,
) -> list[Event]:
    """As ``record``, in the caller's transaction, of the tenant. Errors: NoSuchText, asyncpg.PostgresError."""
    # Events of one subject are written one after the other: each seals its predecessor.
    await connection.execute(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, $2))",
        f"pgnym consent {subject.table} {subject.id}",
        tenant.id,
    )
    return [
        await _append(connection, tenant, subject, each, said, by) for each in sorted(dict.fromkeys(purposes))
    ]


async def history(vault: Vault, tenant: TenantVault, subject: Subject) -> list[Event]:
    """All events of a subject, by purpose, oldest first. Errors: VaultError."""
    return await vault.administer(lambda connection: events_of(connection, tenant, subject))


async def events_of(connection: Connection, tenant: TenantVault, subject: Subject) -> list[Event]:
    """As ``history``, over a connection. Errors: asyncpg.PostgresError."""
    async with connection.transaction(readonly=True):
        await set_tenant(connection, tenant.id)
        rows = await connection.fetch(
            "SELECT * FROM vault.consent_event WHERE tenant = $1 AND subject_table = $2 AND subject = $3"
            " ORDER BY purpose, sequence",
            tenant.id,
            subject.table,
            subject.id,
        )
    found: list[Event] = []
    previous, purpose, count = b"", "", 0
    for row in rows:
        if row["purpose"] != purpose:
            previous, purpose, count = b"", row["purpose"], 0
        count += 1
        event = _event(tenant, subject, purpose, row, previous)
        found.append(event if row["sequence"] == count else _unsound(event))
        previous = row["seal"]
    return found


async def listed(
    vault: Vault, tenant: TenantVault, purpose: str, after: Subject | None, limit: int
) -> list[Event]:
    """The last event of each subject for a purpose, in order of the subjects, ``limit`` at most. Errors: VaultError."""

    async def find(connection: Connection) -> list[Event]:
        async with connection.transaction(readonly=True):
            rows = await connection.fetch(
                "SELECT s.subject_table, s.subject, e.* FROM vault.consent_subjects($1, $2, $3, $4, $5) s"
                " CROSS JOIN LATERAL vault.last_consents($1, ARRAY[s.subject_table], ARRAY[s.subject], $2) e",
                tenant.id,
                purpose,
                after.table if after else "",
                after.id if after else "",
                limit,
            )
        return [
            _event(tenant, Subject(row["subject_table"], row["subject"]), purpose, row, row["previous"])
            for row in rows
        ]

    return await vault.administer(find)


async def agreeing(
    connection: Connection,
    tenant: TenantVault,
    subjects: Collection[Subject],
    purpose: str,
    spoken: Mapping[Subject, Collection[Spoken]],
) -> set[Subject]:
    """Those of the subjects who agree to a purpose now, ``spoken`` being further names of theirs.

    Errors: asyncpg.PostgresError.
    """
    asked: Sequence[Subject] = list(
        {*subjects, *(name.subject for names in spoken.values() for name in names)}
    )
    rows = await connection.fetch(
        "SELECT * FROM vault.last_consents($1, $2, $3, $4)",
        tenant.id,
        [subject.table for subject in asked],
        [subject.id for subject in asked],
        purpose,
    )
    now = datetime.now(UTC)
    last: dict[Subject, Event] = {}
    for row in rows:
        subject = asked[row["place"] - 1]
        last[subject] = _event(tenant, subject, purpose, row, row["previous"])
    found = set()
    for subject in subjects:
        names = (Spoken(subject, counts=True), *spoken.get(subject, ()))
        decides = deciding((last[name.subject], name.counts) for name in names if name.subject in last)
        if decides is not None and decides.holds(now):
            found.add(subject)
    return found


@dataclass(frozen=True, slots=True)
class Text:
    """A version of what subjects are shown when they are asked to agree."""

    purpose: str
    version: int
    text: str
    created: datetime
    created_by: str


async def add_text(vault: Vault, tenant: TenantVault, purpose: str, text: str, by: str) -> Text:
    """The next version of a purpose's text. Errors: VaultError."""
    created = datetime.now(UTC)

    async def insert(connection: Connection) -> int | None:
        async with connection.transaction():
            await set_tenant(connection, tenant.id)
            made: int | None = await connection.fetchval(
                "INSERT INTO vault.consent_text (tenant, purpose, version, text, created, created_by)"
                " SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5 FROM vault.consent_text"
                " WHERE tenant = $1 AND purpose = $2 ON CONFLICT DO NOTHING RETURNING version",
                tenant.id, purpose, text, created, by,
            )  # fmt: skip
            return made

    for _ in range(_ATTEMPTS):
        version = await vault.administer(insert)
        if version is not None:
            return Text(purpose, version, text, created, by)
    raise VaultError("others add versions of the text all the time", hint="Try again.")


async def texts(vault: Vault, tenant: TenantVault, purpose: str | None) -> list[Text]:
    """The versions of texts, newest first, 1000 at most. Errors: VaultError."""

    async def find(connection: Connection) -> list[Text]:
        async with connection.transaction(readonly=True):
            await set_tenant(connection, tenant.id)
            rows = await connection.fetch(
                "SELECT purpose, version, text, created, created_by FROM vault.consent_text"
                " WHERE tenant = $1 AND ($2::text IS NULL OR purpose = $2) ORDER BY purpose, version DESC LIMIT 1000",
                tenant.id,
                purpose,
            )
        return [Text(*row) for row in rows]

    return await vault.administer(find)


async def _append(
    connection: Connection, tenant: TenantVault, subject: Subject, purpose: str, said: Said, by: str
) -> Event:
    if said.text_version is not None and not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM vault.consent_text WHERE tenant = $1 AND purpose = $2 AND version = $3)",
        tenant.id,
        purpose,
        said.text_version,
    ):
        raise NoSuchText(f"there is no version {said.text_version} of the text of that purpose")
    last = await connection.fetchrow(
        "SELECT sequence, seal FROM vault.consent_event WHERE tenant = $1 AND subject_table = $2 AND subject = $3"
        " AND purpose = $4 ORDER BY sequence DESC LIMIT 1",
        tenant.id,
        subject.table,
        subject.id,
        purpose,
    )
    sequence, previous = (1, b"") if last is None else (last["sequence"] + 1, last["seal"])
    event = Event(subject, purpose, sequence, said, datetime.now(UTC), by, sound=True)
    await connection.execute(
        "INSERT INTO vault.consent_event (tenant, subject_table, subject, purpose, sequence, action, recorded, recorded_by,"
        " expires, text_version, channel, reference, seal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        tenant.id, subject.table, subject.id, purpose, sequence, said.action.value, event.recorded, by, said.expires,
        said.text_version, said.channel, said.reference, _seal(tenant, event, previous),
    )  # fmt: skip
    return event


def _event(tenant: TenantVault, subject: Subject, purpose: str, row: Any, previous: bytes | None) -> Event:
    said = Said(Action(row["action"]), row["expires"], row["text_version"], row["channel"], row["reference"])
    event = Event(subject, purpose, row["sequence"], said, row["recorded"], row["recorded_by"], sound=True)
    if previous is None:
        previous = b"" if row["sequence"] == 1 else None
    if previous is None or not hmac.compare_digest(_seal(tenant, event, previous), row["seal"]):
        return _unsound(event)
    return event


def _unsound(event: Event) -> Event:
    return Event(
        event.subject,
        event.purpose,
        event.sequence,
        event.said,
        event.recorded,
        event.recorded_by,
        sound=False,
    )


def _seal(tenant: TenantVault, event: Event, previous: bytes) -> bytes:
    said = event.said
    content = msgspec.json.encode(
        [
            tenant.id,
            event.subject.table,
            event.subject.id,
            event.purpose,
            event.sequence,
            said.action.value,
            micros(event.recorded),
            event.recorded_by,
            None if said.expires is None else micros(said.expires),
            said.text_version,
            said.channel,
            said.reference,
            previous,
        ]
    )
    return hmac.new(tenant.audit_key.derive(_LABEL), content, hashlib.sha256).digest()
