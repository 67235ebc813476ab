"""The writing of the audit log, group-committed over all sessions.

No reveal without a record: a session awaits ``AuditLog.write`` and sends nothing to its client if that raises. With
durability *commit* ``write`` returns when the record is committed; one commit serves all who wait. With *relaxed* it
returns at once and the record follows in the background: what the queue holds is lost if the process dies, so it is
bounded, and full it makes sessions wait.

Each lane is a *writer* of its own, with an id and a sequence from 1. After a failed batch, of which can't be known
whether it was committed, the lane goes on as a new writer: so a sequence has no gap and no number twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import msgspec

from pgnym.audit.records import AuditRecord, pack_details
from pgnym.audit.sealing import DetailsCipher
from pgnym.vault.batch import Batcher
from pgnym.vault.connection import Lane
from pgnym.vault.errors import VaultError, VaultUnavailable
from pgnym.vault.store import TenantVault, Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_LANES = 2  # while one waits for its commit, the other collects and sends
_BATCH = 512 * 1024  # bytes of details in one round trip, and RECORD_COST per record
_RECORD_COST = 512
_QUEUE = 10_000
_BACKOFF = (0.05, 0.2, 0.5, 1.0, 2.0)

_ADD = f"SELECT vault.audit_add({', '.join(f'${n}' for n in range(1, 17))})"
_ADD_ONE = f"SELECT vault.audit_add_one({', '.join(f'${n}' for n in range(1, 16))})"

_Row = tuple[datetime, str, str, str, str, str, str, str, str, str, bytes]
_Entry = tuple[TenantVault, AuditRecord, bytes]


class Durability(Enum):
    """When ``AuditLog.write`` returns."""

    COMMIT = "commit"
    RELAXED = "relaxed"


class AuditUnavailable(VaultError):
    """A record could not be written. What it was to account for must not happen."""


class AuditLog:
    """Writes records of all tenants. ``wait``: seconds that a relaxed ``write`` waits for room before it gives up."""

    def __init__(
        self, vault: Vault, durability: Durability = Durability.COMMIT, *, wait: float = 15.0
    ) -> None:
        self._vault = vault
        self._relaxed = durability is Durability.RELAXED
        self._wait = wait
        self._lanes = [Lane(vault.connector) for _ in range(1 if self._relaxed else _LANES)]
        writers = [_Writer(lane, self._relaxed) for lane in self._lanes]
        self._batcher: Batcher[_Entry, None] = Batcher(
            [writer.run for writer in writers], limit=_BATCH, weight=_weight
        )
        self._queue: deque[_Entry] = deque()
        self._room = asyncio.Event()
        self._writer = writers[0]
        self._flusher: asyncio.Task[None] | None = None
        self._failed: VaultError | None = None  # why the last relaxed batch could not be written
        self._closed = False

    async def write(self, record: AuditRecord) -> None:
        """Writes a record; see the module's docstring for when it returns.

        Errors: AuditUnavailable (the caller must not reveal, or do, what the record accounts for); ValueError for a time
        without zone.
        """
        if record.time.tzinfo is None:
            raise ValueError("the time of an audit record needs a time zone")
        try:
            tenant = self._vault.opened(record.tenant) or await self._vault.tenant(record.tenant)
            entry = tenant, record, pack_details(record)
            if self._relaxed:
                await self._enqueue(entry)
            else:
                await self._batcher.submit(entry)
        except VaultError as error:
            raise _unavailable(error) from error

    def submit(self, record: AuditRecord, done: Callable[[None, BaseException | None], None]) -> bool:
        """As ``write``, without a coroutine: ``done(None, None)`` is called once it is committed, or with an error.

        False where ``write`` must be used. ``done`` must not raise.
        """
        tenant = self._vault.opened(record.tenant)
        if tenant is None or self._relaxed or self._closed or record.time.tzinfo is None:
            return False
        self._batcher.call((tenant, record, pack_details(record)), done)
        return True

    async def close(self, within: float = 15.0) -> None:
        """Writes what is still to be written, for at most ``within`` seconds, and ends the connections.

        Close the log before its vault. AuditUnavailable if records (relaxed only) had to be given up; it says how many.
        """
        self._closed = True
        try:
            async with asyncio.timeout(within):
                await self._batcher.close(_closed)
                if self._flusher is not None:
                    await asyncio.wait([self._flusher])
        except TimeoutError:
            pass  # what is left is counted below
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait([self._flusher])
        for lane in self._lanes:
            await lane.close()
        if self._queue:
            raise AuditUnavailable(
                f"{len(self._queue)} audit records could not be written before the end",
                hint="The vault's server was unreachable; with audit.durability: commit no record is ever pending.",
            )

    async def _enqueue(self, entry: _Entry) -> None:
        if len(self._queue) >= _QUEUE and not self._closed:
            try:
                async with asyncio.timeout(self._wait):
                    while len(self._queue) >= _QUEUE:
                        self._room.clear()
                        await self._room.wait()
            except TimeoutError:
                raise self._failed or VaultUnavailable(
                    "the vault's server takes audit records too slowly", hint="Look for locks and load on it."
                ) from None
        if self._closed:
            raise _closed()
        self._queue.append(entry)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Writes the queue until it is empty. What fails is tried again: an outage delays records, and does not lose them.

        (A batch that failed may have been committed all the same; its records are then there twice, by two writers.)
        """
        failures = 0
        while self._queue:
            batch = self._next_batch()
            try:
                await self._writer.run(batch)
            except VaultError as error:
                self._failed = error
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                failures += 1
                continue
            failures = 0
            for _ in batch:
                self._queue.popleft()
            self._room.set()

    def _next_batch(self) -> list[_Entry]:
        batch: list[_Entry] = []
        room = _BATCH
        for entry in self._queue:
            room -= _weight(entry)
            if room < 0 and batch:
                break
            batch.append(entry)
        return batch


