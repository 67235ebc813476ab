"""Finishes erasures, whoever began them: this gateway, another one that was killed, or the command.

Each process of a gateway has a keeper. One at a time works, as an advisory lock in the vault's database decides; the others
look again after a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Actor
from pgnym.privacy.erasing import Eraser
from pgnym.privacy.erasures import due
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.office import Desk, Office, told
from pgnym.vault import locks
from pgnym.vault.errors import VaultError
from pgnym.vault.store import Vault

LOOK_SECONDS = 10.0
_LOG = logging.getLogger("pgnym.erasures")
_ACTOR = Actor("pgnym", "", application_name="pgnym erasures")


class ErasureKeeper:
    """A task beside the admin endpoint. ``opened`` gives vault and log, or None while the gateway is sealed."""

    def __init__(self, office: Office, opened: Callable[[], tuple[Vault, AuditLog] | None]) -> None:
        self._office = office
        self._opened = opened
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: what is pending is looked for at once."""
        self._task = asyncio.create_task(self._run())

    def look(self) -> None:
        """There is something to do."""
        self._wanted.set()

    async def stop(self) -> None:
        """End. What is under way is left to whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            opened = self._opened()
            if opened is not None:
                try:
                    await self._attend(*opened)
                except VaultError as error:
                    _LOG.warning("erasures could not be attended to: %s", error.message)
                except TimeoutError:
                    _LOG.warning("erasures could not be attended to: the protected database does not answer")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _attend(self, vault: Vault, log: AuditLog) -> None:
        pending = await vault.administer(_tenants_with_work)
        if not pending:
            return
        async with self._office.desk(vault, patient=True) as desk:
            if not await desk.store.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1)", locks.ERASURES):
                return  # the lock goes with the connection
            for name in pending:
                eraser = desk.eraser(await vault.tenant(name), log, _ACTOR)
                for identifier in await due(desk.store, eraser.tenant.id):
                    await _finish(desk, eraser, identifier)


async def _finish(desk: Desk, eraser: Eraser, identifier: UUID) -> None:
    try:
        await eraser.finish_one(identifier)
    except PrivacyError as error:
        await eraser.note_problem(identifier, error.message)
        _LOG.warning("erasure %s is not finished yet: %s", identifier, error.message)
    except asyncpg.PostgresError as error:
        if desk.store.is_closed() or desk.app.is_closed():
            raise
        problem = told(error)
        await eraser.note_problem(identifier, problem.message)
        _LOG.warning("erasure %s is not finished yet: %s", identifier, problem.message)


async def _tenants_with_work(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """Tenants that have pending erasures. Row-level security shows those of one tenant at a time."""
    found = []
    async with connection.transaction(readonly=True):
        for identifier, name in await connection.fetch("SELECT id, name FROM vault.tenant ORDER BY id"):
            if await due(connection, identifier):
                found.append(name)
    return found
