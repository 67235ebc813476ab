"""``pgnym check``: what would happen to statements, planned against the database's catalog without running them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pgnym.cli import explaining, scripts
from pgnym.cli.explaining import Explanation
from pgnym.config import Config, ConfigError, load
from pgnym.gateway.catalogs import read_rows, signatures_of
from pgnym.gateway.logins import upstream_login, vault_login
from pgnym.gateway.search_paths import effective_path, login_schemas
from pgnym.onboard.projecting import project
from pgnym.policy.roles import Policy, RolePolicy
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.plan import SessionScope
from pgnym.sql.planner import Planner
from pgnym.sql.sequence import after
from pgnym.sql.settings import new_search_path
from pgnym.sql.signing import with_signatures

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

DONE, FAILED, USAGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Reading:
    """What statements are planned against. ``projected``: ``apply`` has not run (or not for all), so it is what will be.

    ``problems``: what is not as the configuration has it.
    """

    catalog: Catalog
    path: tuple[str, ...]
    projected: bool
    problems: tuple[str, ...]


def run(options: argparse.Namespace) -> int:
    """Explain statements. 1 if one of them would be refused, 2 if there is none or a file can't be read."""
    config = load(options.config)
    try:
        found = list(sources(options))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not UTF-8 at byte {error.start}"
        print(f"pgnym: {getattr(error, 'filename', None) or 'input'}: {reason}", file=sys.stderr)
        return USAGE
    if not found:
        print("pgnym: no statements\nhint: give one by --sql, or files of them", file=sys.stderr)
        return USAGE
    user = options.user or some_user(config)
    reading = asyncio.run(read(config, user, options.url))
    if reading.projected:
        print("note: `pgnym apply` has not run: planned as it will be afterwards", file=sys.stderr)
    for problem in reading.problems:
        print(f"warning: {problem}", file=sys.stderr)
    role = Policy(config).for_user(user)
    explained = list(explanations(found, reading, user, role, options.purpose))
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(explained), indent=2).decode())
    else:
        for explanation in explained:
            print("\n".join(explaining.lines(explanation)))
        print(_summary(explained))
    return FAILED if any(e.refused for e in explained) else DONE


def sources(options: argparse.Namespace) -> Iterator[scripts.Statement]:
    """The statements, one by one. Raises OSError and UnicodeDecodeError."""
    if options.sql is not None:
        yield from scripts.statements(options.sql, "")
    for name in options.files:
        if name == "-":
            yield from scripts.statements(sys.stdin.read(), "stdin")
        else:
            yield from scripts.statements(Path(name).read_text(encoding="utf-8"), name)


def some_user(config: Config) -> str:
    """The first user that the configuration names: most applications have one."""
    return next((role.users[0] for role in config.roles.values() if role.users), "app")


async def read(config: Config, user: str, url: str | None) -> Reading:
    """The catalog, and the search_path that ``user`` begins with. By the gateway's own login, or by ``url``.

    Raises ConfigError where the gateway's login isn't there, and what asyncpg raises.
    """
    login = upstream_login(config, os.environ) if url is None else {"dsn": url}
    app = await connected(login, config.upstream.connect_timeout, url)
    try:
        setting, usable = await login_schemas(app, user)
        separate = config.vault.url is not None
        registry = (
            await connected(vault_login(config, os.environ), config.vault.timeout, None) if separate else app
        )
        try:
            try:
                rows = await read_rows(app, registry)
            except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedTableError):
                rows = await read_rows(app, None)  # there is no vault yet
        finally:
            if separate:
                await registry.close()
        projection = project(config, rows)
        projected = len(projection.rows.registry) > len(rows.registry)
        problems = projection.problems
        if not usable:
            problems = (
                *problems,
                f"the server has no role {user}: names are looked up in pg_catalog and public",
            )
            setting, usable = "public", frozenset({"public"})
        path = effective_path(setting, user, usable)
        catalog = with_signatures(projection.rows.build(1), signatures_of(config))
        return Reading(catalog, path, projected, problems)
    finally:
        await app.close()


async def connected(login: dict[str, Any], seconds: float, url: str | None) -> Connection:
    """A connection. Raises what asyncpg raises; of a login that ``apply`` is still to make, ConfigError."""
    try:
        connection: Connection = await asyncpg.connect(**login, timeout=seconds or 60)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError):
        if url is not None:
            raise
        hint = "before `pgnym apply` has run, give the URL of a user that is there: --url"
        raise ConfigError("vault.user", "the server does not let the gateway's login in", hint) from None
    return connection


def explanations(
    found: list[scripts.Statement], reading: Reading, user: str, role: RolePolicy, purpose: str | None
) -> Iterator[Explanation]:
    """One for each statement, in order: names that one of them makes or a search_path that it sets hold for the next."""
    planner = Planner(reading.catalog)
    schemas = {schema for schema, _ in reading.catalog.relations} | set(reading.path)
    scope = SessionScope(reading.path, user, {}, {})
    for statement in found:
        text: str | None = statement.text
        note = ""
        if statement.command:
            text = scripts.of_command(statement)
            note = "psql sends: " + text if text is not None else "a command of psql's own: skipped"
        if text is None:
            yield Explanation(statement.source, statement.line, statement.text, "skipped", note=note)
            continue
        fields: dict[str, object] = {"outcome": "unchanged"}
        try:
            rewrite = planner.plan(text.encode(), (), scope)
        except Refused as refusal:
            fields = {"outcome": "refused", "refusal": explaining.of_refusal(refusal, text)}
        else:
            if rewrite is not None:
                fields = explaining.of_rewrite(rewrite, text, reading.catalog, role, purpose)
                for plan in rewrite.statements:
                    if plan.effect is not None:
                        scope = after(scope, plan.effect)
            setting = new_search_path(text)
            if setting is not None:
                path = effective_path(setting, user, schemas) if setting else reading.path
                scope = replace(scope, search_path=path)
        yield Explanation(statement.source, statement.line, text, note=note, **fields)  # type: ignore[arg-type]


def _summary(explained: list[Explanation]) -> str:
    counts = {
        outcome: sum(e.outcome == outcome for e in explained)
        for outcome in ("unchanged", "rewritten", "refused", "skipped")
    }
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
