"""All values of a domain, opened and kept in memory, so that questions which no index answers can be answered here.

What is kept is exact at every call: it holds whatever was committed before the call, and nothing whose deletion was. Each
call asks the server once for what the snapshot of the call before could not see (see vault.domain_values in the schema):
usually nothing, in one round trip. Numbers of transactions tell only as long as the server has not crashed or been
replaced, so what was read on another connection is read anew.

Calls for one domain share reads: while one is under way, those who come wait for the next, since what they ask for may have
been committed after the first began.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import asyncpg

from pgnym.vault.connection import Lane
from pgnym.vault.errors import KeyGone, TooManyValues, vault_closed
from pgnym.vault.lanes import Sealed
from pgnym.vault.tokens import PREFIX_LENGTH, domain_id

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SCAN_LIMIT = 20_000
SCAN_BYTES = 64 * 1024 * 1024
MAX_AGE = 3600.0
"""Seconds after which all is read anew. Far below the day for which vault.deletion keeps its rows."""

_ENTRY_COST = 250  # bytes beside the value: two bytes objects' headers, the token, the dict's entry
_OPEN_AT_ONCE = 1000  # values between two turns of the event loop: about a millisecond
_READS = 3  # of a domain of which a key is gone
_versions = itertools.count(1)

# What vault.domain_values says in its first row: these are to be added, these are all, these are more than the bound.
_ALL, _TOO_MANY = 1, -1

Open = Callable[[Sequence[Sealed]], Awaitable[list[tuple[bytes, bytes]]]]


@dataclass(frozen=True, slots=True, eq=False, repr=False, weakref_slot=True)
class DomainValues:
    """The values of a domain as of one moment: token → canonical value, never changed.

    As long as the content is the same, calls give the same object; ``version`` is another for each content, over all
    domains and tenants of the process. What is computed from values is best kept by weak reference to this object, so
    that it goes when the values do.
    """

    values: Mapping[bytes, bytes]
    version: int

    def __repr__(self) -> str:
        return f"<DomainValues of {len(self.values)}, version {self.version}>"


class ScanMemory:
    """What all tenants' domains share: the bound of a domain in values, of all in bytes, and the lanes.

    A domain stays with one lane: what it may keep depends on its connection. Domains that were not asked for the longest
    are forgotten first; one that is larger than ``limit_bytes`` alone is read each time.
    """

    def __init__(self, lanes: Sequence[Lane], *, limit: int, limit_bytes: int) -> None:
        self.limit = limit
        self._limit_bytes = limit_bytes
        self._lanes = [(lane, asyncio.Lock()) for lane in lanes]
        self._turn = itertools.cycle(self._lanes)
        self._kept: OrderedDict[_Domain, None] = OrderedDict()
        self._size = 0
        self._closed = False
        self._tasks: set[asyncio.Task[DomainValues]] = set()

    def lane(self) -> tuple[Lane, asyncio.Lock]:
        """The lane of a new domain."""
        return next(self._turn)

    def keep(self, domain: _Domain) -> None:
        """Counts what a domain keeps now, as used just now, and makes room for it."""
        self.drop(domain)
        if domain.values is None:
            return
        if domain.size > self._limit_bytes:
            domain.forget()
            return
        self._kept[domain] = None
        domain.counted = domain.size
        self._size += domain.size
        while self._size > self._limit_bytes:
            oldest = next(iter(self._kept))
            self.drop(oldest)
            oldest.forget()

    def drop(self, domain: _Domain) -> None:
        """Counts a domain no more."""
        if domain in self._kept:
            del self._kept[domain]
            self._size -= domain.counted
            domain.counted = 0

    def start(self, work: Coroutine[Any, Any, DomainValues]) -> asyncio.Task[DomainValues]:
        """A read that goes on when one of those who wait for it is cancelled. VaultUnavailable after ``close``."""
        if self._closed:
            work.close()
            raise vault_closed()
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def close(self) -> None:
        """Ends the reads that are under way, and the connections."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        for lane, _ in self._lanes:
            await lane.close()

    def _finished(self, task: asyncio.Task[DomainValues]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # each waiter was given it; if all had left, nobody needs it


class _Domain:
    """What is kept of one domain of one tenant, and the read that is to begin."""

    __slots__ = (
        "connection",
        "counted",
        "lane",
        "lock",
        "next",
        "prefix",
        "since",
        "size",
        "snapshot",
        "values",
    )

    def __init__(self, prefix: bytes, lane: Lane, lock: asyncio.Lock) -> None:
        self.prefix = prefix
        self.lane = lane
        self.lock = lock
        self.next: asyncio.Task[DomainValues] | None = None
        self.counted = 0
        self.forget()

    def forget(self) -> None:
        self.values: DomainValues | None = None
        self.snapshot: str | None = None
        self.connection: Connection | None = None
        self.since = 0.0
        self.size = 0


class DomainReader:
    """The domains of one tenant. ``open_values`` opens sealed values; ``may_keep`` says whether invalidations arrive."""

    def __init__(
        self, memory: ScanMemory, tenant: int, open_values: Open, may_keep: Callable[[], bool]
    ) -> None:
        self._memory = memory
        self._tenant = tenant
        self._open = open_values
        self._may_keep = may_keep
        self._domains: dict[bytes, _Domain] = {}
        self._forgets = 0

    async def values(self, prefix: bytes) -> DomainValues:
        """See ``TenantVault.domain_values``."""
        domain = self._domains.get(prefix)
        if domain is None:
            domain = self._domains[prefix] = _Domain(prefix, *self._memory.lane())
        if domain.next is None:
            domain.next = self._memory.start(self._read(domain))
        task = domain.next
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # by close, not whoever waits
                raise vault_closed() from None
            raise

    def forget(self, tokens: Sequence[bytes] | None) -> None:
        """Forgets the domains of these tokens (None: all)."""
        self._forgets += 1
        if tokens is None:
            touched = list(self._domains.values())
        else:
            prefixes = {token[:PREFIX_LENGTH] for token in tokens}
            touched = [self._domains[prefix] for prefix in prefixes if prefix in self._domains]
        for domain in touched:
            self._memory.drop(domain)
            domain.forget()

    def wipe(self) -> None:
        """Forgets all, also in the hands of those who hold on to it."""
        kept = [domain.values for domain in self._domains.values() if domain.values is not None]
        self.forget(None)
        for values in kept:
            cast("dict[bytes, bytes]", values.values).clear()

    async def _read(self, domain: _Domain) -> DomainValues:
        async with domain.lock:
            domain.next = None  # who comes from now on may know of something that this read will not see
            for _ in range(_READS - 1):
                try:
                    return await domain.lane.run(lambda connection: self._refresh(domain, connection))
                except KeyGone:  # a rotation may have destroyed the key since the row was read
                    continue
            return await domain.lane.run(lambda connection: self._refresh(domain, connection))

    async def _refresh(self, domain: _Domain, connection: Connection) -> DomainValues:
        forgets = self._forgets
        before, snapshot = domain.values, domain.snapshot
        if connection is not domain.connection or monotonic() - domain.since > MAX_AGE:
            before = snapshot = None
        (_, kind, _, taken), *rows = await connection.fetch(
            "SELECT * FROM vault.domain_values($1, $2, $3, $4, $5)",
            self._tenant,
            domain.prefix.decode("ascii"),
            snapshot,
            0 if before is None else len(before.values),
            self._memory.limit,
        )
        full = before is None or kind == _ALL
        known: Mapping[bytes, bytes] = {} if before is None or full else before.values
        # A row that was restored from another cluster may come again.
        sealed = [
            (t, g, c) for t, g, c in ((r[0].encode("ascii"), r[1], r[2]) for r in rows) if t not in known
        ]
        if kind == _TOO_MANY or len(known) + len(sealed) > self._memory.limit:
            self._memory.drop(domain)
            domain.forget()
            raise TooManyValues(
                f"domain {domain_id(domain.prefix)} has more than {self._memory.limit} values",
                bound=self._memory.limit,
                hint="Raise vault.scan_limit, or give the column an index by `search`.",
            )
        values = before
        if values is None or full or sealed:
            content = dict(known)
            for start in range(0, len(sealed), _OPEN_AT_ONCE):
                content.update(await self._open(sealed[start : start + _OPEN_AT_ONCE]))
                await asyncio.sleep(0)
            if values is None or content != values.values:
                values = DomainValues(content, next(_versions))
        if forgets == self._forgets and self._may_keep():
            if full:
                domain.since = monotonic()
            if values is not domain.values:
                domain.size = sum(map(len, values.values.values())) + len(values.values) * _ENTRY_COST
            domain.values, domain.snapshot, domain.connection = values, taken, connection
            self._memory.keep(domain)
        return values
