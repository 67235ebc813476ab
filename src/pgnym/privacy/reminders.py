"""Reminds of requests of data subjects that are due soon, or overdue: a line in the log, and a record in the audit log.

Each process of a gateway looks; a request is marked in the statement that finds it, so that one of them reminds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.privacy.requests import Requests
from pgnym.vault.errors import VaultError
from pgnym.vault.rotation import tenants
from pgnym.vault.store import TenantVault, Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

LOOK_SECONDS = 600.0
AHEAD = timedelta(days=7)
_LOG = logging.getLogger("pgnym.requests")
_ACTOR = Actor("pgnym", "", application_name="pgnym reminders")


class Reminders:
    """A task beside the admin endpoint. ``opened`` gives vault and log, or None while the gateway is sealed."""

    def __init__(self, opened: Callable[[], tuple[Vault, AuditLog] | None]) -> None:
        self._opened = opened
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: it looks at once."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            opened = self._opened()
            if opened is not None:
                try:
                    await remind(*opened)
                except VaultError as error:
                    _LOG.warning("requests of data subjects could not be looked at: %s", error.message)
            await asyncio.sleep(LOOK_SECONDS)


async def remind(vault: Vault, log: AuditLog) -> int:
    """Look once; how many it reminded of. Errors: VaultError."""
    found = 0
    for name in await vault.administer(tenants):
        found += await _of_tenant(vault, log, await vault.tenant(name))
    return found


async def _of_tenant(vault: Vault, log: AuditLog, tenant: TenantVault) -> int:
    now = datetime.now(UTC)
    due = await vault.administer(lambda connection: Requests(connection, tenant).remind(now + AHEAD, now))
    for request in due:
        late = "overdue since" if request.due < now else "due"
        told = f"request {request.id} ({request.kind.value}) is {late} {request.due:%Y-%m-%d}"
        _LOG.warning("tenant %s: %s", tenant.name, told)
        await log.write(
            AuditRecord(now, tenant.name, _ACTOR, Action.ADMIN, fingerprint="remindRequest", text=told)
        )
    return len(due)
