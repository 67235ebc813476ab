"""A run of retention: rows whose time is over, consents that have expired, values that no row holds any more.

One at a time, as an advisory lock in the vault's database decides. What one table stands in the way of doesn't keep
the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.config import Config
from pgnym.privacy import runs
from pgnym.privacy.access import Guise, require
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import holders
from pgnym.privacy.office import told
from pgnym.privacy.purging import Purger
from pgnym.privacy.retaining import Outcome, Retainer
from pgnym.privacy.rules import rules
from pgnym.vault import locks
from pgnym.vault.connection import set_tenant
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

# Acceptances that nothing has followed.
_EXPIRED = """
SELECT e.purpose, count(*) FROM vault.consent_event e
WHERE e.tenant = $1 AND e.action = 'accept' AND e.expires <= clock_timestamp() AND ($2::timestamptz IS NULL OR
e.expires > $2) AND NOT EXISTS (SELECT FROM vault.consent_event n WHERE n.tenant = e.tenant AND n.subject_table =
e.subject_table AND n.subject = e.subject AND n.purpose = e.purpose AND n.sequence > e.sequence)
GROUP BY e.purpose ORDER BY e.purpose
"""


@dataclass(slots=True)
class Report:
    """What a run did, or would do. ``consents``: by tenant and purpose; ``values``: by tenant and domain."""

    outcomes: list[Outcome] = field(default_factory=list)
    consents: dict[str, dict[str, int]] = field(default_factory=dict)
    values: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[PrivacyError] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, int]:
        """By table."""
        return {each.rule.label: each.rows.total() for each in self.outcomes}

    @property
    def problem(self) -> str:
        """Why it could not be done in full; "" where it could."""
        return "; ".join(each.message for each in self.problems)

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "rows": self.rows,
            "kept": {each.rule.label: dict(each.kept) for each in self.outcomes if each.kept},
            "busy": {each.rule.label: each.busy for each in self.outcomes if each.busy},
            "consents": self.consents,
            "values": self.values,
        }


@dataclass(frozen=True, slots=True)
class Retention:
    """What a run needs. ``app``, ``vault``: connections, the same one where both are in one database.

    ``tenants``: all there are; ``only``: whose rows and values are dealt with (None: all). ``guise``: what is taken on for
    the application's tables. ``every``: how often it is to be done by itself; None: somebody asks for it.
    """

    config: Config
    app: Connection
    vault: Connection
    tenants: Sequence[TenantVault]
    log: AuditLog
    actor: Actor
    purge_after: timedelta
    guise: Guise | None = None
    only: TenantVault | None = None
    every: timedelta | None = None

    async def run(self, *, dry_run: bool) -> Report | None:
        """None: it is not due any more (``every``), since another gateway has done it meanwhile.

        Errors: Busy, while another run is at work; asyncpg.PostgresError, OSError, where a connection is lost.
        """
        if not await self.vault.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1)", locks.RETENTION):
            raise Busy("another run of retention is at work", hint="Wait until it has ended.")
        try:
            if self.every is not None and (await runs.due(self.vault, self.every, dry_run=dry_run)).wait:
                return None
            return await self._run(dry_run)
        finally:
            if not self.vault.is_closed():
                await self.vault.execute("SELECT pg_catalog.pg_advisory_unlock($1)", locks.RETENTION)

    async def _run(self, dry_run: bool) -> Report:
        since = (await runs.due(self.vault, timedelta(0), dry_run=dry_run)).done
        identifier = await runs.begin(self.vault, scheduled=self.every is not None, dry_run=dry_run)
        report = Report()
        try:
            await self._rows(report, dry_run)
            await self._consents(report, since, dry_run)
            await self._values(report, dry_run)
        except PrivacyError as error:
            report.problems.append(error)
        except asyncpg.PostgresError as error:
            if self.app.is_closed() or self.vault.is_closed():
                raise
            report.problems.append(_told(error))
        await runs.end(self.vault, identifier, report.told(), report.problem)
        await self._record(report, dry_run)
        return report

    async def _rows(self, report: Report, dry_run: bool) -> None:
        everywhere = await holders(self.app, self.vault)
        await require(self.app, self.guise, [], everywhere)
        now: datetime = await self.app.fetchval("SELECT pg_catalog.clock_timestamp()")
        retainer = Retainer(
            self.app, self.vault, self.tenants, self.log, self.actor, self.guise, self.only
        )  # fmt: skip
        for rule in await rules(self.app, self.config, everywhere):
            outcome = Outcome(rule)
            report.outcomes.append(outcome)
            try:
                await retainer.carry_out(outcome, now, dry_run=dry_run)
            except asyncpg.PostgresError as error:
                if self.app.is_closed() or self.vault.is_closed():
                    raise
                reason = _told(error)
                report.problems.append(PrivacyError(f"{rule.label}: {reason.message}", hint=reason.hint))

    async def _consents(self, report: Report, since: datetime | None, dry_run: bool) -> None:
        """An expired consent counts for nothing from that moment on, whatever is done here: it is noted."""
        for tenant in self._concerned():
            async with self.vault.transaction():
                await set_tenant(self.vault, tenant.id)
                found = {row[0]: row[1] for row in await self.vault.fetch(_EXPIRED, tenant.id, since)}
            if not found:
                continue
            report.consents[tenant.name] = found
            if not dry_run:
                text = ", ".join(f"{count} for {purpose}" for purpose, count in found.items())
                await self._write(tenant.name, "expireConsents", f"consents have expired: {text}")

    async def _values(self, report: Report, dry_run: bool) -> None:
        for tenant in self._concerned():
            purger = Purger(self.app, self.vault, tenant, self.log, self.actor, self.purge_after, self.guise)
            found = await purger.purge(dry_run=dry_run)
            if found:
                report.values[tenant.name] = found

    def _concerned(self) -> Sequence[TenantVault]:
        return self.tenants if self.only is None else [self.only]

    async def _record(self, report: Report, dry_run: bool) -> None:
        """That it was run, for each tenant; what it deleted is in records of its own."""
        for tenant in self._concerned():
            rows = {each.rule.label: each.rows[tenant.name] for each in report.outcomes}
            done = (
                ", ".join(f"{count} rows of {label}" for label, count in rows.items() if count) or "no rows"
            )
            values = sum(report.values.get(tenant.name, {}).values())
            text = f"retention{' (dry run)' if dry_run else ''}: {done}, {values} values"
            if report.problems:
                text += f"; not in full: {report.problem}"
            await self._write(tenant.name, "retention", text)

    async def _write(self, tenant: str, operation: str, text: str) -> None:
        await self.log.write(
            AuditRecord(datetime.now(UTC), tenant, self.actor, Action.ADMIN, fingerprint=operation, text=text)
        )


class Busy(PrivacyError):
    """Another run is at work."""


def _told(error: asyncpg.PostgresError) -> PrivacyError:
    if (error.sqlstate or "")[:2] == "22":  # no subject is asked for here
        return PrivacyError(f"the protected database refused it ({error.sqlstate})")
    return told(error, "")


def kept_words(kept: Counter[str]) -> str:
    """Why rows were kept, for people."""
    return ", ".join(f"{count} by {why}" for why, count in sorted(kept.items()))
