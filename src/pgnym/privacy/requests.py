"""Requests of data subjects (Art. 12 to 22 GDPR): submitted, decided on, done; with a deadline, and a history.

What may follow on what is said here once, in ``_STEPS``. A request says what is wanted of whom; carrying it out is a report,
an erasure or a statement of the application, and whoever did that notes that it is completed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg

from pgnym.privacy.deadlines import ANSWER_MONTHS, EXTENDED_MONTHS, months_after
from pgnym.privacy.notes import NoteCipher
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


class Kind(Enum):
    """What is asked for: Articles 15, 17, 16, 18, 20 and 21."""

    ACCESS = "access"
    ERASE = "erase"
    RECTIFY = "rectify"
    RESTRICT = "restrict"
    PORT = "port"
    OBJECT = "object"


class State(Enum):
    """How far it is."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    COMPLETED = "completed"
    WITHDRAWN = "withdrawn"


class Step(Enum):
    """What can be done with it."""

    APPROVE = "approve"
    REJECT = "reject"
    COMPLETE = "complete"
    WITHDRAW = "withdraw"
    EXTEND = "extend"


_OPEN = (State.SUBMITTED, State.APPROVED)
_STEPS: dict[Step, tuple[tuple[State, ...], State | None]] = {
    Step.APPROVE: ((State.SUBMITTED,), State.APPROVED),
    Step.REJECT: (_OPEN, State.REJECTED),
    Step.COMPLETE: ((State.APPROVED,), State.COMPLETED),
    Step.WITHDRAW: (_OPEN, State.WITHDRAWN),
    Step.EXTEND: (_OPEN, None),
}


class OtherVersion(VaultError):
    """The request has been changed meanwhile."""

    def __init__(self) -> None:
        super().__init__("the request has been changed meanwhile")


class WrongStep(VaultError):
    """That can't be done with the request as it is; the message says why."""


@dataclass(frozen=True, slots=True)
class SubjectRequest:
    """A request. ``subject``: (table, id) once it is known whose it is. ``contact`` is personal: it is not in the repr."""

    id: UUID
    version: int
    kind: Kind
    state: State
    subject: tuple[str, str] | None
    received: datetime
    due: datetime
    extended: bool
    contact: str

    def __repr__(self) -> str:
        return f"SubjectRequest(id={self.id!r}, version={self.version!r}, kind={self.kind!r}, state={self.state!r})"

    @property
    def open(self) -> bool:
        """Whether it waits for somebody."""
        return self.state in _OPEN


@dataclass(frozen=True, slots=True)
class Due:
    """A request that somebody is reminded of."""

    id: UUID
    kind: Kind
    due: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """What was done with it: ``submit``, a ``Step``, or ``remind``."""

    at: datetime
    by: str
    action: str
    note: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests. ``due_before``: only open ones."""

    state: State | None = None
    kind: Kind | None = None
    due_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A request to be made."""

    kind: Kind
    subject: tuple[str, str] | None
    received: datetime
    contact: str
    note: str