class _Writer:
    """One lane's writer: sequence numbers, sealing, and the statement."""

    def __init__(self, lane: Lane, relaxed: bool) -> None:
        self._lane = lane
        self._relaxed = relaxed
        self._begin()

    def _begin(self) -> None:
        self._id = uuid4()
        self._next = 1
        self._ciphers: dict[int, DetailsCipher] = {}

    async def run(self, entries: list[_Entry]) -> list[None]:
        tenants: list[int] = []
        stops: list[int] = []
        rows: list[_Row] = []
        sequence = self._next
        # In the order of tenants, and within a tenant in the order of arrival.
        for tenant, record, details in sorted(entries, key=lambda entry: entry[0].id):
            if not tenants or tenants[-1] != tenant.id:
                tenants.append(tenant.id)
                stops.append(0)
            actor = record.actor
            rows.append(
                (
                    record.time,
                    record.action.value,
                    record.decision.value,
                    _clean(actor.db_user),
                    _clean(actor.role),
                    _clean(actor.client_address),
                    _clean(actor.application_name),
                    _clean(record.purpose),
                    _clean(record.fingerprint),
                    msgspec.json.encode(record.counts).decode(),
                    self._cipher(tenant).seal(sequence, details),
                )
            )
            sequence += 1
            stops[-1] = len(rows)
        try:
            await self._lane.run(lambda connection: self._add(connection, tenants, stops, rows))
        except BaseException:
            self._begin()
            raise
        self._next = sequence
        return [None] * len(entries)

    async def _add(
        self, connection: Connection, tenants: list[int], stops: list[int], rows: list[_Row]
    ) -> None:
        relaxed, writer, first = self._relaxed, self._id, self._next
        if len(rows) == 1:
            await connection.fetchval(_ADD_ONE, relaxed, tenants[0], writer, first, *rows[0])
        else:
            await connection.fetchval(_ADD, relaxed, tenants, stops, writer, first, *zip(*rows, strict=True))

    def _cipher(self, tenant: TenantVault) -> DetailsCipher:
        cipher = self._ciphers.get(tenant.id)
        if cipher is None:
            cipher = self._ciphers[tenant.id] = DetailsCipher(tenant.audit_key, tenant.id, self._id)
        return cipher


def _weight(entry: _Entry) -> int:
    return len(entry[2]) + _RECORD_COST


def _clean(text: str) -> str:
    """What a text column can hold: clients choose some of these, and one must not spoil a batch for all."""
    if text.isprintable():
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def _unavailable(error: VaultError) -> AuditUnavailable:
    if isinstance(error, AuditUnavailable):
        return error
    return AuditUnavailable(f"the audit record could not be written: {error.message}", hint=error.hint)


def _closed() -> AuditUnavailable:
    return AuditUnavailable("the audit log is closed", hint="The gateway is sealed or shutting down.")
