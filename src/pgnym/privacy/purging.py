"""The purge: deletes values that no row holds any more.

A value that was put within ``PURGE_GRACE`` may be on its way into a row, so only older ones are looked at. Of these, what
no row holds is a candidate. Then the transactions that have written to a column of these domains are waited for: one of them
may have copied a token whose row has gone meanwhile. What no row holds then either is deleted, unless somebody has put it
again since: a put of an old value refreshes ``last_put`` before it counts on the row (``vault.put``), and here the row is
locked before ``last_put`` is read. Rows that others hold are left for the next run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.privacy.access import Guise, acting
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import Holder, holders, of_domains, referenced, tables
from pgnym.privacy.writers import writers_end
from pgnym.vault import locks
from pgnym.vault.connection import set_tenant
from pgnym.vault.store import PURGE_GRACE, TenantVault
from pgnym.vault.tokens import domain_id

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SHORTEST = timedelta(seconds=PURGE_GRACE)
_BATCH = 5000
_AGED = """
SELECT token FROM vault.value WHERE tenant = $1 AND token > $2 AND last_put < now() - $3::interval ORDER BY token LIMIT $4
"""
_LOCKED = """
SELECT token FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[]) AND last_put < now() - $3::interval
ORDER BY token FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Purger:
    """What a purge needs. ``app``, ``vault``: connections, the same one where both are in one database.

    ``age``: how long ago a value must have been put, at least ``SHORTEST``. ``guise``: what is taken on to read the
    application's tables (None: the login itself may).
    """

    app: Connection
    vault: Connection
    tenant: TenantVault
    log: AuditLog
    actor: Actor
    age: timedelta
    guise: Guise | None = None

    async def purge(self, *, dry_run: bool) -> dict[str, int]:
        """Values deleted (``dry_run``: that would be), by domain.

        Errors: PrivacyError, where columns aren't protected in full, writers don't end, or another purge is at work. What
        was deleted before that is recorded.
        """
        if self.age < SHORTEST:
            raise PrivacyError(
                "values younger than a day may be on their way into rows", hint="Give 24h or more."
            )
        if not await self.vault.fetchval("SELECT pg_catalog.pg_try_advisory_lock($1)", locks.PURGE):
            raise PrivacyError("another purge is at work", hint="Wait until it has ended.")
        try:
            found = await self._purge(dry_run)
            if not dry_run:
                # Codes in order indexes: also those that an erasure or a purge has left that was killed in between.
                await self.tenant.orders.sweep()
            return found
        finally:
            await self.vault.execute("SELECT pg_catalog.pg_advisory_unlock($1)", locks.PURGE)

    async def _purge(self, dry_run: bool) -> dict[str, int]:
        domains = {row[0]: row[1] for row in await self.vault.fetch("SELECT id, name FROM vault.domain")}
        found: Counter[str] = Counter()
        last = ""
        while True:
            async with self.vault.transaction():
                await set_tenant(self.vault, self.tenant.id)
                rows = await self.vault.fetch(_AGED, self.tenant.id, last, self.age, _BATCH)
            if not rows:
                return dict(found)
            last = rows[-1][0]
            # Anew for each batch: a column may have been protected meanwhile.
            everywhere = await holders(self.app, self.vault)
            tokens = await self._unheld(everywhere, {row[0].encode("ascii") for row in rows})
            if tokens and not dry_run:
                names = tables(of_domains(everywhere, tokens))
                if not await writers_end(self.app, names):
                    raise PrivacyError(
                        f"transactions that write to {', '.join(names)} don't end",
                        hint="Look for idle transactions, then run it again.",
                    )
                tokens = await self._delete(await self._unheld(everywhere, tokens), domains)
            found.update(domains[domain_id(token)] for token in tokens)

    async def _unheld(self, everywhere: Sequence[Holder], tokens: set[bytes]) -> set[bytes]:
        async with self.app.transaction(readonly=True), acting(self.app, self.guise):
            held = await referenced(self.app, everywhere, tokens)
        return tokens.difference(*held.values())

    async def _delete(self, tokens: set[bytes], domains: dict[int, str]) -> set[bytes]:
        async with self.vault.transaction():
            await set_tenant(self.vault, self.tenant.id)
            wanted = sorted(token.decode("ascii") for token in tokens)
            names = [row[0] for row in await self.vault.fetch(_LOCKED, self.tenant.id, wanted, self.age)]
            await self.vault.execute(
                "DELETE FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[])",
                self.tenant.id,
                names,
            )
            await self.vault.execute("SELECT vault.invalidate($1, $2::text[])", self.tenant.id, names)
            gone = {name.encode("ascii") for name in names}
            if gone:
                counts = Counter(domains[domain_id(token)] for token in gone)
                # Before the commit: nothing is deleted without its record.
                await self.log.write(
                    AuditRecord(
                        datetime.now(UTC), self.tenant.name, self.actor, Action.PURGE, counts=dict(counts),
                        text=f"{len(gone)} values that no row holds were deleted",
                    )
                )  # fmt: skip
        # What is killed here leaves codes that stand for nothing; who looks for neighbours deletes those.
        await self.tenant.orders.drop(gone)
        return gone
