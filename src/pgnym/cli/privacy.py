"""``pgnym subject``: what is held on a person, and its erasure."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from pgnym.audit.log import AuditLog
from pgnym.audit.records import Actor
from pgnym.cli.connections import Connection, owners
from pgnym.cli.onboarding import agreed, refuse_other_database
from pgnym.cli.vaults import TENANTS, chosen, needed_key, opened_vault
from pgnym.config import Config, ConfigError, load
from pgnym.privacy import holders, subjects
from pgnym.privacy.connectors.known import known
from pgnym.privacy.erasing import Eraser
from pgnym.privacy.erasures import Erasure, State
from pgnym.privacy.reporting import Reporter
from pgnym.vault.by_value import ByValue
from pgnym.vault.store import TenantVault
from pgnym.wire.codecs import element_oid, identity

DONE, FAILED = 0, 1
SEEN_DAYS = 90


@dataclass(frozen=True, slots=True)
class Office:
    """What these commands work with. ``vault``: the same connection as ``app`` where both are in one database."""

    config: Config
    app: Connection
    vault: Connection
    tenants: list[TenantVault]
    log: AuditLog
    actor: Actor


def report(options: argparse.Namespace) -> int:
    """Print what is held on a subject, as JSON."""
    config = load(options.config)
    table = subjects.root(config, options.table)
    if (options.id is None) == (options.value is None):
        raise ConfigError("ID", "give either the subject's ID or --value COLUMN=VALUE")
    others = known(config)
    since = options.since or datetime.now(UTC) - timedelta(days=SEEN_DAYS)

    async def work() -> list[dict[str, object]]:
        async with office(config, options, options.tenant or config.tenants.default) as at:
            everywhere = await holders.holders(at.app, at.vault)
            places = await subjects.places(at.app, config, table, everywhere)
            reporter = Reporter(
                at.app,
                at.vault,
                at.tenants[0],
                at.log,
                at.actor,
                identity,
                element_oid,
                connectors=others,
                by_value=ByValue(config.consent_by(), identity),
            )
            ids = [options.id]
            if options.value is not None:
                column, equals, value = options.value.partition("=")
                if not equals:
                    raise ConfigError(
                        "--value", "expected COLUMN=VALUE", "for instance email=ann@example.org"
                    )
                ids = await reporter.with_value(places[0], column, value)
            return [await reporter.report(places, each, since) for each in ids]

    found = asyncio.run(work())
    encoded = msgspec.json.format(msgspec.json.encode({"subjects": found}), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
    return DONE


@asynccontextmanager
async def office(config: Config, options: argparse.Namespace, only: str | None) -> AsyncIterator[Office]:
    """Connections, tenants (all, or ``only`` one) and the audit log. Raises ConfigError for an unknown tenant."""
    key = needed_key(config)
    together = config.vault.url is None
    async with owners(config, options.url, options.vault_url) as (app, store):
        if together:
            await refuse_other_database(config, app)
        names = chosen([row[0] for row in await store.fetch(TENANTS)], only)
        async with opened_vault(config, key) as vault:
            log = AuditLog(vault)
            try:
                user = await app.fetchval("SELECT session_user::text")
                yield Office(
                    config,
                    app,
                    app if together else store,
                    [await vault.tenant(name) for name in names],
                    log,
                    Actor(user, "owner", application_name="pgnym command"),
                )
            finally:
                await log.close()


def erase(options: argparse.Namespace) -> int:
    """Erase a subject, and finish what an earlier run has left."""
    config = load(options.config)
    table = subjects.root(config, options.table)
    others = known(config)
    if not agreed(options.yes, f"Erase that subject of {table} for good?"):
        return FAILED

    async def work() -> int:
        async with office(config, options, options.tenant or config.tenants.default) as at:
            everywhere = await holders.holders(at.app, at.vault)
            places = await subjects.places(at.app, config, table, everywhere)
            eraser = Eraser(
                at.app,
                at.vault,
                at.tenants[0],
                at.log,
                at.actor,
                options.settle,
                connectors=others,
                by_value=ByValue(config.consent_by(), identity),
            )
            begun = await eraser.erase(places, options.id)
            done = await eraser.finish()
            if begun is not None and begun[0] not in {each.id for each in done}:
                # A gateway has finished it meanwhile.
                found = await eraser.finish_one(begun[0])
                done += [] if found is None else [found]
        for each in done:
            _tell(each)
        if begun is None and not done:
            print(f"pgnym: no row of {table} is of that subject", file=sys.stderr)
            return FAILED
        return FAILED if any(each.state is State.INCOMPLETE for each in done) else DONE

    return asyncio.run(work())


def _tell(done: Erasure) -> None:
    if done.state is State.UNDONE:
        print(f"undone (its transaction was rolled back): {done.told}")
        return
    print(f"{done.told}; {sum(done.deleted.values())} values deleted")
    for name, count in sorted(done.kept.items()):
        print(f"kept: {count} values that other rows of {name} hold")
    if done.revived:
        print(f"kept: {done.revived} values that were written again meanwhile")
    for part in done.elsewhere:
        if part.done:
            print(f"connector {part.connector}: {part.erased} erased")
        else:
            print(f"pgnym: incomplete: connector {part.connector}: {part.problem}", file=sys.stderr)
            print("hint: a running gateway tries again, and so does the next run", file=sys.stderr)
