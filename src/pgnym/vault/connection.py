"""Connections to the vault's server: how they are made, how they are kept, and what their failures are called.

They are pgnym's own, never a client's, with a fixed search_path and every setting that matters pinned (compare pgbouncer's
CVE-2025-12819: a look-up run along a client's search_path).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from pgnym.vault.errors import VaultError, VaultOutdated, VaultUnavailable, vault_closed

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Value = TypeVar("Value")

CONNECT_TIMEOUT = 5.0
COMMAND_TIMEOUT = 15.0

_SETTINGS = {
    "search_path": "",
    "application_name": "pgnym",
    "client_encoding": "UTF8",
    "row_security": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "idle_in_transaction_session_timeout": "30s",
    # All that runs here finds rows by key. Plans that are made and kept while the tables are still empty would
    # otherwise read whole tables until the next ANALYZE.
    "enable_seqscan": "off",
    "jit": "off",
}
_RETRIED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Connector:
    """Makes connections. ``where``: a URL, or keyword arguments of ``asyncpg.connect``. Times in seconds."""

    def __init__(
        self,
        where: str | Mapping[str, Any],
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        command_timeout: float = COMMAND_TIMEOUT,
    ) -> None:
        self._arguments: dict[str, Any] = {"dsn": where} if isinstance(where, str) else dict(where)
        self._connect_timeout = connect_timeout
        self._command_timeout = command_timeout

    def __repr__(self) -> str:
        return "<Connector>"  # the arguments hold a password

    async def connect(self) -> Connection:
        """A new connection; VaultUnavailable if it can't be had."""
        # The server gives up first, so that a statement does not go on after its caller was told of a time-out.
        settings = _SETTINGS | {"statement_timeout": f"{int(self._command_timeout * 900)}ms"}
        try:
            connection: Connection = await asyncpg.connect(
                **self._arguments,
                timeout=self._connect_timeout,
                command_timeout=self._command_timeout,
                server_settings=settings,
            )
        except Exception as error:
            raise translated(error) from None
        return connection


class Lane:
    """One connection that is made when needed, kept, and made anew after a failure. For one task at a time."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], Awaitable[Value]]) -> Value:
        """``work`` on the connection. Errors come out as VaultErrors; nothing is tried twice but what the server
        rolled back.

        A connection that turns out to be dead when ``work`` starts is a failure like any other: whether the server did
        the work can't be known in general. (The connection is checked before, so an idle one that died costs no error.)
        """
        for attempt in range(4):
            connection = await self._ready()
            try:
                return await work(connection)
            except _RETRIED as error:
                # The whole transaction was rolled back by the server: it is safe to do it again.
                if attempt == 3:
                    raise translated(error) from None
            except VaultError:
                raise
            except Exception as error:
                self.drop()  # rare, and whatever state it is in, a new one is in a better
                raise translated(error) from None
            except BaseException:
                self.drop()  # cancelled: the connection may be in the middle of a statement
                raise
        raise AssertionError("unreachable")

    def drop(self) -> None:
        """Ends the connection without waiting; the next ``run`` makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        """Ends the connection in good order, or at once if that does not work."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=1)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    async def _ready(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connector.connect()
        return self._connection


class LanePool:
    """Several lanes, for any tasks: who comes when all are in use waits, in order."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._idle = list(lanes)
        self._free = asyncio.Semaphore(len(lanes))

    async def run(self, work: Callable[[Connection], Awaitable[Value]]) -> Value:
        """``work`` on a lane that is free. Errors: see ``Lane.run``; VaultUnavailable after ``close``."""
        async with self._free:
            if not self._lanes:
                raise vault_closed()
            lane = self._idle.pop()
            try:
                return await lane.run(work)
            finally:
                self._idle.append(lane)

    async def close(self) -> None:
        """Waits for what is under way, then ends the connections."""
        lanes, self._lanes = self._lanes, ()
        for _ in lanes:
            await self._free.acquire()
        for lane in lanes:
            await lane.close()
            self._free.release()


async def set_tenant(connection: Connection, tenant: int, *, local: bool = True) -> None:
    """Which tenant's rows are seen (row-level security): for the transaction, or with ``local`` False for the session."""
    await connection.execute("SELECT pg_catalog.set_config('pgnym.tenant', $1, $2)", str(tenant), local)


def translated(error: Exception) -> Exception:
    """The VaultError for what asyncpg or the network raised. Its text holds no value, address or password."""
    if isinstance(error, VaultError):
        return error
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):  # 28000, 28P01
        return VaultUnavailable(
            "the vault's server refused the login",
            hint="Check vault.user and its password (vault.password_file).",
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return VaultUnavailable(
            "the vault's database is not there", hint="Check vault.url or upstream.database."
        )
    if isinstance(
        error,
        asyncpg.UndefinedTableError | asyncpg.UndefinedFunctionError | asyncpg.InvalidSchemaNameError
        | asyncpg.InsufficientPrivilegeError,
    ):  # fmt: skip
        return VaultOutdated(
            "the vault's schema is not as this pgnym needs it, or its login lacks rights",
            hint="Run `pgnym apply`.",
        )
    if isinstance(error, asyncpg.QueryCanceledError | TimeoutError | asyncio.TimeoutError):
        return VaultUnavailable(
            "the vault's server did not answer in time", hint="Look for locks and load on the vault's server."
        )
    if isinstance(error, asyncpg.PostgresError):
        return VaultUnavailable(
            f"the vault's server reported an error (SQLSTATE {error.sqlstate})", hint="See the server's log."
        )
    if isinstance(error, ValueError):
        return error  # asyncpg.DataError: an argument of the wrong type is a bug here, not the server's state
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError | EOFError):
        return VaultUnavailable(
            "the vault's server can't be reached", hint="Check vault.url, the server and the network."
        )
    return error
