"""A task beside the audit log that sends it on (``audit.export``), and says when it can't."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from pgnym.audit.export import Exporter
from pgnym.audit.sinks import SinkFailed
from pgnym.vault.errors import VaultError

_INTERVAL = 1.0
_LONGEST = 60.0


class AuditSender:
    """Sends what is new every second, and less often while it fails."""

    def __init__(self, exporter: Exporter, log: logging.Logger) -> None:
        self._exporter = exporter
        self._log = log
        self._stopped = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._failing = False
        self._caught_up: float | None = monotonic()

    @property
    def lag(self) -> float | None:
        """Seconds since all records there were had been sent on; None where another gateway sends."""
        return None if self._caught_up is None else monotonic() - self._caught_up

    async def _run(self) -> None:
        pause = _INTERVAL
        while not self._stopped.is_set():
            try:
                await asyncio.wait_for(self._stopped.wait(), pause)
            except TimeoutError:
                pause = _INTERVAL if await self._send() else min(2 * pause, _LONGEST)

    async def _send(self) -> bool:
        started = monotonic()
        try:
            sent = await self._exporter.run()
        except (SinkFailed, VaultError) as error:
            if not self._failing:
                self._log.error("the audit log can't be sent on (it is kept, and sent later): %s", error)
            self._failing = True
            return False
        if self._failing:
            self._log.info("the audit log is sent on again")
        self._failing = False
        self._caught_up = None if sent is None else started
        return True

    async def stop(self) -> None:
        """Send what is left, if that goes at once, and end."""
        self._stopped.set()
        await self._task
        if not self._failing:
            await self._send()
        await self._exporter.close()
