"""The records of calls: none is left out, and yet whoever floods the endpoint can't flood the log.

A call over a limit costs the caller nothing, so a record each would let anybody fill the log. The first by one caller to one
operation is written at once; those that follow within some seconds are counted, and their number is written as one record.

While the gateway is sealed there is no log: what is asked then is kept, within bounds, and written once it is unsealed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord, Decision
from pgnym.vault.errors import VaultError

WINDOW = 10.0
MOST_KEPT = 1000
MOST_COUNTED = 1000  # callers and operations at a time; what is beyond is counted together
_LOOK = 0.5
_LOG = logging.getLogger("pgnym.admin")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a record says, but for its time. ``request``: method and path. ``outcome``: status and notes."""

    tenant: str
    actor: Actor
    operation: str
    decision: Decision
    request: str
    outcome: str

    def record(self) -> AuditRecord:
        """As of now: records of a chain are in the order of their times."""
        return AuditRecord(
            datetime.now(UTC),
            self.tenant,
            self.actor,
            Action.ADMIN,
            self.decision,
            fingerprint=self.operation,
            text=f"{self.request} {self.outcome}".strip(),
        )


_Key = tuple[str, str, str, str]  # tenant, actor, address, operation


@dataclass(slots=True)
class _Count:
    entry: Entry
    since: float
    calls: int = 0


class Recorder:
    """Writes entries. ``log`` gives the audit log, None while there is none; ``comes``: whether there will be one."""

    def __init__(
        self,
        log: Callable[[], AuditLog | None],
        comes: Callable[[], bool],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._log = log
        self._comes = comes
        self._clock = clock
        self._kept: deque[Entry] = deque()
        self._left_out = 0
        self._counts: dict[_Key, _Count] = {}
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def write(self, entry: Entry) -> None:
        """Write it, or keep it while the gateway is sealed. Raises VaultError: then the call must not be answered."""
        audit = self._log()
        if audit is None:
            self._keep(entry)
        else:
            await audit.write(entry.record())

    async def over_limit(self, entry: Entry, general: str) -> None:
        """Write it if it is the first, else count it. ``general``: its request without what differs from call to call.

        Raises VaultError.
        """
        key = entry.tenant, entry.actor.db_user, entry.actor.client_address, entry.operation
        if key not in self._counts and len(self._counts) >= MOST_COUNTED:
            key = entry.tenant, "", "", ""
            general = "calls by many callers"
        count = self._counts.get(key)
        if count is not None:
            count.calls += 1
            return
        # What a caller says of itself may differ each time, so it isn't part of what is counted.
        actor = Actor(key[1], entry.actor.role if key[1] else "", key[2])
        self._counts[key] = _Count(
            replace(entry, actor=actor, operation=key[3], request=general), self._clock(), 0 if key[3] else 1
        )
        self._attend()
        if key[3]:
            await self.write(entry)

    async def close(self) -> None:
        """Write what has been counted and kept. What can't be is said in the process's log."""
        self._stop.set()
        if self._task is not None:
            await self._task
        await self._flush(everything=True)
        lost = len(self._kept) + self._left_out + sum(count.calls for count in self._counts.values())
        if lost:
            _LOG.warning("%d calls of the admin endpoint are in no audit log, but in this one", lost)

    def _keep(self, entry: Entry) -> None:
        _LOG.info(
            "%s by %s: %s",
            entry.operation,
            entry.actor.client_address or "local",
            entry.outcome,
        )
        if not self._comes():
            return
        if len(self._kept) >= MOST_KEPT:
            self._left_out += 1
        else:
            at = datetime.now(UTC).isoformat(timespec="seconds")
            self._kept.append(replace(entry, outcome=f"{entry.outcome} at {at} while sealed"))
        self._attend()

    def _attend(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while (self._counts or self._kept) and not self._stop.is_set():
            try:
                await asyncio.wait_for(self._stop.wait(), _LOOK)
            except TimeoutError:
                await self._flush()

    async def _flush(self, everything: bool = False) -> None:
        now = self._clock()
        try:
            for key, count in list(self._counts.items()):
                if everything or now - count.since >= WINDOW:
                    await self._write_count(key, count, max(1, round(now - count.since)))
            await self._write_kept()
        except VaultError as error:
            _LOG.warning("calls could not be recorded yet: %s", error.message)

    async def _write_count(self, key: _Key, count: _Count, seconds: int) -> None:
        del self._counts[key]  # what comes meanwhile is counted anew
        if not count.calls:
            return
        outcome = f"{count.entry.outcome}, {count.calls} more within {seconds} seconds"
        try:
            await self.write(replace(count.entry, outcome=outcome))
        except VaultError:
            self._counts.setdefault(key, _Count(count.entry, count.since)).calls += count.calls
            raise

    async def _write_kept(self) -> None:
        while self._kept and (audit := self._log()) is not None:
            entry = self._kept[0]
            await audit.write(entry.record())
            self._kept.popleft()
            if self._left_out and not self._kept:
                text = f"{self._left_out} more calls while sealed, which are in the gateway's own log"
                self._left_out = 0
                self._kept.append(replace(entry, actor=Actor("", ""), operation="", request=text, outcome=""))
