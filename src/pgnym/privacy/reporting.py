"""What is held on a data subject, and who looked at it (GDPR, article 15)."""

from __future__ import annotations

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
from pgnym.privacy import rendering
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import Holder, quoted
from pgnym.privacy.subjects import Place, tokens_of
from pgnym.vault.store import TenantVault
from pgnym.vault.tokens import domain_id, prefix

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Identity = Callable[[int, bytes, bool], bytes]
Element = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Reporter:
    """What a report needs. ``app``, ``vault``: the owner's connections. ``identity``, ``element``: what decides the token of
    a value, and the type of what is in an array type (0 if it is none)."""

    app: Connection
    vault: Connection
    tenant: TenantVault
    log: AuditLog
    actor: Actor
    identity: Identity
    element: Element

    async def report(self, places: Sequence[Place], subject: str, since: datetime) -> dict[str, Any]:
        """All rows of a subject with their values, and who has seen one of these since; for ``msgspec.json.encode``.

        Written down in the audit log before it is returned. Errors: PrivacyError if there is no row; VaultError,
        asyncpg.PostgresError.
        """
        shown: dict[str, list[dict[str, Any]]] = {}
        tokens: set[bytes] = set()
        async with self.app.transaction(isolation="repeatable_read", readonly=True):
            await self.app.execute("SET LOCAL TimeZone = 'UTC'")
            for place in places:
                tokens |= (await tokens_of(self.app, place, subject))[1]
            values = await self.tenant.get(tokens)
            for place in places:
                shown[place.label] = await self._rows(place, subject, values)
        count = sum(map(len, shown.values()))
        if not count:
            raise PrivacyError(f"no row of {places[0].label} is of that subject", hint="Look at the ID.")
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
            "tables": shown,
            "values": len(values),
            "tokens_without_value": len(tokens) - len(values),
            "seen_since": since.isoformat(),
            "seen": seen,
        }

    async def _rows(self, place: Place, subject: str, values: dict[bytes, bytes]) -> list[dict[str, Any]]:
        columns = ", ".join(f"pg_catalog.to_json({quoted(name)})::text" for name in place.columns)
        rows = await self.app.fetch(f"SELECT {columns} FROM {place.sql} WHERE {place.where}", subject)  # noqa: S608 - quoted
        own = [tuple(h for h in place.holders if h.column == name) for name in place.columns]
        return [
            {
                name: msgspec.Raw(b"null" if cell is None else self._cell(cell, held, values))
                for name, held, cell in zip(place.columns, own, row, strict=True)
            }
            for row in rows
        ]

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
        """The IDs of the subjects whose protected column has a value (in PostgreSQL's own spelling).

        The value isn't sent to the server, only its token. Errors: PrivacyError where tokens can't tell.
        """
        holder = next((h for h in place.holders if h.column == column and h.whole), None)
        if holder is None or holder.randomized:
            reason = "has randomized tokens" if holder else "is no protected column of its own"
            raise PrivacyError(
                f"{place.label}.{column} {reason}, so it can't be looked up by value",
                hint="Give the subject's ID.",
            )
        try:
            same = self.identity(holder.codec_oid, text.encode(), holder.casefold)
        except (ValueError, ArithmeticError):
            raise PrivacyError(
                f"that is no value of the type of {holder.name}", hint="Spell it as PostgreSQL shows it."
            ) from None
        token = self.tenant.token(prefix(holder.domain_id), same)
        rows = await self.app.fetch(
            f"SELECT DISTINCT {quoted(place.subject)}::text FROM {place.sql}"  # noqa: S608 - quoted
            f" WHERE {quoted(column)} = $1::text::{holder.type} ORDER BY 1",
            token.decode("ascii"),
        )
        if not rows:
            raise PrivacyError(f"no subject of {place.label} has that value in {column}")
        return [row[0] for row in rows if row[0] is not None]
