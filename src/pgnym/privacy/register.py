"""The register of processing activities (Art. 30 GDPR), and the legal bases that they rest on (Art. 6(1)).

What stands in it is the controller's own description, kept with the vault so that it is where the data is. Activities name
protected columns by the patterns that roles use, which tells what is protected but in no activity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import asyncpg
import msgspec
from msgspec import Meta

from pgnym.config.model import LegalBasis as BasisKind
from pgnym.vault.connection import set_tenant
from pgnym.vault.errors import VaultError
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


_MOST_ID = 2**63 - 1
Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Words = Annotated[str, Meta(max_length=10_000, pattern=r"^[^\x00]*$")]
Lines = Annotated[tuple[Line, ...], Meta(max_length=200)]


class Basis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A legal basis (Art. 6(1) GDPR). ``reference``: the contract, the law, the assessment of interests."""

    kind: BasisKind
    title: Line
    reference: Words = ""
    details: Words = ""


class Activity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A processing activity, with what Art. 30(1) GDPR wants of it. ``legal_bases``: ids. ``purposes``: as columns and roles
    name them. ``columns``: patterns of protected columns, as roles have them. ``controller``: who, and how to reach them and
    their data protection officer. ``retention``: the time limits for erasure."""

    name: Line
    description: Words = ""
    controller: Words = ""
    purposes: Lines = ()
    legal_bases: Annotated[tuple[Annotated[int, Meta(ge=1, le=_MOST_ID)], ...], Meta(max_length=100)] = ()
    columns: Lines = ()
    subject_categories: Lines = ()
    data_categories: Lines = ()
    recipient_categories: Lines = ()
    transfers: Words = ""
    retention: Words = ""
    measures: Words = ""


class Kept(msgspec.Struct, frozen=True):
    """A basis or activity as it is in the register."""

    id: int
    version: int
    changed: Any
    what: Basis | Activity


class UnknownBasis(VaultError):
    """An activity names a legal basis that isn't there."""


class BasisInUse(VaultError):
    """A legal basis that an activity rests on can't be removed."""


_BASIS = tuple(Basis.__struct_fields__)
_ACTIVITY = tuple(name for name in Activity.__struct_fields__ if name != "legal_bases")
_TABLES = {Basis: ("vault.legal_basis", _BASIS), Activity: ("vault.processing_activity", _ACTIVITY)}
_BASES = (
    "(SELECT coalesce(array_agg(b.legal_basis ORDER BY b.legal_basis), '{}') FROM vault.activity_basis b"
    " WHERE b.tenant = t.tenant AND b.activity = t.id) AS legal_bases"
)


class Register:
    """That of one tenant, over a connection to the vault."""

    def __init__(self, connection: Connection, tenant: TenantVault) -> None:
        self._connection = connection
        self._tenant = tenant.id

    async def listed(self, kind: type[Basis | Activity], limit: int, after: int = 0) -> list[Kept]:
        """At most ``limit``, by id, behind ``after``."""
        async with self._connection.transaction(readonly=True):
            await set_tenant(self._connection, self._tenant)
            rows = await self._connection.fetch(
                f"{_select(kind)} AND t.id > $2 ORDER BY t.id LIMIT $3", self._tenant, after, limit
            )
        return [_kept(kind, row) for row in rows]

    async def find(self, kind: type[Basis | Activity], identifier: int) -> Kept | None:
        """One of them."""
        async with self._connection.transaction(readonly=True):
            await set_tenant(self._connection, self._tenant)
            return await self._find(kind, identifier)

    async def add(self, what: Basis | Activity) -> Kept:
        """A new one. Errors: UnknownBasis."""
        table, columns = _TABLES[type(what)]
        places = ", ".join(f"${n}" for n in range(2, len(columns) + 2))
        async with self._connection.transaction():
            await set_tenant(self._connection, self._tenant)
            identifier = await self._connection.fetchval(
                f"INSERT INTO {table} (tenant, {', '.join(columns)}) VALUES ($1, {places}) RETURNING id",  # noqa: S608
                self._tenant,
                *_values(what, columns),
            )
            await self._rest_on(identifier, what)
            found = await self._find(type(what), identifier)
        assert found is not None
        return found

    async def change(self, identifier: int, what: Basis | Activity, version: int) -> Kept | None:
        """As it shall be from now on; None if it isn't there, or has another version. Errors: UnknownBasis."""
        table, columns = _TABLES[type(what)]
        settings = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 4))
        async with self._connection.transaction():
            await set_tenant(self._connection, self._tenant)
            changed = await self._connection.fetchval(
                f"UPDATE {table} SET version = version + 1, changed = now(), {settings}"  # noqa: S608
                " WHERE tenant = $1 AND id = $2 AND version = $3 RETURNING true",
                self._tenant,
                identifier,
                version,
                *_values(what, columns),
            )
            if not changed:
                return None
            await self._rest_on(identifier, what)
            return await self._find(type(what), identifier)

    async def remove(self, kind: type[Basis | Activity], identifier: int, version: int) -> bool:
        """Whether it was there, with this version, and is gone. Errors: BasisInUse."""
        table, _ = _TABLES[kind]
        try:
            async with self._connection.transaction():
                await set_tenant(self._connection, self._tenant)
                gone = await self._connection.fetchval(
                    f"DELETE FROM {table} WHERE tenant = $1 AND id = $2 AND version = $3 RETURNING true",  # noqa: S608
                    self._tenant,
                    identifier,
                    version,
                )
        except asyncpg.ForeignKeyViolationError:
            raise BasisInUse("a processing activity rests on it") from None
        return bool(gone)

    async def _find(self, kind: type[Basis | Activity], identifier: int) -> Kept | None:
        row = await self._connection.fetchrow(f"{_select(kind)} AND t.id = $2", self._tenant, identifier)
        return None if row is None else _kept(kind, row)

    async def _rest_on(self, identifier: int, what: Basis | Activity) -> None:
        if not isinstance(what, Activity):
            return
        await self._connection.execute(
            "DELETE FROM vault.activity_basis WHERE tenant = $1 AND activity = $2", self._tenant, identifier
        )
        try:
            await self._connection.execute(
                "INSERT INTO vault.activity_basis SELECT $1, $2, unnest($3::bigint[])",
                self._tenant,
                identifier,
                sorted(set(what.legal_bases)),
            )
        except asyncpg.ForeignKeyViolationError:
            raise UnknownBasis("legal_bases: there is no legal basis of such an id") from None


def _select(kind: type[Basis | Activity]) -> str:
    table, _ = _TABLES[kind]
    return f"SELECT t.*{', ' + _BASES if kind is Activity else ''} FROM {table} t WHERE t.tenant = $1"  # noqa: S608


def _values(what: Basis | Activity, columns: tuple[str, ...]) -> list[Any]:
    given = (getattr(what, name) for name in columns)
    return [list(value) if isinstance(value, tuple) else value for value in given]


def _kept(kind: type[Basis | Activity], row: asyncpg.Record) -> Kept:
    what = msgspec.convert({name: row[name] for name in kind.__struct_fields__}, kind)
    return Kept(row["id"], row["version"], row["changed"], what)
