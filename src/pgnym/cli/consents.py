"""``pgnym consent``: what a data subject agrees to, by the gateway's login and the master key."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec

from pgnym.cli.acts import named_tenant, record, who
from pgnym.cli.vaults import needed_key, opened_vault
from pgnym.config import Config, ConfigError, load
from pgnym.gateway.logins import upstream_login
from pgnym.privacy.by_value import named_value, to_withdraw
from pgnym.privacy.grounds import agreed
from pgnym.privacy.subjects import root
from pgnym.vault import consents
from pgnym.vault.by_value import ByValue
from pgnym.vault.consents import Action, Event, Said, Spoken, Subject
from pgnym.vault.links import Links
from pgnym.vault.store import TenantVault, Vault
from pgnym.wire.codecs import identity

DONE = 0


def show(options: argparse.Namespace) -> int:
    """State and history of each purpose, as JSON."""
    config = load(options.config)

    async def work() -> list[dict[str, Any]]:
        async with _opened(config, options, "showConsents") as (vault, tenant, subject, by_value):
            names = [Spoken(subject, counts=True)]
            if by_value.applies(subject.table):
                links = Links(upstream_login(config, os.environ))
                try:
                    names += (await by_value.of(vault, tenant, links, [subject])).get(subject, [])
                finally:
                    await links.close()
            return await vault.administer(
                lambda connection: agreed(connection, tenant, names, datetime.now(UTC))
            )

    encoded = msgspec.json.format(msgspec.json.encode({"consents": asyncio.run(work())}), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
    return DONE


def accept(options: argparse.Namespace) -> int:
    """Record that the subject agrees."""
    config = load(options.config)
    unknown = sorted(set(options.purpose) - config.purposes())
    if unknown:
        raise ConfigError("--purpose", f"no role has the purpose {unknown[0]}")
    if options.expires is not None and options.expires <= datetime.now(UTC):
        raise ConfigError("--expires", "is past")
    said = Said(Action.ACCEPT, options.expires, options.text_version, options.channel, options.reference)
    return _record(config, options, said, "changeConsents")


def withdraw(options: argparse.Namespace) -> int:
    """Record that the subject agrees no longer; to all, if no purpose is named."""
    said = Said(Action.WITHDRAW, channel=options.channel, reference=options.reference)
    return _record(load(options.config), options, said, "changeConsents")


def _record(config: Config, options: argparse.Namespace, said: Said, operation: str) -> int:
    async def work() -> list[Event]:
        async with _opened(config, options, operation) as (vault, tenant, subject, _):
            purposes = options.purpose or await vault.administer(
                lambda connection: to_withdraw(connection, tenant, subject, config)
            )
            return await consents.record(vault, tenant, subject, purposes, said, who())

    for event in asyncio.run(work()):
        print(f"{event.purpose}: {event.said.action.value}, event {event.sequence}", file=sys.stderr)
    return DONE


@asynccontextmanager
async def _opened(
    config: Config, options: argparse.Namespace, operation: str
) -> AsyncIterator[tuple[Vault, TenantVault, Subject, ByValue]]:
    """The vault, and whose consent it is about; written down in the audit log. Raises ConfigError, PrivacyError."""
    if (options.id is None) == (options.value is None):
        raise ConfigError("ID", "give either the subject's ID or --value COLUMN=VALUE")
    table = root(config, options.table)
    by_value = ByValue(config.consent_by(), identity)
    async with opened_vault(config, needed_key(config)) as vault:
        tenant = await named_tenant(vault, options.tenant or config.tenants.default)
        if options.id is not None:
            subject = Subject(table, options.id)
        else:
            column, equals, value = options.value.partition("=")
            if not equals:
                raise ConfigError("--value", "expected COLUMN=VALUE", "for instance email=ann@example.org")
            subject = await vault.administer(
                lambda connection: named_value(connection, tenant, by_value, (table, column), value)
            )
        await record(vault, config, operation, tenant, f"consent {options.action} of {table} {subject.id}")
        yield vault, tenant, subject, by_value
