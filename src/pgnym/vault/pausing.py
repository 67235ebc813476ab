"""A pause that all gateways keep together, so that a token key changes between two statements of every session.

Four advisory locks of the vault's database, each of which ends with the connection that holds it:

- ``HOLDERS``, shared: a process that has a master key shows itself (see ``watch``).
- ``CHANGE``, exclusive: whoever changes the key; shared: who waits for the end of it.
- ``PAUSED``, shared: a process in which no session has anything under way, and in which none begins anything.

The changer takes CHANGE, notifies, and goes on once as many processes are PAUSED as show themselves. A process goes on once
it gets CHANGE and no change is half done; so one whose changer was killed stays paused until another has finished the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from pgnym.vault import locks
from pgnym.vault.connection import Connector
from pgnym.vault.errors import VaultError
from pgnym.vault.following import TokenFollower

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

STEADY = 3.0
"""Seconds that the processes must be the same before a pause: one that has lost its connection is back within them."""
_POLL = 0.05
_AGAIN = 0.2
_TRIES = 100

_PIDS = (
    "SELECT array_agg(pid ORDER BY pid) FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    " AND objsubid = $1 AND classid::bigint = $2 AND ($3::bigint IS NULL OR objid::bigint = $3)"
)
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, VaultError)


@asynccontextmanager
async def all_paused(connection: Connection, seconds: float) -> AsyncIterator[int]:
    """While no gateway has anything under way; gives how many processes there are.

    ``connection``: of the vault's owner, outside a transaction. ``seconds``: how long sessions get to end what they have
    begun; new statements wait meanwhile. Raises VaultError if that is not enough, and all go on as before.
    """
    before = await _steady(connection)
    for _ in range(_TRIES):
        # A paused process takes it for a moment now and then, and one that was killed until the server notices.
        if await connection.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1)", locks.CHANGE):
            break
        await asyncio.sleep(_POLL)
    else:
        raise VaultError("another change of a token key is under way", hint="Let it end, or end its process.")
    try:
        await connection.execute("SELECT pg_catalog.pg_notify('pgnym_invalidate', 'pause')")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            shown, paused = len(await _shown(connection)), len(await _paused(connection))
            if paused == shown >= len(before):
                break
            if loop.time() > deadline:
                raise VaultError(
                    f"{shown - paused} of {shown} gateway processes have transactions that don't end; nothing was changed",
                    hint="See pg_stat_activity for sessions that are idle in transaction, and run this again.",
                )
            await asyncio.sleep(_POLL)
        yield shown
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_catalog.pg_advisory_unlock($1)", locks.CHANGE)


async def _steady(connection: Connection) -> list[int]:
    """The processes that show themselves, once they have been the same for a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10 * STEADY
    found = await _shown(connection)
    since = loop.time()
    while loop.time() - since < STEADY:
        await asyncio.sleep(_POLL)
        now = await _shown(connection)
        if now != found:
            found, since = now, loop.time()
        if loop.time() > deadline:
            raise VaultError("gateways start and end all the time", hint="Run this at a quieter time.")
    return found


async def _shown(connection: Connection) -> list[int]:
    return await connection.fetchval(_PIDS, 2, locks.HOLDERS, None) or []


async def _paused(connection: Connection) -> list[int]:
    return await connection.fetchval(_PIDS, 1, locks.PAUSED >> 32, locks.PAUSED & 0xFFFFFFFF) or []


class Pauser:
    """A process's part.

    ``halt`` is to stop all sessions, and return once none has anything under way; ``resume`` lets them go on, and is told
    whether tokens are others.
    """

    def __init__(self, connector: Connector, tokens: TokenFollower) -> None:
        self._connector = connector
        self._tokens = tokens
        self._task: asyncio.Task[None] | None = None
        self._halted = False
        self.halt: Callable[[], Awaitable[None]] = _nothing
        self.resume: Callable[[bool], None] = lambda others: None

    def pause(self) -> None:
        """A change is about to come, or may be under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._pause())

    async def close(self) -> None:
        """Wait for nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _pause(self) -> None:
        while True:
            try:
                await self._kept()
            except _FAILURES:
                # The server can't be reached: nobody changes anything then, but whether somebody has is not known.
                await asyncio.sleep(_AGAIN)
            else:
                return

    async def _kept(self) -> None:
        """One pause, from halt to resume, if there is to be one."""
        connection = await self._connector.connect()
        try:
            if not self._halted:
                if not await under_way(connection):
                    return
                self._halted = True
            ending = asyncio.create_task(self._until_over(connection))
            halting = asyncio.ensure_future(self.halt())
            await asyncio.wait([ending, halting], return_when=asyncio.FIRST_COMPLETED)
            if halting.done() and not ending.done():
                ending.cancel()
                await asyncio.wait([ending])
                self._tokens.suspend()
                await connection.execute("SELECT pg_catalog.pg_advisory_lock_shared($1)", locks.PAUSED)
                await self._until_over(connection)
            else:
                halting.cancel()
                await ending
            self.resume(await self._tokens.renew())
            self._halted = False
        finally:
            connection.terminate()

    async def _until_over(self, connection: Connection) -> None:
        while await under_way(connection):  # noqa: ASYNC110 - others end it
            await asyncio.sleep(_AGAIN)


async def under_way(connection: Connection) -> bool:
    """Whether somebody changes a token key, or has left the change half done."""
    if not await connection.fetchval("SELECT pg_catalog.pg_try_advisory_lock_shared($1)", locks.CHANGE):
        return True
    await connection.execute("SELECT pg_catalog.pg_advisory_unlock_shared($1)", locks.CHANGE)
    return bool(
        await connection.fetchval("SELECT EXISTS (SELECT FROM vault.tenant WHERE new_token_key IS NOT NULL)")
    )


async def refuse_to_start(connection: Connection) -> None:
    """VaultError while a token key is being changed: who starts now would have the keys of before."""
    if await under_way(connection):
        raise VaultError(
            "a token key is being changed",
            hint="Wait for the end of it; if it was ended half-way, run `pgnym keys rotate token` again.",
        )


async def _nothing() -> None:
    return
