"""What stands for a value by which consent is told, and the end of that when the person is erased."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import asyncpg

from pgnym.config import Config
from pgnym.policy.normalizing import normalized
from pgnym.privacy.errors import PrivacyError
from pgnym.vault.by_value import ByValue, table_of
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


async def to_withdraw(
    connection: Connection, tenant: TenantVault, subject: Subject, config: Config
) -> list[str]:
    """The purposes that a withdrawal of all is to name. Errors: asyncpg.PostgresError.

    Where consent can be told by value, those are all there are: what else the subject may have said need not be known.
    """
    said = set(await _accepted(connection, tenant, subject))
    return sorted(said | config.purposes() if table_of(subject) in config.consent_by() else said)


async def take_back(store: Connection, tenant: TenantVault, spoken: Iterable[Spoken], by: str) -> None:
    """Withdraw all that was accepted by these values: who has one of them later answers for it alone.

    In the caller's transaction, of the tenant.
    """
    for name in spoken:
        purposes = await _accepted(store, tenant, name.subject)
        await append(store, tenant, name.subject, purposes, Said(Action.WITHDRAW, channel="erasure"), by)


async def _accepted(connection: Connection, tenant: TenantVault, subject: Subject) -> list[str]:
    """The purposes whose last event isn't a withdrawal."""
    last = {event.purpose: event for event in await events_of(connection, tenant, subject)}
    return [
        purpose for purpose, event in last.items() if event.said.action is Action.ACCEPT or not event.sound
    ]
