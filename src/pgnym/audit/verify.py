"""Is the audit log as it was written? Walks the chains of one tenant, and says what was done to it, and where.

What is found, whoever did it, as long as they have not the tenant's audit key: a record that was changed, removed,
moved, added, or taken from another tenant; a writer's records cut off at the end, or all of them removed; a log set back to
an older copy of itself, as far as a writer's head, a checkpoint, or an anchor that was kept elsewhere knows of more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from pgnym.audit.chain import COLUMNS, ChainKey, Checkpoint, Content, same
from pgnym.vault.connection import set_tenant
from pgnym.vault.keys import Secret

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_PREFETCH = 1000
_RECORDS = """
SELECT writer, sequence, mac, time, action, decision, db_user, role, client_address, application_name, purpose, fingerprint,
       counts::text AS counts, details
FROM vault.audit WHERE tenant = $1 ORDER BY writer, sequence, time
"""


class Fault(Enum):
    """What is wrong."""

    CHANGED = "changed"  # a record, or its mac, is not what was written
    MISSING = "missing"  # records between others are gone
    TRUNCATED = "truncated"  # records at the end are gone
    ADDED = "added"  # a record that its writer did not write
    FOREIGN = "foreign"  # records of a writer that this tenant has not had
    WRITER_CHANGED = "writer changed"  # a writer's row is not what was written
    WRITER_MISSING = "writer missing"  # a writer's row is gone
    CHECKPOINT_CHANGED = "checkpoint changed"
    SET_BACK = "set back"  # a checkpoint or anchor knows of more, or of others


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. ``first`` to ``last``: sequences of the writer (0: the writer as such). ``time``: about when, if known."""

    fault: Fault
    writer: UUID | None
    first: int
    last: int
    time: datetime | None = None

    def __str__(self) -> str:
        where = f"writer {self.writer}" if self.writer is not None else "a writer"
        if self.first:
            where += f", record {self.first}" + (f" to {self.last}" if self.last != self.first else "")
        if self.fault is Fault.MISSING:
            where += f" (and record {self.last + 1} can't be vouched for)"
        when = f", {self.time.isoformat(sep=' ', timespec='seconds')}" if self.time is not None else ""
        return f"{self.fault.value}: {where}{when}"


@dataclass(slots=True)
class Verdict:
    """What ``verify`` found. ``records``: how many are there; ``unchained``: how many from before there was a chain."""

    tenant: str
    records: int = 0
    writers: int = 0
    checkpoints: int = 0
    unchained: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.findings


@dataclass(slots=True)
class _Writer:
    """A writer's row, and what is known of its records besides."""

    writer: UUID
    seal: bytes
    sequence: int
    started: datetime
    begins_after: int = 0
    before: bytes = b""
    known: dict[int, bytes] = field(default_factory=dict)  # sequence → mac, of checkpoints and anchors
    times: dict[int, datetime] = field(default_factory=dict)
    seen: int = 0


async def verify(
    connection: Connection,
    tenant: int,
    name: str,
    audit_key: Secret,
    *,
    anchors: Iterable[Checkpoint] = (),
    heads: Mapping[UUID, tuple[int, bytes]] | None = None,
) -> Verdict:
    """Verifies all of a tenant's records, in one snapshot; memory does not grow with their number.

    Parameters: ``connection`` of the gateway's role or the owner, outside a transaction; ``anchors``, checkpoints that were
    kept elsewhere; ``heads``, what a running log knows of its own writers (``AuditLog.heads``). Errors:
    asyncpg.PostgresError.
    """
    verdict = Verdict(name)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await set_tenant(connection, tenant)
        run = _Run(ChainKey(audit_key, tenant), tenant, name, verdict)
        await run.writers(connection)
        await run.checkpoints(connection)
        for anchor in anchors:
            if anchor.tenant == name:
                run.remember(anchor.writer, anchor.sequence, anchor.mac, anchor.time)
        for writer, (sequence, mac) in (heads or {}).items():
            run.remember(writer, sequence, mac, None)
        await run.records(connection)
        run.conclude()
        verdict.unchained = await connection.fetchval(
            "SELECT count(*) FROM vault.audit_unchained WHERE tenant = $1", tenant
        )
    order = list(Fault)
    verdict.findings.sort(key=lambda f: (str(f.writer), f.first, order.index(f.fault)))
    return verdict


