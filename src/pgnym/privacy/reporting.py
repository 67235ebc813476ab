"""What is held on a data subject, and who looked at it (GDPR, article 15)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pgnym.audit.log import AuditLog
from pgnym.audit.reading import Filter, read
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.policy.normalizing import normalized
from pgnym.privacy import rendering
from pgnym.privacy.access import Guise, acting
from pgnym.privacy.connectors.known import Known, concerned, reported
from pgnym.privacy.elsewhere import identifiers
from pgnym.privacy.errors import PrivacyError, UnknownSubject, unknown_subject
from pgnym.privacy.grounds import agreed, grounds, requested
from pgnym.privacy.holders import NAMED, Holder, quoted
from pgnym.privacy.restricting import told
from pgnym.privacy.subjects import Place, add_table, row_digest
from pgnym.privacy.tenancy import confine
from pgnym.vault import restrictions
from pgnym.vault.by_value import ByValue, Identity
from pgnym.vault.consents import Spoken, Subject
from pgnym.vault.store import TenantVault
from pgnym.vault.tokens import domain_id, prefix

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

MOST_FOUND = 1000
"""Subjects that a look-up by value gives at most."""
_ROWS_AT_ONCE = 200
_UNIQUE = f"""
SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE {NAMED} = $1 AND a.attname = $2 AND a.attnum > 0 AND EXISTS (
  SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid
    AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
"""  # noqa: S608 - constants
Element = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Reporter:
    """What a report needs. ``app``, ``vault``: connections. ``identity``, ``element``: what decides the token of a value,
    and the type of what is in an array type (0 if it is none).

    ``guise``: what is taken on for the application's tables (None: the login itself has the rights). ``confined``: rows of
    other tenants are as if they weren't there. ``most``: how many rows it may have (None: any number).
    ``connectors``: other systems, each with a part of its own. ``by_value``: where consent can be told of values.
    """

    app: Connection
    vault: Connection
    tenant: TenantVault
    log: AuditLog
    actor: Actor
    identity: Identity
    element: Element
    guise: Guise | None = None
    confined: bool = False
    most: int | None = None
    connectors: tuple[Known, ...] = ()
    by_value: ByValue | None = None

    async def report(self, places: Sequence[Place], subject: str, since: datetime) -> dict[str, Any]:
        """All rows of a subject with their values, and who has seen one of these since; for ``msgspec.json.encode``.

        Written down in the audit log before it is returned. Errors: UnknownSubject if there is no row; PrivacyError,
        VaultError, asyncpg.PostgresError.
        """
        shown: dict[str, list[dict[str, Any]]] = {}
        tokens: set[bytes] = set()
        state = hashlib.sha256()
        async with self.app.transaction(isolation="repeatable_read", readonly=True):
            await self.app.execute("SET LOCAL TimeZone = 'UTC'")
            async with acting(self.app, self.guise):
                found = {place.label: await self._rows(place, subject) for place in places}
                asked = [
                    (known, await self._asked(known, places[0], subject))
                    for known in concerned(self.connectors, places[0].label, self.tenant.name)
                ]
        if not any(found.values()):
            raise unknown_subject(places[0].label)
        for place in places:
            tokens |= await _tokens_in(place, found[place.label])
            add_table(state, place.label, [row_digest(row) for row in found[place.label]])
        if self.confined:
            await confine(self.vault, self.tenant, tokens, places[0].label)
        values = await self.tenant.get(tokens)
        for place in places:
            shown[place.label] = await self._shown(place, found[place.label], values)
        activities, bases = await grounds(self.vault, self.tenant, places)
        whose = Subject(places[0].label, subject)
        names = [Spoken(whose, counts=True)]
        if self.by_value is not None:
            names += await self.by_value.over(self.app, self.vault, self.tenant, whose)
        consents = await agreed(self.vault, self.tenant, names, datetime.now(UTC))
        restriction = told(self.tenant, await restrictions.events_of(self.vault, self.tenant, whose))
        requests = await requested(self.vault, self.tenant, places[0].label, subject)
        elsewhere = await asyncio.gather(*(reported(known, whom) for known, whom in asked))
        count = sum(map(len, shown.values()))
        domains = {h.domain_id: h.domain for place in places for h in place.holders}
        made = datetime.now(UTC)
        seen = await self._seen(tokens, domains, since) if tokens else []
        counts = Counter(domains[domain_id(token)] for token in values)
        text = f"subject report of {places[0].label}: {count} rows"
        await self.log.write(
            AuditRecord(
                made,
                self.tenant.name,
                self.actor,
                Action.ADMIN,
                counts=counts,
                tokens=tuple(sorted(tokens)),
                text=text,
            )
        )
        return {
            "subject": {"table": places[0].label, "id": subject},
            "tenant": self.tenant.name,
            "made": made.isoformat(),
            "state": state.hexdigest()[:32],
            "tables": shown,
            "values": len(values),
            "tokens_without_value": len(tokens) - len(values),
            "processing_activities": activities,
            "legal_bases": bases,
            "restriction": restriction,
            "consents": consents,
            "requests": requests,
            "elsewhere": elsewhere,
            "seen_since": since.isoformat(),
            "seen": seen,
        }

    async def _asked(self, known: Known, place: Place, subject: str) -> list[str] | PrivacyError:
        """Whom a connector is asked about, or why that can't be told: its part then says so."""
        try:
            return await identifiers(self.app, self.tenant, place, subject, known)
        except PrivacyError as error:
            return error

    async def _rows(self, place: Place, subject: str) -> list[asyncpg.Record]:
        """What ``to_json`` shows of each column of each row, tokens as they are."""
        columns = ", ".join(f"pg_catalog.to_json({quoted(name)})::text" for name in place.columns)
        limit = "" if self.most is None else f" LIMIT {self.most + 1}"
        query = f"SELECT {columns} FROM {place.sql} WHERE {place.where}{limit}"  # noqa: S608 - quoted
        rows = await self.app.fetch(query, subject)
        if self.most is not None and len(rows) > self.most:
            raise PrivacyError(
                f"{place.label} has more than {self.most} rows of that subject, too many for a report over HTTP",
                hint="Use the command: pgnym subject report.",
            )
        return rows

    async def _shown(
        self, place: Place, rows: Sequence[asyncpg.Record], values: dict[bytes, bytes]
    ) -> list[dict[str, Any]]:
        own = [tuple(h for h in place.holders if h.column == name) for name in place.columns]
        shown = []
        for number, row in enumerate(rows):
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)  # others on this event loop have their turn
            shown.append(
                {
                    name: msgspec.Raw(b"null" if cell is None else self._cell(cell, held, values))
                    for name, held, cell in zip(place.columns, own, row, strict=True)
                }
            )
        return shown

    def _cell(self, cell: str, held: tuple[Holder, ...], values: dict[bytes, bytes]) -> bytes:
        if not held:
            return cell.encode()
        return rendering.column(cell, held, values, lambda oid: self.element(oid) or oid)

    async def _seen(
        self, tokens: set[bytes], domains: dict[int, str], since: datetime
    ) -> list[dict[str, Any]]:
        found = []
        which = Filter(since=since, action=Action.REVEAL.value)
        records = read(
            self.vault, self.tenant.id, self.tenant.name, self.tenant.audit_key, which, tokens=tokens
        )
        async for record in records:
            met = Counter(domains[domain_id(token)] for token in tokens.intersection(record.tokens))
            found.append(
                {
                    "time": record.time.isoformat(),
                    "user": record.db_user,
                    "role": record.role,
                    "client_address": record.client_address,
                    "application_name": record.application_name,
                    "purpose": record.purpose,
                    "values": dict(sorted(met.items())),
                    "statement": record.text,
                }
            )
        return found

    async def with_value(self, place: Place, column: str, text: str) -> list[str]:
        """The IDs of the subjects whose column has a value (in PostgreSQL's own spelling).

        Of a protected column only the value's token is sent to the server. Of others only those with a unique index are
        looked into: a login, not a city, which would list people. Errors: PrivacyError where tokens can't tell.
        """
        holder = next((h for h in place.holders if h.column == column and h.whole), None)
        if holder is None and column in place.columns and all(h.column != column for h in place.holders):
            return await self._with_login(place, column, text)
        if holder is None or holder.randomized:
            reason = "has randomized tokens" if holder else "is no column of its own"
            raise PrivacyError(
                f"{place.label}.{column} {reason}, so it can't be looked up by value",
                hint="Give the subject's ID.",
            )
        try:
            same = self.identity(
                holder.codec_oid, normalized(holder.normalize, text.encode()), holder.casefold
            )
        except (ValueError, ArithmeticError):
            raise PrivacyError(
                f"that is no value of the type of {holder.name}", hint="Spell it as PostgreSQL shows it."
            ) from None
        token = self.tenant.token(prefix(holder.domain_id), same)
        async with self.app.transaction(readonly=True), acting(self.app, self.guise):
            rows = await self.app.fetch(
                f"SELECT DISTINCT {quoted(place.subject)}::text FROM {place.sql}"  # noqa: S608 - quoted
                f" WHERE {quoted(column)} = $1::text::{holder.type} ORDER BY 1 LIMIT {MOST_FOUND + 1}",
                token.decode("ascii"),
            )
        if not rows:
            raise UnknownSubject(f"no subject of {place.label} has that value in {column}")
        return [row[0] for row in rows if row[0] is not None]

    async def _with_login(self, place: Place, column: str, text: str) -> list[str]:
        kind = await self.app.fetchval(_UNIQUE, place.sql, column)
        if kind is None:
            raise PrivacyError(
                f"{place.label}.{column} is neither protected nor unique, so it can't be looked up by value",
                hint="Give the subject's ID.",
            )
        query = (
            f"SELECT DISTINCT {quoted(place.subject)}::text FROM {place.sql}"  # noqa: S608 - quoted
            f" WHERE {quoted(column)} = $1::text::{kind} LIMIT {MOST_FOUND + 1}"
        )
        try:
            async with self.app.transaction(readonly=True), acting(self.app, self.guise):
                rows = await self.app.fetch(query, text)
        except asyncpg.DataError:  # no value of that type
            rows = []
        if not rows:
            raise UnknownSubject(f"no subject of {place.label} has that value in {column}")
        return [row[0] for row in rows if row[0] is not None]


async def _tokens_in(place: Place, rows: Sequence[asyncpg.Record]) -> set[bytes]:
    """The tokens of their own domains in the protected columns."""
    found: set[bytes] = set()
    at = {name: number for number, name in enumerate(place.columns)}
    patterns = [(at[holder.column], re.compile(holder.pattern)) for holder in place.holders]
    for number, row in enumerate(rows):
        if number % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        for column, pattern in patterns:
            if row[column]:
                found.update(token.encode("ascii") for token in pattern.findall(row[column]))
    return found
