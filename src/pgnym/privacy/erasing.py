"""Erasure of a data subject (GDPR, article 17): its rows, and the values that nobody else holds.

Two steps, because a value that another person shares may be on its way into a row while it is about to be deleted:

1. One transaction of the application's database scrubs or deletes all rows of the subject. With it the vault notes which
   tokens they held (``vault.erasure``), and sets these values' ``last_put`` back by two hours: whoever puts one of them from
   now on refreshes it (``vault.put``), and all gateways forget that they put it before. In one database this is the same
   transaction; with a server of its own the vault commits first, and the note says which transaction of the application it
   belongs to.
2. Gateways get ``SETTLE`` seconds to hear of it and to send what they had begun; the transactions that have written to a
   column of these domains meanwhile are waited for. What was put since then is someone else's;
   what a row still holds, too. The rest is deleted.

A run that is killed after the first step leaves its note. Whoever comes next finishes it: another run of the command, or
any gateway (``keeper.py``). A note whose transaction of the application was rolled back ends as undone.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.privacy.access import Guise, acting
from pgnym.privacy.by_value import take_back
from pgnym.privacy.connectors.known import Known, concerned
from pgnym.privacy.elsewhere import Others, identifiers, note
from pgnym.privacy.erasures import Erasure, State, due, listed
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import Holder, holders, of_domains, referenced, tables
from pgnym.privacy.scrubbing import scrubbing
from pgnym.privacy.subjects import Place, state_of, tokens_of
from pgnym.privacy.tenancy import refuse_others
from pgnym.privacy.writers import writers_end
from pgnym.vault.by_value import ByValue
from pgnym.vault.connection import set_tenant
from pgnym.vault.consents import Subject
from pgnym.vault.store import TenantVault
from pgnym.vault.tokens import domain_id

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SETTLE = 15.0
"""Seconds a gateway may take from knowing a token to sending it, or to hear that it must forget it."""

_AGED = timedelta(minutes=90)  # between the two hours that step 1 sets back and the one that a put tolerates

_CONDEMN = """
WITH held AS MATERIALIZED (
  SELECT v.token FROM vault.value v WHERE v.tenant = $1 AND v.token = ANY ($2::text[]) ORDER BY v.token FOR UPDATE
)
UPDATE vault.value v SET last_put = LEAST(v.last_put, now() - interval '2 hours')
FROM held WHERE v.tenant = $1 AND v.token = held.token
"""
_LEFT = """
SELECT v.token FROM vault.value v JOIN vault.erasure_token t ON t.tenant = v.tenant AND t.token = v.token
WHERE t.erasure = $1 AND v.tenant = $2 AND v.last_put < $3 ORDER BY v.token FOR UPDATE OF v
"""
_STATUS = "SELECT pg_catalog.txid_status($1)"
# Whether tokens are linked to their subjects, because of columns that are shown by consent.
_LINKED = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = 'pgnym' AND c.relname = 'link' AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
)
"""