class _Run:
    def __init__(self, key: ChainKey, tenant: int, name: str, verdict: Verdict) -> None:
        self._key = key
        self._tenant = tenant
        self._name = name
        self._verdict = verdict
        self._writers: dict[UUID, _Writer] = {}

    def _found(
        self, fault: Fault, writer: UUID | None, first: int = 0, last: int = 0, time: datetime | None = None
    ) -> None:
        self._verdict.findings.append(Finding(fault, writer, first, last or first, time))

    async def writers(self, connection: Connection) -> None:
        """Rows of writers: their chain by number, and their heads."""
        before, expected = b"", 1
        for row in await connection.fetch(
            "SELECT * FROM vault.audit_writer WHERE tenant = $1 ORDER BY number", self._tenant
        ):
            key, writer = self._key, row["writer"]
            self._verdict.writers += 1
            if row["number"] != expected:
                self._found(Fault.WRITER_MISSING, None, time=row["started"])
            elif not same(row["seal"], key.writer(row["number"], writer, row["started"], before)):
                self._found(Fault.WRITER_CHANGED, writer, time=row["started"])
            if not same(row["head"], key.head(writer, row["sequence"], row["mac"])):
                self._found(Fault.WRITER_CHANGED, writer, time=row["started"])
            before, expected = row["seal"], row["number"] + 1
            known = _Writer(writer, row["seal"], row["sequence"], row["started"])
            known.before = key.start(row["seal"])
            self._writers[writer] = known
            if row["sequence"]:
                self.remember(writer, row["sequence"], row["mac"], None)

    async def checkpoints(self, connection: Connection) -> None:
        """Checkpoints, and where records begin after retention has dropped some."""
        for row in await connection.fetch(
            "SELECT * FROM vault.audit_checkpoint WHERE tenant = $1 ORDER BY writer, sequence", self._tenant
        ):
            self._verdict.checkpoints += 1
            checkpoint = Checkpoint(
                self._name, row["writer"], row["sequence"], row["mac"], row["time"], row["dropped"]
            )
            if not same(row["seal"], self._key.checkpoint(checkpoint)):
                self._found(Fault.CHECKPOINT_CHANGED, row["writer"], row["sequence"], time=row["time"])
                continue
            self.remember(row["writer"], row["sequence"], row["mac"], row["time"])
            writer = self._writers.get(row["writer"])
            if checkpoint.dropped and writer is not None and checkpoint.sequence > writer.begins_after:
                writer.begins_after, writer.before = checkpoint.sequence, checkpoint.mac

    def remember(self, writer: UUID, sequence: int, mac: bytes, time: datetime | None) -> None:
        """That a writer's record has this mac is known from elsewhere."""
        known = self._writers.get(writer)
        if known is None:
            self._found(Fault.WRITER_MISSING, writer, time=time)
            return
        if known.known.setdefault(sequence, mac) != mac:
            self._found(Fault.SET_BACK, writer, sequence, time=time)
        if time is not None:
            known.times[sequence] = time

    async def records(self, connection: Connection) -> None:
        """All records, by writer and sequence."""
        current: UUID | None = None
        async for row in connection.cursor(_RECORDS, self._tenant, prefetch=_PREFETCH):
            writer = row["writer"]
            known = self._writers.get(writer)
            if known is None:
                if writer != current:
                    self._found(Fault.FOREIGN, writer, row["sequence"], time=row["time"])
                self._verdict.records += 1
                current = writer
                continue
            if writer != current:
                current, before, computed = writer, known.before, known.before
                known.seen = known.begins_after
            self._verdict.records += 1
            before, computed = self._record(known, row, before, computed)

    def _record(
        self, known: _Writer, row: asyncpg.Record, before: bytes, computed: bytes
    ) -> tuple[bytes, bytes]:
        """One record; returns what the next one may be chained to: the mac that is stored, and the one that is right."""
        writer, sequence, time = known.writer, row["sequence"], row["time"]
        expected = known.seen + 1
        if sequence < expected:
            self._found(Fault.ADDED, writer, sequence, time=time)
            return before, computed
        gap = sequence > expected
        if gap:
            self._found(Fault.MISSING, writer, expected, sequence - 1, time)
        content = _content(row)
        right = self._key.record(before, writer, sequence, content)
        sound = same(row["mac"], right)
        if not sound and computed != before:
            # The one before had its mac changed, or its content: this one may still be chained to what was written.
            right = self._key.record(computed, writer, sequence, content)
            sound = same(row["mac"], right)
        if gap:
            # What it is chained to is gone: only something that is known from elsewhere could vouch for it.
            sound, right = True, row["mac"]
        if sequence in known.known and not same(known.known[sequence], row["mac"]):
            sound = False
        if sequence > known.sequence:
            self._found(Fault.ADDED if not sound else Fault.SET_BACK, writer, sequence, time=time)
        elif not sound:
            self._found(Fault.CHANGED, writer, sequence, time=time)
        known.seen = sequence
        return row["mac"], right

    def conclude(self) -> None:
        """What is missing at the ends."""
        for known in self._writers.values():
            seen = max(known.seen, known.begins_after)
            last = max(known.known, default=0)
            if last > known.sequence:
                self._found(Fault.SET_BACK, known.writer, known.sequence + 1, last, known.times.get(last))
            elif known.sequence > seen:
                self._found(
                    Fault.TRUNCATED, known.writer, seen + 1, known.sequence, known.times.get(known.sequence)
                )


def _content(row: asyncpg.Record) -> Content:
    return (*(row[column] for column in COLUMNS), json.loads(row["counts"]), row["details"])
