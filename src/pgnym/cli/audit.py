"""``pgnym audit``: is the log as it was written, and what does it say."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from pgnym.audit.chain import Checkpoint
from pgnym.audit.formats import cef, json_line
from pgnym.audit.reading import Filter, OpenedRecord, read
from pgnym.audit.retention import AuditTenant, drop_before, expired
from pgnym.audit.verify import Verdict
from pgnym.audit.verify import verify as verify_tenant
from pgnym.cli.connections import Connection, owners
from pgnym.cli.onboarding import agreed
from pgnym.cli.vaults import TENANTS, chosen, needed_key, opened_vault
from pgnym.config import Config, ConfigError, load
from pgnym.gateway.logins import vault_login
from pgnym.vault.store import TenantVault

DONE, FAILED = 0, 1


def verify(options: argparse.Namespace) -> int:
    """Verify the chains. 0: as it was written; 1: something is wrong."""
    config = load(options.config)
    anchors = _anchors(options.anchors)

    async def work() -> list[Verdict]:
        async with _opened(config, options.tenant) as (connection, tenants):
            return [
                await verify_tenant(connection, t.id, t.name, t.audit_key, anchors=anchors) for t in tenants
            ]

    verdicts = asyncio.run(work())
    for verdict in verdicts:
        told = f"{verdict.records} records of {verdict.writers} writers, {verdict.checkpoints} checkpoints"
        if verdict.unchained:
            told += f", {verdict.unchained} records from before the chain (not verified)"
        print(f"tenant {verdict.tenant}: {told}: " + ("sound" if verdict.sound else "NOT SOUND"))
        for finding in verdict.findings:
            print(f"  ✗ {finding}")
    return DONE if all(verdict.sound for verdict in verdicts) else FAILED


def show(options: argparse.Namespace) -> int:
    """Print records."""
    config = load(options.config)
    which = Filter(
        options.since,
        options.until,
        options.actor,
        options.role,
        options.audit_action,
        options.decision,
        options.domain,
        options.purpose,
        options.fingerprint,
    )
    show_one = _FORMATS[options.format]

    async def work() -> None:
        left = -1 if options.limit is None else options.limit
        async with _opened(config, options.tenant) as (connection, tenants):
            for tenant in tenants:
                records = read(
                    connection,
                    tenant.id,
                    tenant.name,
                    tenant.audit_key,
                    which,
                    newest_first=options.newest_first,
                )
                async for record in records:
                    if left == 0:
                        return
                    left -= 1
                    print(show_one(record))

    asyncio.run(work())
    return DONE


def prune(options: argparse.Namespace) -> int:
    """Drop the months that ended before a time. Only from a log that is sound, unless told otherwise."""
    config = load(options.config)

    async def work() -> int:
        async with (
            owners(config, options.url, options.vault_url) as (_, owner),
            _opened(config, None) as (connection, tenants),
        ):
            months = await expired(owner, options.before)
            if not months:
                print(f"Nothing to drop: no month of the log ended before {options.before:%Y-%m-%d}.")
                return DONE
            if not options.unverified:
                for tenant in tenants:
                    verdict = await verify_tenant(connection, tenant.id, tenant.name, tenant.audit_key)
                    if not verdict.sound:
                        print(
                            f"pgnym: the log of tenant {tenant.name} is not as it was written; nothing was dropped\n"
                            "hint: see `pgnym audit verify`; --unverified drops it all the same",
                            file=sys.stderr,
                        )
                        return FAILED
            if not agreed(options.yes, f"Drop {', '.join(months)} for good?"):
                return FAILED
            parties = {t.id: AuditTenant(t.id, t.name, t.audit_key) for t in tenants}
            for done in await drop_before(owner, parties, options.before, datetime.now(UTC)):
                print(f"dropped {done.name}: {done.records} records")
            return DONE

    return asyncio.run(work())


def text_line(record: OpenedRecord) -> str:
    """One record for people."""
    counts = ", ".join(f"{count} {domain}" for domain, count in sorted(record.counts.items()))
    who = record.db_user + (f" ({record.role})" if record.role != record.db_user else "")
    parts = [
        record.time.isoformat(sep=" ", timespec="milliseconds"),
        record.tenant,
        record.action + (" DENIED" if record.decision == "denied" else ""),
        who,
        f"from {record.client_address}" if record.client_address else "",
        f"for {record.purpose}" if record.purpose else "",
        f"under grant {record.grant}" if record.grant is not None else "",
        counts,
        record.text if record.opened else "(details don't open: run `pgnym audit verify`)",
    ]
    return "  ".join(part for part in parts if part)


_FORMATS: dict[str, Callable[[OpenedRecord], str]] = {"text": text_line, "jsonl": json_line, "cef": cef}


def _anchors(path: str | None) -> list[Checkpoint]:
    """The checkpoints in a log that was kept elsewhere. Raises ConfigError if there are none."""
    if path is None:
        return []
    try:
        lines = (sys.stdin.read() if path == "-" else Path(path).read_text("utf-8", "replace")).splitlines()
    except OSError as error:
        raise ConfigError(
            "--anchors", f"can't be read: {error.strerror}", "name a file, or - for standard input"
        ) from None
    found = [checkpoint for line in lines if (checkpoint := Checkpoint.parse(line)) is not None]
    if not found:
        raise ConfigError(
            "--anchors", "holds no checkpoint", "give the log of pgnym serve, where it writes them"
        )
    return found


@asynccontextmanager
async def _opened(config: Config, only: str | None) -> AsyncIterator[tuple[Connection, list[TenantVault]]]:
    """A connection of the gateway's login, and the tenants (all, or ``only`` one). Raises ConfigError for an unknown one."""
    login = vault_login(config, os.environ)
    timeout = config.vault.timeout or 60
    key = needed_key(config)
    connection: Connection = await asyncpg.connect(**login, timeout=timeout)
    try:
        async with opened_vault(config, key) as vault:
            names = [row[0] for row in await connection.fetch(TENANTS)]
            yield connection, [await vault.tenant(name) for name in chosen(names, only)]
    finally:
        await connection.close()
