"""What other systems are told of an erasure: whom it is about, sealed until they have done their part.

Once rows are scrubbed nobody could tell whom to ask a connector about. So the identifiers are noted with the erasure, sealed
under a key that only the tenant's audit key gives, and go as soon as the system has done its part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Action, Actor, AuditRecord
from pgnym.privacy.connectors.interface import ConnectorError
from pgnym.privacy.connectors.known import Known
from pgnym.privacy.errors import PrivacyError
from pgnym.privacy.holders import quoted
from pgnym.privacy.subjects import Place
from pgnym.vault.connection import set_tenant
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
_TRIES = """
UPDATE vault.erasure_connector SET done = $4, erased = $5, problem = $6, attempts = attempts + 1,
  next = clock_timestamp() + $7, identifier = CASE WHEN $4 THEN '' ELSE identifier END
WHERE erasure = $1 AND connector = $2 AND number = $3
"""
_COMPLETE = """
UPDATE vault.erasure e SET state = 'finished', ended = clock_timestamp() WHERE e.id = $1 AND e.state = 'incomplete'
  AND NOT EXISTS (SELECT FROM vault.erasure_connector c WHERE c.erasure = e.id AND NOT c.done)
"""


async def identifiers(
    app: Connection, tenant: TenantVault, place: Place, subject: str, known: Known
) -> list[str]:
    """Whom a connector is asked about: the ID, or the values of a column in the subject's rows, those that there are.

    ``app``: as whoever may read the table. Errors: PrivacyError, VaultError.
    """
    if known.by is None:
        return [subject]
    if known.by not in place.columns:
        raise PrivacyError(f"connectors.{known.name}.by: there is no column {place.label}.{known.by}")
    holder = next((h for h in place.holders if h.column == known.by), None)
    if holder is not None and not holder.whole:
        raise PrivacyError(f"connectors.{known.name}.by: {holder.name} is no single value")
    query = f"SELECT DISTINCT {quoted(known.by)}::text FROM {place.sql} WHERE {place.where}"  # noqa: S608 - quoted
    texts = [row[0] for row in await app.fetch(query, subject) if row[0]]
    if holder is None:
        return sorted(texts)
    tokens = [text.encode("ascii") for text in texts]
    values = await tenant.get(tokens)
    if len(values) != len(tokens):
        raise PrivacyError(f"connectors.{known.name}.by: a token in {holder.name} has no value")
    return sorted(value.decode() for value in values.values())


async def note(
    vault: Connection, tenant: TenantVault, erasure: UUID, wanted: Iterable[tuple[str, Sequence[str]]]
) -> None:
    """Note whom which connector is to erase, within the transaction that notes the erasure."""
    for name, several in wanted:
        for number, identifier in enumerate(several):
            await vault.execute(
                "INSERT INTO vault.erasure_connector (erasure, tenant, connector, number, identifier)"
                " VALUES ($1, $2, $3, $4, $5)",
                erasure, tenant.id, name, number, _seal(tenant, erasure, name, identifier),
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Others:
    """Has other systems do their part of erasures."""

    vault: Connection
    tenant: TenantVault
    log: AuditLog
    connectors: tuple[Known, ...]

    async def carry_out(self, erasure: UUID, actor: Actor) -> None:
        """Try what is left of one. A failure is noted and tried again later, after ever longer pauses."""
        async with self.vault.transaction():
            await set_tenant(self.vault, self.tenant.id)
            rows = await self.vault.fetch(
                "SELECT connector, number, identifier, attempts FROM vault.erasure_connector"
                " WHERE erasure = $1 AND NOT done ORDER BY connector, number",
                erasure,
            )
        by_name = {known.name: known for known in self.connectors}
        for row in rows:
            erased, problem = 0, ""
            known = by_name.get(row["connector"])
            try:
                if known is None:
                    raise ConnectorError("it is not configured any more")
                erased = await known.erase(_open(self.tenant, erasure, known.name, row["identifier"]))
                text = f"erasure {erasure}: connector {known.name}: {erased} erased"
                await self.log.write(
                    AuditRecord(datetime.now(UTC), self.tenant.name, actor, Action.ERASE, text=text)
                )
            except ConnectorError as error:
                problem = error.message
            pause = min(_FIRST_PAUSE * 2 ** min(row["attempts"], 20), _LONGEST_PAUSE)
            async with self.vault.transaction():
                await set_tenant(self.vault, self.tenant.id)
                await self.vault.execute(
                    _TRIES, erasure, row["connector"], row["number"], not problem, erased, problem, pause
                )
        async with self.vault.transaction():
            await set_tenant(self.vault, self.tenant.id)
            await self.vault.execute(_COMPLETE, erasure)


def _cipher(tenant: TenantVault) -> AESGCM:
    return AESGCM(tenant.audit_key.derive(b"connector identifiers"))


def _seal(tenant: TenantVault, erasure: UUID, name: str, identifier: str) -> bytes:
    nonce = os.urandom(12)
    return nonce + _cipher(tenant).encrypt(nonce, identifier.encode(), erasure.bytes + name.encode())


def _open(tenant: TenantVault, erasure: UUID, name: str, sealed: bytes) -> str:
    try:
        opened = _cipher(tenant).decrypt(sealed[:12], sealed[12:], erasure.bytes + name.encode())
    except InvalidTag:
        raise ConnectorError("whom it is about can't be opened: the row was changed") from None
    return opened.decode()
