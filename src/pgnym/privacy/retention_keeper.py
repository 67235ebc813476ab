"""Retention on a schedule: what gateways do by themselves, one of them at a time.

Each process of a gateway has a keeper. It looks in the vault when the next run is due, by the vault's clock; then an
advisory lock decides which of them works. A run that failed or was killed is followed by another soon (``runs.due``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Actor
from pgnym.privacy.office import Office
from pgnym.privacy.retention import Busy, Report, Retention, kept_words
from pgnym.privacy.runs import due
from pgnym.vault.errors import VaultError
from pgnym.vault.rotation import tenants
from pgnym.vault.store import Vault

LOOK_SECONDS = 10.0
_LOG = logging.getLogger("pgnym.retention")
_ACTOR = Actor("pgnym", "", application_name="pgnym retention")


class Tally(Protocol):
    """Where it is counted what the runs of this process have done. ``rows``: by table; ``values``: by domain; ``done``: when
    the last run of any gateway ended that did all of its work, in seconds since 1970."""

    rows: dict[str, int]
    values: dict[str, int]
    runs: int
    failures: int
    done: float | None


class RetentionKeeper:
    """A task beside the admin endpoint. ``opened`` gives vault and log, or None while the gateway is sealed."""

    def __init__(
        self, office: Office, opened: Callable[[], tuple[Vault, AuditLog] | None], tally: Tally
    ) -> None:
        self._office = office
        self._opened = opened
        self._tally = tally
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if there is a schedule."""
        every = self._office.config.retention.interval
        if every is not None:
            self._task = asyncio.create_task(self._run(every))

    async def stop(self) -> None:
        """End. What is under way is left to whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, every: timedelta) -> None:
        while True:
            opened = self._opened()
            if opened is not None:
                try:
                    await self._look(*opened, every)
                except Busy:
                    pass  # another gateway is at it
                except VaultError as error:
                    self._failed(error.message)
                except TimeoutError:
                    self._failed("the protected database does not answer")
            await asyncio.sleep(min(LOOK_SECONDS, every.total_seconds()))

    def _failed(self, why: str) -> None:
        self._tally.failures += 1
        _LOG.warning("retention could not be carried out: %s", why)

    async def _look(self, vault: Vault, log: AuditLog, every: timedelta) -> None:
        dry_run = self._office.config.retention.dry_run
        found = await vault.administer(lambda connection: due(connection, every, dry_run=dry_run))
        self._tally.done = None if found.done is None else found.done.timestamp()
        if found.wait:
            return
        names = await vault.administer(tenants)
        if not names:
            return  # nothing has ever been stored
        async with self._office.desk(vault, patient=True) as desk:
            retention = Retention(
                self._office.config, desk.app, desk.store, [await vault.tenant(name) for name in names], log, _ACTOR,
                self._office.config.retention.age, desk.guise, every=every,
            )  # fmt: skip
            self._note(await retention.run(dry_run=dry_run), dry_run)

    def _note(self, report: Report | None, dry_run: bool) -> None:
        if report is None:
            return  # another gateway has just done it
        tally = self._tally
        if not dry_run:
            _add(tally.rows, report.rows)
            for domains in report.values.values():
                _add(tally.values, domains)
        if report.problems:
            self._failed(report.problem)
        else:
            tally.runs += 1
            tally.done = tally.done if dry_run else datetime.now(UTC).timestamp()
        would = " would be" if dry_run else ""
        for outcome in report.outcomes:
            rule, count = outcome.rule, outcome.rows.total()
            if count:
                _LOG.info("%d rows of %s%s %s", count, rule.label, would, rule.done)
            if outcome.kept:
                _LOG.warning(
                    "%d rows of %s kept: %s", outcome.kept.total(), rule.label, kept_words(outcome.kept)
                )


def _add(known: dict[str, int], more: Mapping[str, int]) -> None:
    for name, number in more.items():
        known[name] = known.get(name, 0) + number
