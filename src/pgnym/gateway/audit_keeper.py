"""What the audit log needs from time to time: checkpoints, given to the process's log as well, and partitions."""

from __future__ import annotations

import asyncio
import logging

from pgnym.audit.log import AuditLog
from pgnym.vault.errors import VaultError

_PARTITIONS = 24 * 3600.0


class AuditKeeper:
    """A task beside the log. ``interval``: seconds between checkpoints."""

    def __init__(self, audit: AuditLog, log: logging.Logger, interval: float) -> None:
        self._audit = audit
        self._log = log
        self._interval = interval
        self._stopped = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        prepared = -_PARTITIONS
        while not self._stopped.is_set():
            if loop.time() - prepared >= _PARTITIONS and await self._try(self._audit.prepare()):
                prepared = loop.time()
            try:
                await asyncio.wait_for(self._stopped.wait(), self._interval)
            except TimeoutError:
                await self._try(self._checkpoint())

    async def _checkpoint(self) -> None:
        for checkpoint in await self._audit.checkpoint():
            self._log.info(checkpoint.line())

    async def _try(self, work: object) -> bool:
        try:
            await work  # type: ignore[misc]
        except VaultError as error:
            # The next turn tries again; the records themselves don't depend on it.
            self._log.warning("the audit log could not be attended to: %s", error.message)
            return False
        return True

    async def stop(self) -> None:
        """A last checkpoint, and the end."""
        self._stopped.set()
        await self._task
        await self._try(self._checkpoint())