class Requests:
    """Those of one tenant, over a connection to the vault."""

    def __init__(self, connection: Connection, tenant: TenantVault) -> None:
        self._connection = connection
        self._tenant = tenant

    async def submit(self, new: Submission, by: str) -> SubjectRequest:
        """A new one."""
        identifier = uuid4()
        cipher = self._cipher(identifier)
        table, subject = new.subject or (None, None)
        async with self._connection.transaction():
            await set_tenant(self._connection, self._tenant.id)
            row = await self._connection.fetchrow(
                "INSERT INTO vault.subject_request (tenant, id, kind, subject_table, subject_id, received, due, contact)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
                self._tenant.id, identifier, new.kind.value, table, subject, new.received,
                months_after(new.received, ANSWER_MONTHS), cipher.seal(0, new.contact),
            )  # fmt: skip
            await self._note(identifier, 1, by, "submit", cipher.seal(1, new.note))
        assert row is not None
        return self._of(row)

    async def find(self, identifier: UUID) -> tuple[SubjectRequest, list[Event]] | None:
        """One, and its history. Errors: CannotOpen."""
        cipher = self._cipher(identifier)
        async with self._connection.transaction(readonly=True):
            await set_tenant(self._connection, self._tenant.id)
            row = await self._connection.fetchrow(
                "SELECT * FROM vault.subject_request WHERE tenant = $1 AND id = $2",
                self._tenant.id,
                identifier,
            )
            events = await self._connection.fetch(
                "SELECT number, at, by, action, note FROM vault.subject_request_event"
                " WHERE tenant = $1 AND request = $2 ORDER BY number",
                self._tenant.id,
                identifier,
            )
        if row is None:
            return None
        return self._of(row), [
            Event(at, by, action, cipher.open(number, note)) for number, at, by, action, note in events
        ]

    async def listed(
        self, wanted: Wanted, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[SubjectRequest]:
        """At most ``limit``, by when they are due; ``after``: (due, id) of the last one before. Errors: CannotOpen."""
        async with self._connection.transaction(readonly=True):
            await set_tenant(self._connection, self._tenant.id)
            rows = await self._connection.fetch(
                "SELECT * FROM vault.subject_request WHERE tenant = $1 AND ($2::text IS NULL OR state = $2)"
                " AND ($3::text IS NULL OR kind = $3)"
                " AND ($4::timestamptz IS NULL OR (due < $4 AND state IN ('submitted', 'approved')))"
                " AND ($5::timestamptz IS NULL OR (due, id) > ($5, $6::uuid)) ORDER BY due, id LIMIT $7",
                self._tenant.id, wanted.state and wanted.state.value, wanted.kind and wanted.kind.value,
                wanted.due_before, *(after or (None, None)), limit,
            )  # fmt: skip
        return [self._of(row) for row in rows]

    async def take(
        self, identifier: UUID, step: Step, by: str, note: str, wanted: Callable[[int], bool]
    ) -> SubjectRequest | None:
        """A step, if its version is ``wanted``; None if there is no such request.

        Errors: OtherVersion, WrongStep, CannotOpen.
        """
        async with self._connection.transaction():
            await set_tenant(self._connection, self._tenant.id)
            row = await self._connection.fetchrow(
                "SELECT *, now() > due AS late FROM vault.subject_request WHERE tenant = $1 AND id = $2 FOR UPDATE",
                self._tenant.id,
                identifier,
            )
            if row is None:
                return None
            if not wanted(row["version"]):
                raise OtherVersion()
            before = self._of(row)
            state, due = _after(before, step, row["late"])
            row = await self._connection.fetchrow(
                "UPDATE vault.subject_request SET version = version + 1, state = $3, due = $4, extended = extended OR $5"
                " WHERE tenant = $1 AND id = $2 RETURNING *",
                self._tenant.id, identifier, state.value, due, step is Step.EXTEND,
            )  # fmt: skip
            await self._append(identifier, by, step.value, note)
        assert row is not None
        return self._of(row)

    async def remind(self, until: datetime, now: datetime) -> list[Due]:
        """Open ones due before ``until`` of which nobody was reminded, and overdue ones not reminded of since they are."""
        async with self._connection.transaction():
            await set_tenant(self._connection, self._tenant.id)
            rows = await self._connection.fetch(
                "UPDATE vault.subject_request SET reminded = $3 WHERE tenant = $1 AND state IN ('submitted', 'approved')"
                " AND due < $2 AND (reminded IS NULL OR (due < $3 AND reminded < due)) RETURNING id, kind, due",
                self._tenant.id,
                until,
                now,
            )
            for row in rows:
                await self._append(row["id"], "pgnym", "remind", "")
        return sorted(
            (Due(row["id"], Kind(row["kind"]), row["due"]) for row in rows), key=lambda one: one.due
        )

    async def _append(self, identifier: UUID, by: str, action: str, note: str) -> None:
        number = 1 + await self._connection.fetchval(
            "SELECT coalesce(max(number), 0) FROM vault.subject_request_event WHERE tenant = $1 AND request = $2",
            self._tenant.id,
            identifier,
        )
        await self._note(identifier, number, by, action, self._cipher(identifier).seal(number, note))

    async def _note(self, identifier: UUID, number: int, by: str, action: str, note: bytes) -> None:
        await self._connection.execute(
            "INSERT INTO vault.subject_request_event (tenant, request, number, by, action, note)"
            " VALUES ($1, $2, $3, $4, $5, $6)",
            self._tenant.id, identifier, number, by, action, note,
        )  # fmt: skip

    def _cipher(self, identifier: UUID) -> NoteCipher:
        return NoteCipher(self._tenant.audit_key, self._tenant.id, identifier)

    def _of(self, row: asyncpg.Record) -> SubjectRequest:
        table = row["subject_table"]
        return SubjectRequest(
            row["id"],
            row["version"],
            Kind(row["kind"]),
            State(row["state"]),
            None if table is None else (table, row["subject_id"]),
            row["received"],
            row["due"],
            row["extended"],
            self._cipher(row["id"]).open(0, row["contact"]),
        )


def _after(request: SubjectRequest, step: Step, late: bool) -> tuple[State, datetime]:
    """State and deadline after a step. Raises WrongStep."""
    allowed, state = _STEPS[step]
    if request.state not in allowed:
        wanted = " or ".join(each.value for each in allowed)
        raise WrongStep(f"the request is {request.state.value}; to {step.value} it, it must be {wanted}")
    if step is not Step.EXTEND:
        assert state is not None
        return state, request.due
    if request.extended:
        raise WrongStep("the deadline can be extended once (Art. 12(3) GDPR)")
    if late:
        raise WrongStep("the deadline has passed: an extension must be told before (Art. 12(3) GDPR)")
    return request.state, months_after(request.received, EXTENDED_MONTHS)
