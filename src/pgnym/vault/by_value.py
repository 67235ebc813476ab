"""Consent that is told of a value (an e-mail address) rather than of an ID, since there may be no subject yet.

Its events are those of a name that only the tenant's audit key makes of the value: nobody who reads the tables learns which
value it is. Whose value it is, once somebody has it, is told by ``pgnym.link``, each time anew: nothing is carried over.

Who writes rows could give somebody else's row a value whose owner agrees. So an acceptance counts only for the one subject
of its table that ever had the value, and only if it came with the first that was stored of them. A withdrawal always counts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pgnym.vault.consents import Spoken, Subject
from pgnym.vault.links import Links
from pgnym.vault.store import TenantVault, Vault
from pgnym.vault.tokens import PREFIX_LENGTH, prefix

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

Identity = Callable[[int, bytes, bool], bytes]
"""What decides the token of a value: type, canonical value, whether case is folded."""

_LABEL = b"consent by value"
_MARK = "="  # before the table, in names of values: no table of the configuration starts with it
_COLUMNS = """
SELECT p.schema_name || '.' || p.table_name, p.column_name, d.id, d.name, p.codec_oid::bigint, p.casefold, p.normalize
FROM vault.protected_column p JOIN vault.domain d ON d.id = p.domain_id
WHERE p.schema_name || '.' || p.table_name = ANY ($1::text[]) AND p.path = ''
"""
# Whether an acceptance counts: nothing of the subject was linked before, and nobody else of the table ever had the value.
_LINKED = """
SELECT l.subject_table, l.subject, l.token,
  NOT EXISTS (SELECT FROM pgnym.link e
    WHERE e.subject_table = l.subject_table AND e.subject = l.subject AND e.linked < l.linked)
  AND NOT EXISTS (SELECT FROM pgnym.link o
    WHERE o.token = l.token AND o.subject_table = l.subject_table AND o.subject <> l.subject)
FROM unnest($1::text[], $2::text[]) AS s (of_table, id)
  JOIN pgnym.link l ON l.subject_table = s.of_table AND l.subject = s.id
WHERE left(l.token, 6) = ANY ($3::text[])
"""


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column by whose values consent can be told. ``normalize``: as in the registry."""

    table: str
    column: str
    domain: str
    prefix: bytes
    codec_oid: int
    casefold: bool
    normalize: str


def is_value(subject: Subject) -> bool:
    """Whether it stands for a value, not for a person."""
    return subject.table.startswith(_MARK)


def table_of(subject: Subject) -> str:
    """The table of the person, or of whose persons a value would be."""
    return subject.table.removeprefix(_MARK)


class ByValue:
    """``columns``: by the subject's table, the names of the columns by whose values consent can be told."""

    def __init__(self, columns: Mapping[str, Collection[str]], identity: Identity) -> None:
        self._wanted = {table: frozenset(names) for table, names in columns.items() if names}
        self._identity = identity
        self._known: tuple[ValueColumn, ...] | None = None

    def applies(self, table: str) -> bool:
        """Whether consent of a table's subjects can be told by value."""
        return table in self._wanted

    def forget(self) -> None:
        """Columns may have come to be protected otherwise."""
        self._known = None

    async def column(self, connection: Connection, table: str, name: str) -> ValueColumn | None:
        """One of the columns, as the registry has it; None if it isn't configured for this, or not protected yet."""
        known = await self._columns(connection)
        return next((each for each in known if (each.table, each.column) == (table, name)), None)

    def named(self, tenant: TenantVault, column: ValueColumn, canonical: bytes) -> Subject:
        """What stands for a value. Raises ValueError, ArithmeticError for what is none of the column's type."""
        same = self._identity(column.codec_oid, canonical, column.casefold)
        content = msgspec.json.encode([tenant.id, column.table, column.domain, same])
        digest = hmac.new(tenant.audit_key.derive(_LABEL), content, hashlib.sha256).hexdigest()
        return Subject(_MARK + column.table, digest)

    async def of(
        self, vault: Vault, tenant: TenantVault, links: Links, subjects: Iterable[Subject]
    ) -> dict[Subject, list[Spoken]]:
        """What stands for the values of each subject. Errors: VaultError."""
        asked = [subject for subject in subjects if self.applies(subject.table)]
        if not asked:
            return {}
        columns = await vault.administer(self._columns) if self._known is None else self._known
        rows = await links.run(lambda connection: self._linked(connection, columns, asked))
        return await self._spoken(tenant, columns, rows)

    async def over(
        self, app: Connection, store: Connection, tenant: TenantVault, subject: Subject
    ) -> list[Spoken]:
        """As ``of``, for one subject and over connections. Errors: VaultError, asyncpg.PostgresError."""
        if not self.applies(subject.table):
            return []
        columns = await self._columns(store)
        found = await self._spoken(tenant, columns, await self._linked(app, columns, [subject]))
        return found.get(subject, [])

    async def _columns(self, connection: Connection) -> tuple[ValueColumn, ...]:
        if self._known is None:
            rows = await connection.fetch(_COLUMNS, list(self._wanted))
            self._known = tuple(
                ValueColumn(table, name, domain, prefix(number), codec_oid, casefold, normalize)
                for table, name, number, domain, codec_oid, casefold, normalize in rows
                if name in self._wanted[table]
            )
        return self._known

    @staticmethod
    async def _linked(
        connection: Connection, columns: Iterable[ValueColumn], subjects: Collection[Subject]
    ) -> list[asyncpg.Record]:
        return await connection.fetch(
            _LINKED,
            [subject.table for subject in subjects],
            [subject.id for subject in subjects],
            [column.prefix.decode("ascii") for column in columns],
        )

    async def _spoken(
        self, tenant: TenantVault, columns: Iterable[ValueColumn], rows: Iterable[asyncpg.Record]
    ) -> dict[Subject, list[Spoken]]:
        of_prefix = {(column.table, column.prefix): column for column in columns}
        links = [(Subject(*row[:2]), row[2].encode("ascii"), row[3]) for row in rows]
        values = await tenant.get({token for _, token, _ in links})
        found: dict[Subject, list[Spoken]] = {}
        for subject, token, counts in links:
            column, value = of_prefix.get((subject.table, token[:PREFIX_LENGTH])), values.get(token)
            if column is not None and value is not None:
                found.setdefault(subject, []).append(Spoken(self.named(tenant, column, value), counts))
        return found
