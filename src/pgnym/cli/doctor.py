"""``pgnym doctor``: one line for each thing looked at, and for what is wrong what to do about it."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from pgnym.cli.failures import explain
from pgnym.config import Config, ConfigError, load, master_key, vault_password
from pgnym.config.model import Tls
from pgnym.gateway.catalogs import read_catalog
from pgnym.gateway.logins import upstream_login, vault_login
from pgnym.privacy import holders, subjects
from pgnym.privacy.access import Guise, require
from pgnym.privacy.connectors.known import known
from pgnym.privacy.errors import PrivacyError
from pgnym.vault.keys import MasterKey
from pgnym.vault.migrations import current_version, latest_version
from pgnym.vault.store import Vault

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

OLDEST = 130000
CLOCK_SECONDS = 5.0  # audit records carry the gateway's time, consents and grants the server's
Result = tuple[str, str, str]  # (what, what is wrong or "", hint)


def run(options: argparse.Namespace) -> int:
    """Look at everything. 1 if something is wrong."""
    config = load(options.config)
    print(f"✓ configuration: {len(list(config.columns()))} protected columns, {len(config.roles)} roles")

    async def work() -> int:
        wrong = 0
        async for what, problem, hint in results(config):
            print(f"✗ {what}: {problem}" if problem else f"✓ {what}")
            if hint:
                print(f"  hint: {hint}")
            wrong += bool(problem)
        return wrong

    wrong = asyncio.run(work())
    print("All is well." if not wrong else f"{wrong} things are wrong.")
    return 1 if wrong else 0


async def results(config: Config) -> AsyncIterator[Result]:
    """Everything looked at, in order."""
    for name, tls in (("gateway", config.gateway.tls), ("admin", config.admin.tls)):
        if tls.cert is not None:
            yield certificate(f"{name}.tls", tls)
    if config.connectors:
        try:
            yield f"connectors: {', '.join(one.name for one in known(config))} can be made", "", ""
        except ConfigError as error:
            yield "connectors", *explain(error)
    key = None
    try:
        key = master_key(config, os.environ)
        hint = "" if key else "set PGNYM_MASTER_KEY or keys.master_key_file, or unseal it when it runs"
        yield "master key" + ("" if key else ": none, so the gateway starts sealed"), "", hint
    except Exception as error:
        yield "master key", *explain(error)
    try:
        password = vault_password(config, os.environ)
        yield f"password of {config.vault.user}" + ("" if password else ": none"), "", ""
        upstream, vault = upstream_login(config, os.environ), vault_login(config, os.environ)
    except Exception as error:
        yield f"login of {config.vault.user}", *explain(error)
        return
    app = await attempt(upstream)
    if isinstance(app, Exception):
        text, hint = explain(app)
        if isinstance(app, asyncpg.InvalidAuthorizationSpecificationError):
            hint = f"pgnym apply makes the login {config.vault.user}, if it was never run; else check its password"
        yield "the protected database", text, hint
        return
    try:
        async for result in of_upstream(app, config):
            yield result
        registry = await attempt(vault)
        if isinstance(registry, Exception):
            yield "the vault", *explain(registry)
            return
        try:
            async for result in of_vault(app, registry):
                yield result
            if config.privacy.over_http:
                yield await of_privacy(app, registry, config)
        finally:
            await registry.close()
    finally:
        await app.close()
    if key is not None:
        yield await of_key(config, key, vault)


async def attempt(arguments: dict[str, Any]) -> Connection | Exception:
    """A connection, or why not."""
    try:
        made: Connection = await asyncpg.connect(**arguments, timeout=10)
    except Exception as error:
        return error
    return made


def certificate(what: str, tls: Tls) -> Result:
    """Certificate and key are there and fit."""
    for name in (tls.cert, tls.key):
        if name is not None and not Path(name).is_file():
            return what, f"{name} is not there", ""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(str(tls.cert), tls.key)
    except (ssl.SSLError, OSError):
        return (
            what,
            "certificate and key don't fit, or can't be read",
            "both as PEM; the chain after the certificate",
        )
    return what, "", ""


async def of_upstream(app: Connection, config: Config) -> AsyncIterator[Result]:
    """Version, login and clock of the protected database's server."""
    version = int(await app.fetchval("SELECT pg_catalog.current_setting('server_version_num')"))
    old = "" if version >= OLDEST else f"server version {version} is too old"
    yield (
        f"the protected database: server version {version // 10000}",
        old,
        "upgrade to 13 or later" if old else "",
    )
    mighty = await app.fetchval(
        "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user"
    )
    yield (
        f"login {config.vault.user}: no more rights than it needs",
        "it is a superuser, bypasses row-level security, or may create roles" if mighty else "",
        "name another by vault.user; apply creates it" if mighty else "",
    )
    now: datetime = await app.fetchval("SELECT pg_catalog.clock_timestamp()")
    skew = abs((datetime.now(UTC) - now).total_seconds())
    wrong = f"differs by {skew:.0f} seconds from the server's" if skew > CLOCK_SECONDS else ""
    yield "clock", wrong, "run a time service on both machines" if wrong else ""


async def of_vault(app: Connection, registry: Connection) -> AsyncIterator[Result]:
    """The vault's schema, and whether registry and database agree."""
    version = await current_version(registry)
    if version != latest_version():
        yield "the vault", f"its schema has version {version}, not {latest_version()}", "pgnym apply"
        return
    yield f"the vault: schema version {version}", "", ""
    catalog = await read_catalog(app, registry, 1, {})
    broken = [r for r in catalog.relations.values() if r.broken is not None]
    protected = sum(r.protected for r in catalog.relations.values())
    for relation in broken:
        yield f"table {relation.schema}.{relation.name}", str(relation.broken), "pgnym plan, then pgnym apply"
    if not broken:
        yield f"registry and database agree: {protected} tables with protected columns", "", ""


async def of_privacy(app: Connection, registry: Connection, config: Config) -> Result:
    """The gateway sees all that reports and erasures are about."""
    what = f"role {config.vault.privacy_role}: subjects can be reported on and erased over HTTP"
    path = await app.fetchval("SELECT pg_catalog.current_setting('search_path')")
    guise = Guise(config.vault.privacy_role, path)
    try:
        everywhere = await holders.holders(app, registry)
        found: list[subjects.Place] = []
        for name, table in config.tables.items():
            if table.subject is not None and table.subject_table is None:
                found += await subjects.places(app, config, name, everywhere)
        await require(app, guise, found, everywhere)
    except PrivacyError as error:
        return what, error.message, error.hint
    except asyncpg.PostgresError as error:
        return what, *explain(error)
    return what, "", ""


async def of_key(config: Config, key: bytes, where: dict[str, Any]) -> Result:
    """The master key opens the vault's keys."""
    try:
        vault = await Vault.open(where, MasterKey(key), same_cluster=config.vault.url is None)
        try:
            await vault.tenant(config.tenants.default)
        finally:
            await vault.close()
    except Exception as error:
        return "the master key and the vault", *explain(error)
    return "the master key opens the vault", "", ""
