"""What a gateway process tells of itself: its own numbers, and those of the other workers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from pgnym import __version__
from pgnym.metrics.shared import SharedSnapshots
from pgnym.metrics.snapshots import Measures, Snapshot, State, Totals

if TYPE_CHECKING:
    from pgnym.gateway.runtime import Runtime

PUBLISH_SECONDS = 1.0
_DEAD_SECONDS = 10.0


class Meter:
    """Gathers when asked, so that sessions only count. With several workers each leaves its numbers for the others once
    a second, and before it tells the sum: so whichever worker is asked, no counter ever goes back.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._shared: SharedSnapshots | None = None
        self._place: int | None = None
        self._before = Totals()  # of the worker that had the place before this one
        self._task: asyncio.Task[None] | None = None

    def share(self, shared: SharedSnapshots) -> None:
        """Begin to share numbers with other workers."""
        place = shared.claim()
        if place is None:
            raise AssertionError("there is a place for each worker")
        self._shared, self._place = shared, place
        left = shared.read(place)
        if left is not None:
            self._before = left.totals
        self._task = asyncio.get_running_loop().create_task(self._publish_now_and_then())

    def measures(self) -> Measures:
        """The numbers of all workers."""
        now = monotonic()
        own = self._snapshot(now)
        if self._shared is None or self._place is None:
            return Measures.of(__version__, [own], now)
        self._shared.write(self._place, own)
        return Measures.of(__version__, self._shared.all(), now - _DEAD_SECONDS)

    def stop(self) -> None:
        """No more is told."""
        if self._task is not None:
            self._task.cancel()

    async def _publish_now_and_then(self) -> None:
        assert self._shared is not None
        assert self._place is not None
        while True:
            self._shared.write(self._place, self._snapshot(monotonic()))
            await asyncio.sleep(PUBLISH_SECONDS)

    def _snapshot(self, now: float) -> Snapshot:
        runtime = self._runtime
        totals = Totals.of(runtime.counts, runtime.unwritten)
        totals.add(self._before)
        return Snapshot(now, totals, _state(runtime))


def _state(runtime: Runtime) -> State:
    vault, audit, sender = runtime.vault, runtime.audit, runtime.audit_sender
    waiting, oldest = (0, None) if audit is None else audit.waiting
    return State(
        sealed=runtime.sealed,
        sessions=len(runtime.connections),
        cached_values=0 if vault is None else vault.cache_budget.values,
        waiting=waiting,
        lag=0.0 if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds()),
        export_lag=None if sender is None else sender.lag,
        retention_done=runtime.counts.retained.done,
    )
