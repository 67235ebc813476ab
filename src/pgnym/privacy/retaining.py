"""Retention: rows whose time is over are deleted, or their protected columns emptied; see ``rules.py``.

A table is gone through in the order of its times. Rows are found without locks, many at once, and then dealt with in small
transactions: each locks its rows (those that others have locked are left for the next run), looks whether their time
is still over, and changes them. So nobody waits for longer than one such transaction takes, and a run that is killed
has done some of them whole. What a row held stays in the vault, where the purge finds that no row holds it any more.

Rows that a foreign key still refers to are kept, and counted: the others of their batch go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.privacy.access import Guise, acting
from pgnym.privacy.holders import quoted
from pgnym.privacy.rules import Rule
from pgnym.privacy.subjects import found_tokens
from pgnym.vault.connection import set_tenant
from pgnym.vault.store import TenantVault
from pgnym.vault.tokens import domain_id

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

BATCH = 500
"""Rows of one transaction."""
SWEEP = 50_000
"""Rows that are looked for at once."""

_OWN = "SELECT token FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[])"


@dataclass(frozen=True, slots=True)
class Row:
    """Where a row lies, and the tokens in it."""

    table: int
    place: str
    tokens: frozenset[bytes]


@dataclass(slots=True)
class Outcome:
    """What became of one table's rows. ``rows``: by tenant; ``kept``: by the constraint that forbade it; ``busy``:
    how many were left to the next run, since others had locked or changed them."""

    rule: Rule
    rows: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    busy: int = 0


@dataclass(frozen=True, slots=True)
class Retainer:
    """What a run of retention needs. ``app``, ``vault``: connections, the same one where both are in one database.

    ``tenants``: all there are. ``only``: whose rows are dealt with (None: all, also rows without a token, of which
    nobody can tell whose they are; these are recorded for ``tenants``'s first). ``guise``: what is taken on for the
    application's tables.
    """

    app: Connection
    vault: Connection
    tenants: Sequence[TenantVault]
    log: AuditLog
    actor: Actor
    guise: Guise | None = None
    only: TenantVault | None = None
    batch: int = BATCH
    sweep: int = SWEEP

    async def carry_out(self, outcome: Outcome, now: datetime, *, dry_run: bool) -> None:
        """Deal with the rows of a table whose time is over at ``now``; ``dry_run``: only count them.

        Errors: PrivacyError, asyncpg.PostgresError. What was done before is recorded, and in ``outcome``, and stays.
        """
        rule = outcome.rule
        async for rows in self._due(rule, now):
            if dry_run:
                outcome.rows.update((await self._owners(rows)).values())
                continue
            for start in range(0, len(rows), self.batch):
                await self._deal(rule, now, rows[start : start + self.batch], outcome)

    async def _due(self, rule: Rule, now: datetime) -> AsyncIterator[list[Row]]:
        """Rows whose time is over, without locks: each once, in the order of time."""
        column = f"t.{quoted(rule.column)}"
        begin = "'-infinity'", "0", "'(0,0)'"
        last: tuple[str, int, str] | None = None
        while True:
            after = begin if last is None else ("$2", "$3", "$4")
            compared = ">=" if last is None else ">"
            query = (
                f"SELECT {column}::text, t.tableoid::bigint, t.ctid::text{_tokens(rule)} FROM {rule.sql} t"  # noqa: S608 - quoted
                f" WHERE {rule.past} AND ({column}, t.tableoid::bigint, t.ctid) {compared}"
                f" ({after[0]}::{'text::' if last else ''}{rule.type}, {after[1]}::bigint,"
                f" {after[2]}::{'text::' if last else ''}tid)"
                f" ORDER BY {column}, t.tableoid::bigint, t.ctid LIMIT {self.sweep}"
            )
            async with self.app.transaction(), acting(self.app, self.guise):
                found = await self.app.fetch(query, now, *(last or ()))
            if found:
                yield [_row(rule, row, 1) for row in found]
            if len(found) < self.sweep:
                return
            last = found[-1][0], found[-1][1], found[-1][2]

    async def _deal(self, rule: Rule, now: datetime, rows: Sequence[Row], outcome: Outcome) -> None:
        try:
            await self._deal_now(rule, now, rows, outcome)
        except (asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError):
            # Somebody else is at these rows, or at some that refer to them.
            outcome.busy += len(rows)

    async def _deal_now(self, rule: Rule, now: datetime, rows: Sequence[Row], outcome: Outcome) -> None:
        async with self.app.transaction():
            # Whoever wants one of these rows waits for us, as long as we wait for others.
            await self.app.execute("SET LOCAL lock_timeout = '2s'")
            await self.app.execute(
                "SET CONSTRAINTS ALL IMMEDIATE"
            )  # so that it is told here what they forbid
            async with acting(self.app, self.guise):
                locked = await self._locked(rule, now, rows)
            owners = await self._owners(locked)
            kept: Counter[str] = Counter()
            async with acting(self.app, self.guise):
                changed = await self._change(rule, list(owners), kept)
            told = Counter(owners[row] for row in changed)
            for tenant, count in told.items():
                domains = {holder.domain_id: holder.domain for holder in rule.holders}
                tokens = [token for row in changed if owners[row] == tenant for token in row.tokens]
                # Before the commit: nothing goes without its record.
                await self.log.write(
                    AuditRecord(
                        datetime.now(UTC),
                        tenant,
                        self.actor,
                        Action.RETAIN,
                        counts=Counter(domains[domain_id(token)] for token in tokens),
                        text=f"{count} rows of {rule.label} {rule.done}: {rule.kept} after {rule.column}",
                    )
                )
        outcome.busy += len(rows) - len(locked)
        outcome.kept.update(kept)
        outcome.rows.update(told)

    async def _locked(self, rule: Rule, now: datetime, rows: Sequence[Row]) -> list[Row]:
        query = (
            f"SELECT t.tableoid::bigint, t.ctid::text{_tokens(rule)} FROM {rule.sql} t"  # noqa: S608 - quoted
            " JOIN ROWS FROM (pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::text[])) AS d (pgnym_table, pgnym_row)"
            " ON t.tableoid = d.pgnym_table::oid AND t.ctid = d.pgnym_row::tid"
            f" WHERE {rule.past} FOR UPDATE OF t SKIP LOCKED"
        )
        found = await self.app.fetch(query, now, *_places(rows))
        return [_row(rule, row, 0) for row in found]

    async def _owners(self, rows: Sequence[Row]) -> dict[Row, str]:
        """Of rows that are to be dealt with, the tenant's name."""
        first = self.tenants[0]
        if len(self.tenants) == 1:
            return dict.fromkeys(rows, first.name)
        owner: dict[bytes, str] = {}
        tokens = {token for row in rows for token in row.tokens}
        async with self.vault.transaction():
            for tenant in self.tenants:
                if not tokens:
                    break
                await set_tenant(self.vault, tenant.id)
                names = sorted(token.decode("ascii") for token in tokens)
                own = {row[0].encode("ascii") for row in await self.vault.fetch(_OWN, tenant.id, names)}
                owner.update(dict.fromkeys(own, tenant.name))
                tokens -= own
        found = {}
        for row in rows:
            owners = {owner[token] for token in row.tokens if token in owner}
            if self.only is None:
                found[row] = min(owners, default=first.name)
            elif owners == {self.only.name}:
                found[row] = self.only.name
        return found

    async def _change(self, rule: Rule, rows: list[Row], kept: Counter[str]) -> list[Row]:
        """Those that could be changed; the others are counted in ``kept``, by the constraint that forbids it."""
        if not rows or not rule.change:
            return []
        source = "USING" if rule.delete else "FROM"
        statement = (
            f"{rule.change} {source} ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]))"
            " AS d (pgnym_table, pgnym_row)"
            " WHERE t.tableoid = d.pgnym_table::oid AND t.ctid = d.pgnym_row::tid"
            " RETURNING d.pgnym_table, d.pgnym_row"
        )
        try:
            async with self.app.transaction():
                done = await self.app.fetch(statement, *_places(rows))
        except asyncpg.IntegrityConstraintViolationError as error:
            if len(rows) == 1:
                kept[f"{error.constraint_name or '?'} of {error.table_name or '?'}"] += 1
                return []
            half = len(rows) // 2
            return [
                *await self._change(rule, rows[:half], kept),
                *await self._change(rule, rows[half:], kept),
            ]
        places = {(row[0], row[1]) for row in done}
        changed = [row for row in rows if (row.table, row.place) in places]
        if len(changed) < len(rows):
            kept[f"a trigger of {rule.label}"] += len(rows) - len(changed)
        return changed


def _tokens(rule: Rule) -> str:
    return "".join(f", t.{quoted(holder.column)}::text" for holder in rule.holders)


def _row(rule: Rule, row: asyncpg.Record, at: int) -> Row:
    cells = zip(rule.holders, list(row)[at + 2 :], strict=True)
    return Row(row[at], row[at + 1], frozenset(found_tokens(cells)))


def _places(rows: Sequence[Row]) -> tuple[list[int], list[str]]:
    return [row.table for row in rows], [row.place for row in rows]
