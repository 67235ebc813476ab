"""One connection per process that watches the vault's server. It does three things that need a connection's continuity.

- It listens for invalidations (NOTIFY ``pgnym_invalidate``). While it is down nothing may be kept, because what
others erase would be
  missed; when it is lost, everything kept is forgotten.
- It confirms that asynchronously committed puts have been flushed. That it was open before the put and still is proves that
  the server has not crashed in between; so what it then sees as flushed was not lost.
- It shows which master key this process has, by a shared advisory lock: no change of the master key ends before that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from pgnym.vault import locks
from pgnym.vault.connection import Connector, translated
from pgnym.vault.errors import VaultError, WrongMasterKey
from pgnym.vault.tokens import TOKEN_LENGTH, is_token

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

CHANNEL = "pgnym_invalidate"

_CONFIRM_PAUSE = 0.25  # seconds: a confirmation costs the server a flush, so they are not made more often
_PROBE = 15.0
_BACKOFF = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)

# A transaction that writes to the log and commits synchronously: on its return all that was committed before is
# flushed. (Just comparing pg_current_wal_flush_lsn() with the insert position may wait for long on a quiet server.)
_FLUSH = "SELECT pg_logical_emit_message(true, 'pgnym', '')"

Taken = list[Callable[[], None]]


class Watch:
    """``forget(tenant_id, tokens)`` is called for each invalidation (None: all of the tenant's), ``forget_all`` when the
    connection is lost, ``indexes_changed`` when the vault has other indexes, ``keys_changed`` and ``grants_changed`` when
    it has other keys or grants, or may have, ``pause`` when a token key is about to be changed, or may be. ``take_pending``
    gives what to call once everything committed so far is flushed. ``master`` gives the id of the master key in use."""

    def __init__(
        self,
        connector: Connector,
        *,
        forget: Callable[[int, list[bytes] | None], None],
        forget_all: Callable[[], None],
        indexes_changed: Callable[[], None],
        keys_changed: Callable[[], None],
        grants_changed: Callable[[], None],
        pause: Callable[[], None],
        take_pending: Callable[[], Taken],
        master: Callable[[], str],
    ) -> None:
        self._connector = connector
        self._forget = forget
        self._forget_all = forget_all
        self._indexes_changed = indexes_changed
        self._keys_changed = keys_changed
        self._grants_changed = grants_changed
        self._pause = pause
        self._take_pending = take_pending
        self._master = master
        self._shown: str | None = None  # the master key whose lock we have
        self._connection: Connection | None = None
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._can_confirm = True

    @property
    def listening(self) -> bool:
        """Whether invalidations arrive, so that values may be kept."""
        return self._connection is not None

    async def start(self) -> None:
        """Connects and begins. VaultUnavailable if that does not work at once; later losses are mended silently."""
        await self._connect()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def pending(self) -> None:
        """Says that ``take_pending`` would give something, or ``master`` something else."""
        self._something.set()

    async def _connect(self) -> None:
        connection = await self._connector.connect()
        try:
            connection.add_termination_listener(self._on_lost)
            self._shown = None
            await self._show(connection)
            await connection.add_listener(CHANNEL, self._on_notification)
            await connection.execute(
                "SET synchronous_commit = local"
            )  # a flush here is what is asked; see _FLUSH
        except BaseException as error:
            connection.terminate()
            if isinstance(error, Exception) and not isinstance(error, VaultError):
                raise translated(error) from None
            raise  # stopped while it connected
        if connection.is_closed():
            raise translated(ConnectionError())
        self._connection = connection

    async def _show(self, connection: Connection) -> None:
        """Takes the lock that says which master key we have, then lets go of the one before.

        Raises WrongMasterKey if that key is going.
        """
        key, before = self._master(), self._shown
        if key == before:
            return
        take = "SELECT pg_catalog.pg_try_advisory_lock_shared($1, $2)"
        if not await connection.fetchval(take, locks.HOLDERS, locks.holder(key)):
            raise WrongMasterKey(
                f"master key {key} is being replaced",
                key=key,
                hint="Give the new master key. Nothing was changed.",
            )
        self._shown = key
        if before is not None:
            await connection.execute(
                "SELECT pg_catalog.pg_advisory_unlock_shared($1, $2)", locks.HOLDERS, locks.holder(before)
            )

    async def _run(self) -> None:
        failures = 0
        while True:
            if self._connection is None:
                await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                try:
                    await self._connect()
                except VaultError:
                    # Whoever uses the vault meanwhile gets the error; here is only the mending.
                    failures += 1
                    continue
                self._keys_changed()  # nobody could tell us meanwhile
                self._grants_changed()
                self._pause()
            failures = 0
            connection = self._connection
            if connection is None:
                continue
            try:
                await self._serve(connection)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, WrongMasterKey):
                connection.terminate()
                self._on_lost(connection)

    async def _serve(self, connection: Connection) -> None:
        try:
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ``stop`` sends.
            async with asyncio.timeout(_PROBE):
                await self._something.wait()
        except TimeoutError:
            await connection.execute("SELECT 1")  # raises if the connection is half open
            return
        self._something.clear()
        await self._show(connection)
        if not self._can_confirm:
            return
        await asyncio.sleep(_CONFIRM_PAUSE)
        if self._connection is not connection:
            return
        if taken := self._take_pending():
            try:
                await connection.execute(_FLUSH)
            except (asyncpg.FeatureNotSupportedError, asyncpg.InsufficientPrivilegeError):
                # Some managed servers: nothing ever becomes known, so each put is made.
                self._can_confirm = False
                return
            if self._connection is connection:
                for confirm in taken:
                    confirm()

    def _on_lost(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            self._forget_all()
            self._something.set()  # wakes _serve

    def _on_notification(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        # Any login of the database may notify: whatever else comes is ignored, and what fits costs a look-up.
        if payload == "indexes":
            self._indexes_changed()
            return
        if payload == "keys":
            self._keys_changed()
            return
        if payload == "grants":
            self._grants_changed()
            return
        if payload == "pause":
            self._pause()
            return
        tenant, colon, tokens = str(payload).partition(":")
        if not colon or not tenant.isdecimal() or not payload or not tokens.isascii():
            return
        if tokens == "*":
            self._forget(int(tenant), None)
            return
        data = tokens.encode("ascii")
        parts = [data[i : i + TOKEN_LENGTH] for i in range(0, len(data), TOKEN_LENGTH)]
        self._forget(int(tenant), [part for part in parts if is_token(part)])