@dataclass(frozen=True, slots=True)
class Eraser:
    """What an erasure needs. ``app``, ``vault``: connections, the same one where both are in one database.

    ``guise``: what is taken on for the application's tables (None: the login itself has the rights). ``actor``: who asks for
    an erasure; the record of it, whoever finishes it, names them. ``connectors``: other systems, which erase as well.
    ``by_value``: where consent can be told of values: it ends with theirs.
    """

    app: Connection
    vault: Connection
    tenant: TenantVault
    log: AuditLog
    actor: Actor
    settle: float = SETTLE
    guise: Guise | None = None
    connectors: tuple[Known, ...] = ()
    by_value: ByValue | None = None

    async def erase(
        self, places: Sequence[Place], subject: str, accept: Callable[[str], None] | None = None
    ) -> tuple[UUID, int] | None:
        """Step 1; returns the erasure and how many rows were scrubbed or deleted. None: there is no row, nothing was done.

        ``places``: the subject's own table first. ``accept`` is given the state of the rows (``subjects.state_of``) once
        they are locked, and may raise; then, as with any error, nothing was changed. Errors: PrivacyError,
        asyncpg.PostgresError.
        """
        scrubs = {
            place.label: scrubbing(place.sql, place.holders, f"tables.{place.label}.on_erase")
            for place in places
            if not place.delete
        }
        try:
            async with self.app.transaction():
                counts: dict[str, int] = {}
                tokens: set[bytes] = set()
                async with acting(self.app, self.guise):
                    for place in places:
                        count, held = await tokens_of(self.app, place, subject, lock=True)
                        counts[place.label] = count
                        tokens |= held
                    if not any(counts.values()):
                        return None
                    if accept is not None:
                        accept(await state_of(self.app, places, subject))
                    others = [
                        (known.name, await identifiers(self.app, self.tenant, places[0], subject, known))
                        for known in concerned(self.connectors, places[0].label, self.tenant.name)
                    ]
                    for place in await self._in_order(places):
                        await self._take_out(place, subject, scrubs.get(place.label), counts[place.label])
                words = {place.label: "deleted" if place.delete else "scrubbed" for place in places}
                told = ", ".join(f"{count} rows of {label} {words[label]}" for label, count in counts.items())
                whose = Subject(places[0].label, subject)
                identifier = await self._note(whose, tokens, told, others)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise PrivacyError(
                f"constraint {error.constraint_name or '?'} of {error.table_name or 'a table'} forbids the erasure"
                f" ({error.sqlstate}); nothing was changed",
                hint="Use the other on_erase there, or erase what refers to it first.",
            ) from None
        return identifier, sum(counts.values())

    async def _take_out(self, place: Place, subject: str, scrub: str | None, count: int) -> None:
        statement = f"DELETE FROM {place.sql}" if scrub is None else scrub  # noqa: S608 - quoted
        if not statement:
            return
        ended = await self.app.execute(f"{statement} WHERE {place.where}", subject)
        if int(ended.rpartition(" ")[2]) != count:
            raise PrivacyError(
                f"rows of that subject came to {place.label} meanwhile; nothing was changed",
                hint="Run it again.",
            )

    async def finish(self) -> list[Erasure]:
        """Step 2 of all erasures of the tenant, also of those that were killed. PrivacyError if writers don't end."""
        done = [
            await self.finish_one(each) for each in await due(self.vault, self.tenant.id, all_of_them=True)
        ]
        return [each for each in done if each is not None]

    async def finish_one(self, identifier: UUID) -> Erasure | None:
        """Step 2 of one. None while its first step is still under way. Errors: PrivacyError (it stays pending)."""
        async with self.vault.transaction():
            await self._set_tenant()
            row = await self.vault.fetchrow(
                "SELECT *, extract(epoch FROM ready - clock_timestamp())::float8 AS wait FROM vault.erasure WHERE id = $1",
                identifier,
            )
            names = await self.vault.fetch(
                "SELECT token FROM vault.erasure_token WHERE erasure = $1", identifier
            )
        if row is None:
            return None
        if row["state"] == State.INCOMPLETE.value:
            return await self._elsewhere(row)
        if row["state"] != State.PENDING.value:
            return await self.shown(identifier)
        status = await self.app.fetchval(_STATUS, row["app_xid"])
        if status == "in progress":
            return None
        if status == "aborted":
            return await self._undone(identifier)
        if row["wait"] > 0:
            await asyncio.sleep(row["wait"])
        tokens = {name[0].encode("ascii") for name in names}
        everywhere = of_domains(await holders(self.app, self.vault), tokens)
        written = tables(everywhere)
        if not await writers_end(self.app, written):
            raise PrivacyError(
                f"the rows were erased, but transactions that write to {', '.join(written)} don't end, so values can't"
                " be deleted yet",
                hint="Look for idle transactions, then run it again.",
            )
        await self._delete(row, tokens, everywhere)
        return await self._elsewhere(row)

    async def shown(self, identifier: UUID) -> Erasure:
        """How far one is."""
        (found,) = await listed(self.vault, self.tenant.id, 1, identifier=identifier)
        return found

    async def _elsewhere(self, row: asyncpg.Record) -> Erasure:
        """The part of other systems."""
        others = Others(self.vault, self.tenant, self.log, self.connectors)
        await others.carry_out(row["id"], self._asked(row))
        return await self.shown(row["id"])

    def _asked(self, row: asyncpg.Record) -> Actor:
        """Who asked for it; this run, if the row doesn't say."""
        who = row["actor"] or self.actor.db_user
        return Actor(who, row["actor_role"], row["actor_address"], self.actor.application_name)

    async def note_problem(self, identifier: UUID, text: str) -> None:
        """Say why an erasure could not be finished yet."""
        async with self.vault.transaction():
            await self._set_tenant()
            await self.vault.execute(
                "UPDATE vault.erasure SET problem = $2 WHERE id = $1 AND state = 'pending'", identifier, text
            )

    async def _note(
        self, whose: Subject, tokens: set[bytes], told: str, others: list[tuple[str, list[str]]]
    ) -> UUID:
        """Notes the tokens in the vault and ages their values; committed on return unless the transaction is shared."""
        spoken = (
            []
            if self.by_value is None
            else await self.by_value.over(self.app, self.vault, self.tenant, whose)
        )
        names = sorted(token.decode("ascii") for token in tokens)
        xid = await self.app.fetchval("SELECT pg_catalog.txid_current()")
        async with self.vault.transaction():
            await self._set_tenant()
            await refuse_others(self.vault, self.tenant, tokens)
            await self.vault.execute(_CONDEMN, self.tenant.id, names)
            identifier = uuid4()
            await self.vault.execute(
                "INSERT INTO vault.erasure (id, tenant, app_xid, ready, told, actor, actor_role, actor_address)"
                " VALUES ($1, $2, $3, clock_timestamp() + $4, $5, $6, $7, $8)",
                identifier, self.tenant.id, xid, timedelta(seconds=self.settle), told, self.actor.db_user,
                self.actor.role, self.actor.client_address,
            )  # fmt: skip
            await self.vault.execute(
                "INSERT INTO vault.erasure_token (erasure, tenant, token) SELECT $1, $2, unnest($3::text[])",
                identifier, self.tenant.id, names,
            )  # fmt: skip
            await note(self.vault, self.tenant, identifier, others)
            await take_back(self.vault, self.tenant, spoken, self.actor.db_user)
            await self.vault.execute("SELECT vault.invalidate($1, $2::text[])", self.tenant.id, names)
        return identifier

    async def _set_tenant(self) -> None:
        await set_tenant(self.vault, self.tenant.id)

    async def _in_order(self, places: Sequence[Place]) -> list[Place]:
        """What refers to another of the tables comes before it. (In a cycle, the constraints must be deferred ones.)"""
        pairs = {
            (row[0], row[1])
            for row in await self.app.fetch(
                "SELECT pg_catalog.to_regclass(a)::oid::bigint, pg_catalog.to_regclass(b)::oid::bigint"
                " FROM unnest($1::text[]) a, unnest($1::text[]) b WHERE a <> b AND EXISTS (SELECT FROM"
                " pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conrelid = pg_catalog.to_regclass(a)"
                " AND k.confrelid = pg_catalog.to_regclass(b))",
                [place.sql for place in places],
            )
        }
        oids = {
            place.label: await self.app.fetchval("SELECT pg_catalog.to_regclass($1)::oid::bigint", place.sql)
            for place in places
        }
        left, ordered = list(reversed(places)), []
        while left:
            free = (p for p in left if not any((oids[o.label], oids[p.label]) in pairs for o in left))
            following = next(free, left[0])
            left.remove(following)
            ordered.append(following)
        return ordered

    async def _undone(self, identifier: UUID) -> Erasure:
        async with self.vault.transaction():
            await self._set_tenant()
            await self.vault.execute("DELETE FROM vault.erasure_connector WHERE erasure = $1", identifier)
            await self._end(identifier, State.UNDONE, {}, {}, 0)
        return await self.shown(identifier)

    async def _end(
        self, identifier: UUID, state: State, deleted: dict[str, int], kept: dict[str, int], revived: int
    ) -> None:
        await self.vault.execute("DELETE FROM vault.erasure_token WHERE erasure = $1", identifier)
        await self.vault.execute(
            "UPDATE vault.erasure SET state = $2, ended = clock_timestamp(), problem = '', deleted = $3, kept = $4,"
            " revived = $5 WHERE id = $1",
            identifier, state.value, json.dumps(deleted), json.dumps(kept), revived,
        )  # fmt: skip

    async def _delete(self, row: asyncpg.Record, tokens: set[bytes], everywhere: Sequence[Holder]) -> None:
        async with self.vault.transaction():
            await self._set_tenant()
            # Of two runs one waits here, and then finds it done.
            now = await self.vault.fetchrow("SELECT * FROM vault.erasure WHERE id = $1 FOR UPDATE", row["id"])
            assert now is not None
            if now["state"] != State.PENDING.value:
                return
            left = await self.vault.fetch(_LEFT, row["id"], self.tenant.id, row["started"] - _AGED)
            unclaimed = {each[0].encode("ascii") for each in left}
            there = await self.vault.fetchval(
                "SELECT count(*) FROM vault.value v JOIN vault.erasure_token t ON t.tenant = v.tenant AND t.token = v.token"
                " WHERE t.erasure = $1",
                row["id"],
            )
            async with self.app.transaction(), acting(self.app, self.guise):
                held = await referenced(self.app, everywhere, unclaimed)
                gone = unclaimed.difference(*held.values())
                # Before the values: if this is killed in between, what nobody's link names is shown to nobody.
                if gone and await self.app.fetchval(_LINKED):
                    tokens_gone = [token.decode("ascii") for token in gone]
                    await self.app.execute(
                        "DELETE FROM pgnym.link WHERE token = ANY ($1::text[])", tokens_gone
                    )
            names = sorted(token.decode("ascii") for token in gone)
            await self.vault.execute(
                "DELETE FROM vault.value WHERE tenant = $1 AND token = ANY ($2::text[])",
                self.tenant.id,
                names,
            )
            await self.vault.execute("SELECT vault.invalidate($1, $2::text[])", self.tenant.id, names)
            domains = {holder.domain_id: holder.domain for holder in everywhere}
            deleted = Counter(domains[domain_id(token)] for token in gone)
            kept = {name: len(some) for name, some in held.items()}
            revived = there - len(unclaimed)
            # With connectors it is finished when each has done its part.
            await self._end(row["id"], State.INCOMPLETE, dict(deleted), kept, revived)
            text = f"erasure {row['id']}: {row['told']}; {len(gone)} values deleted, {len(tokens) - len(gone)} not"
            # Before the commit: no erasure without its record. A record twice means that the commit failed in between.
            await self.log.write(
                AuditRecord(
                    datetime.now(UTC),
                    self.tenant.name,
                    self._asked(row),
                    Action.ERASE,
                    counts=dict(deleted),
                    text=text,
                )
            )
        # What is killed here leaves codes that stand for nothing; who looks for neighbours deletes those.
        await self.tenant.orders.drop(gone)
