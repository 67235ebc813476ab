"""What stands for a value by which consent is told, and the end of that when the person is erased."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import asyncpg

from pgnym.policy.normalizing import normalized
from pgnym.privacy.errors import PrivacyError
from pgnym.vault.by_value import ByValue
from pgnym.vault.consents import Action, Said, Spoken, Subject, append, events_of
from pgnym.vault.store import TenantVault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


class NoSuchValue(PrivacyError):
    """It is no value of a column by which consent can be told."""


async def named_value(
    connection: Connection, tenant: TenantVault, by_value: ByValue, where: tuple[str, str], text: str
) -> Subject:
    """What stands for a value of ``where``, a table and a column. ``connection``: to the vault.

    Whether anybody has the value is not asked. Errors: NoSuchValue, asyncpg.PostgresError.
    """
    table, name = where
    column = await by_value.column(connection, table, name)
    if column is None:
        raise NoSuchValue(
            f"consent can't be told by {table}.{name}: tables.{table}.consent_by doesn't name it"
        )
    try:
        return by_value.named(tenant, column, normalized(column.normalize, text.encode()))
    except (ValueError, ArithmeticError):
        raise NoSuchValue(f"that is no value of {table}.{name}") from None


async def take_back(store: Connection, tenant: TenantVault, spoken: Iterable[Spoken], by: str) -> None:
    """Withdraw all that was accepted by these values: who has one of them later answers for it alone.

    In the caller's transaction, of the tenant.
    """
    for name in spoken:
        events = await events_of(store, tenant, name.subject)
        last = {event.purpose: event for event in events}
        purposes = [
            purpose
            for purpose, event in last.items()
            if event.said.action is Action.ACCEPT or not event.sound
        ]
        await append(store, tenant, name.subject, purposes, Said(Action.WITHDRAW, channel="erasure"), by)
