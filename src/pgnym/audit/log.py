"""The writing of the audit log, group-committed over all sessions.

No reveal without a record: a session awaits ``AuditLog.write`` and sends nothing to its client if that raises. With
durability *commit* ``write`` returns when the record is committed; one commit serves all who wait. With *relaxed* it
returns at once and the record follows in the background: what the queue holds is lost if the process dies, so it is
bounded, and full it makes sessions wait.

Each lane is a *writer* of its own for each tenant, with an id and a sequence from 1, over which the records are chained
(``chain.py``). After a failed batch, of which can't be known whether it was committed, the lane goes on as a new writer:
so a sequence has no gap and no number twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import msgspec

from pgnym.audit.chain import ChainKey, Checkpoint
from pgnym.audit.records import AuditRecord, pack_details
from pgnym.audit.sealing import DetailsCipher
from pgnym.metrics.counts import Timing
from pgnym.vault.batch import Batcher
from pgnym.vault.connection import Lane, set_tenant
from pgnym.vault.errors import VaultError, VaultUnavailable
from pgnym.vault.store import TenantVault, Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_LANES = 2  # while one waits for its commit, the other collects and sends
_BATCH = 512 * 1024  # bytes of details in one round trip, and RECORD_COST per record
_RECORD_COST = 512
_QUEUE = 10_000
_BACKOFF = (0.05, 0.2, 0.5, 1.0, 2.0)

_ADD = f"SELECT vault.audit_add({', '.join(f'${n}' for n in range(1, 19))})"
_ADD_ONE = f"SELECT vault.audit_add_one({', '.join(f'${n}' for n in range(1, 18))})"

_Row = tuple[datetime, str, str, str, str, str, str, str, str, str, bytes, bytes]
_Entry = tuple[TenantVault, AuditRecord, bytes]


class Durability(Enum):
    """When ``AuditLog.write`` returns."""

    COMMIT = "commit"
    RELAXED = "relaxed"


class AuditUnavailable(VaultError):
    """A record could not be written. What it was to account for must not happen."""


class AuditLog:
    """Writes records of all tenants.

    ``wait``: seconds that a relaxed ``write`` waits for room before it gives up. ``timing``: where round trips are noted.
    """

    def __init__(
        self,
        vault: Vault,
        durability: Durability = Durability.COMMIT,
        *,
        wait: float = 15.0,
        timing: Timing | None = None,
    ) -> None:
        self._vault = vault
        self._relaxed = durability is Durability.RELAXED
        self._wait = wait
        self._lanes = [Lane(vault.connector) for _ in range(1 if self._relaxed else _LANES)]
        timing = timing or Timing()
        writers = [_Writer(lane, self._relaxed, timing) for lane in self._lanes]
        self._batcher: Batcher[_Entry, None] = Batcher(
            [writer.run for writer in writers], limit=_BATCH, weight=_weight
        )
        self._writers = writers
        self._control = Lane(vault.connector)
        self._noted: dict[UUID, int] = {}  # writer → sequence of its last checkpoint
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

    @property
    def waiting(self) -> tuple[int, datetime | None]:
        """How many records no lane has taken yet, and the time of the oldest."""
        oldest = self._queue[0] if self._queue else self._batcher.oldest
        return len(self._queue) + self._batcher.waiting, None if oldest is None else oldest[1].time

    def heads(self, tenant: str) -> dict[UUID, tuple[int, bytes]]:
        """What this log knows of its own records of a tenant: writer → (sequence, mac) of the last one committed."""
        return {
            chain.writer: (chain.sequence, chain.mac)
            for chain in self._chains()
            if chain.tenant.name == tenant
        }

    def _chains(self) -> list[Chain]:
        return [chain for writer in self._writers for chain in writer.chains]

    async def checkpoint(self) -> list[Checkpoint]:
        """Writes a checkpoint for each chain that has grown since its last one, and returns them, to be kept elsewhere too.

        One task at a time. Errors: VaultUnavailable, VaultError.
        """
        made = []
        for chain in self._chains():
            sequence, mac = chain.sequence, chain.mac
            if sequence == self._noted.get(chain.writer, 0):
                continue
            checkpoint = Checkpoint(chain.tenant.name, chain.writer, sequence, mac, datetime.now(UTC))
            await self._control.run(partial(add_checkpoint, chain.tenant, checkpoint))
            self._noted[chain.writer] = sequence
            made.append(checkpoint)
        return made

    async def prepare(self, months: int = 2) -> None:
        """Sees that the table has partitions for the months to come. Errors: VaultUnavailable, VaultError."""
        await self._control.run(
            lambda connection: connection.execute("SELECT vault.audit_partitions($1)", months)
        )

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
        for lane in (self._control, *self._lanes):
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
    """One lane: the chains of its tenants, and the statement."""

    def __init__(self, lane: Lane, relaxed: bool, timing: Timing) -> None:
        self._lane = lane
        self._relaxed = relaxed
        self._timing = timing
        self._chains: dict[int, Chain] = {}

    @property
    def chains(self) -> Iterable[Chain]:
        """The chains that it writes."""
        return self._chains.values()

    async def run(self, entries: list[_Entry]) -> list[None]:
        parts: dict[int, tuple[TenantVault, list[tuple[AuditRecord, bytes]]]] = {}
        for tenant, record, details in entries:
            part = parts.get(tenant.id)
            if part is None:
                part = parts[tenant.id] = tenant, []
            part[1].append((record, details))
        for tenant, _ in parts.values():
            if tenant.id not in self._chains:
                self._chains[tenant.id] = await self._lane.run(partial(Chain.begin, tenant))
        stops: list[int] = []
        rows: list[_Row] = []
        chains = [self._chains[tenant] for tenant in parts]
        for chain, (_, records) in zip(chains, parts.values(), strict=True):
            rows += chain.rows(records)
            stops.append(len(rows))
        started = monotonic()
        try:
            await self._lane.run(lambda connection: self._add(connection, chains, stops, rows))
        except BaseException:
            for chain in chains:
                del self._chains[chain.tenant.id]
            raise
        self._timing.took(monotonic() - started)
        for chain in chains:
            chain.settle()
        return [None] * len(entries)

    async def _add(
        self, connection: Connection, chains: list[Chain], stops: list[int], rows: list[_Row]
    ) -> None:
        relaxed = self._relaxed
        if len(rows) == 1:
            chain = chains[0]
            tenant, writer, first = chain.tenant.id, chain.writer, chain.first
            await connection.fetchval(_ADD_ONE, relaxed, tenant, writer, first, chain.head, *rows[0])
            return
        await connection.fetchval(
            _ADD,
            relaxed,
            [chain.tenant.id for chain in chains],
            stops,
            [chain.writer for chain in chains],
            [chain.first for chain in chains],
            [chain.head for chain in chains],
            *zip(*rows, strict=True),
        )


async def add_checkpoint(tenant: TenantVault, checkpoint: Checkpoint, connection: Connection) -> None:
    """Writes one checkpoint of the tenant."""
    seal = ChainKey(tenant.audit_key, tenant.id).checkpoint(checkpoint)
    async with connection.transaction():
        await set_tenant(connection, tenant.id)
        await connection.execute(
            "INSERT INTO vault.audit_checkpoint (tenant, writer, sequence, time, dropped, mac, seal)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            tenant.id, checkpoint.writer, checkpoint.sequence, checkpoint.time, checkpoint.dropped, checkpoint.mac, seal,
        )  # fmt: skip


class Chain:
    """One writer's records of one tenant. ``sequence`` and ``mac`` are of its last record that is committed."""

    __slots__ = ("_cipher", "_key", "_next", "mac", "sequence", "tenant", "writer")

    def __init__(self, tenant: TenantVault, writer: UUID, key: ChainKey, mac: bytes) -> None:
        self.tenant = tenant
        self.writer = writer
        self.sequence = 0
        self.mac = mac
        self._key = key
        self._cipher = DetailsCipher(tenant.audit_key, tenant.id, writer)
        self._next = (0, mac)  # after the rows that are under way

    @classmethod
    async def begin(cls, tenant: TenantVault, connection: Connection) -> Chain:
        """A new writer, registered under the tenant's next number."""
        key = ChainKey(tenant.audit_key, tenant.id)
        writer, started = uuid4(), datetime.now(UTC)
        async with connection.transaction():
            await set_tenant(connection, tenant.id)
            await connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended('pgnym audit writer', $1))", tenant.id
            )
            last = await connection.fetchrow(
                "SELECT number, seal FROM vault.audit_writer WHERE tenant = $1 ORDER BY number DESC LIMIT 1",
                tenant.id,
            )
            number, before = (1, b"") if last is None else (last[0] + 1, last[1])
            seal = key.writer(number, writer, started, before)
            mac = key.start(seal)
            await connection.execute(
                "INSERT INTO vault.audit_writer (tenant, number, writer, started, seal, sequence, mac, head)"
                " VALUES ($1, $2, $3, $4, $5, 0, $6, $7)",
                tenant.id, number, writer, started, seal, mac, key.head(writer, 0, mac),
            )  # fmt: skip
        return cls(tenant, writer, key, mac)

    @property
    def first(self) -> int:
        """The sequence of the first row under way."""
        return self.sequence + 1

    @property
    def head(self) -> bytes:
        """The head after the rows under way."""
        return self._key.head(self.writer, *self._next)

    def rows(self, records: list[tuple[AuditRecord, bytes]]) -> list[_Row]:
        """The rows of records and their packed details, chained to the last ones."""
        sequence, mac = self.sequence, self.mac
        key, writer, seal = self._key, self.writer, self._cipher.seal
        rows: list[_Row] = []
        for record, packed in records:
            sequence += 1
            actor = record.actor
            content = (
                record.time,
                record.action.value,
                record.decision.value,
                _clean(actor.db_user),
                _clean(actor.role),
                _clean(actor.client_address),
                _clean(actor.application_name),
                _clean(record.purpose),
                _clean(record.fingerprint),
            )
            details = seal(sequence, packed)
            mac = key.record(mac, writer, sequence, (*content, record.counts, details))
            rows.append((*content, msgspec.json.encode(record.counts).decode(), details, mac))
        self._next = sequence, mac
        return rows

    def settle(self) -> None:
        """The rows under way are committed."""
        self.sequence, self.mac = self._next


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
