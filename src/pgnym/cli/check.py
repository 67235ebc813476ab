"""``pgnym check``: what would happen to statements, planned against the database's catalog without running them."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from pglast import split
from pglast.parser import ParseError

from pgnym.config import Config, ConfigError, load
from pgnym.gateway.catalogs import read_catalog
from pgnym.gateway.logins import upstream_login, vault_login
from pgnym.sql.catalog import Catalog
from pgnym.sql.errors import Refused
from pgnym.sql.plan import LiteralPiece, LookupPiece, Piece, Rewrite, SessionScope
from pgnym.sql.planner import Planner

DONE, FAILED = 0, 1


def run(options: argparse.Namespace) -> int:
    """Explain statements. 1 if one of them would be refused."""
    config = load(options.config)
    texts = list(sources(options))
    if not texts:
        raise ConfigError("--sql", "missing", "give a statement, or files of statements")
    catalog, path = asyncio.run(read(config))
    planner = Planner(catalog)
    scope = SessionScope(path, options.user, {}, {})
    refused = False
    for text in texts:
        print(f"» {' '.join(text.split())}")
        try:
            for line in explained(planner.plan(text.encode(), (), scope)):
                print(f"  {line}")
        except Refused as refusal:
            refused = True
            print(f"  refused ({refusal.sqlstate}): {refusal.message}")
            for name, value in (("detail", refusal.detail), ("hint", refusal.hint)):
                if value:
                    print(f"  {name}: {value}")
    return FAILED if refused else DONE


def sources(options: argparse.Namespace) -> Iterator[str]:
    """The statements, one by one."""
    if options.sql is not None:
        yield options.sql
    for name in options.files:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        try:
            yield from split(text)
        except ParseError as error:
            raise ConfigError(name, f"can't be parsed: {error.args[0]}") from None


async def read(config: Config) -> tuple[Catalog, tuple[str, ...]]:
    """The catalog and the search_path, by the gateway's own login."""
    upstream = upstream_login(config, os.environ)
    app = await asyncpg.connect(**upstream, timeout=config.upstream.connect_timeout or 60)
    try:
        path = tuple(await app.fetchval("SELECT pg_catalog.current_schemas(true)"))
        registry = await asyncpg.connect(
            **vault_login(config, os.environ), timeout=config.vault.timeout or 60
        )
        try:
            return await read_catalog(app, registry, 1, {}), path
        finally:
            await registry.close()
    finally:
        await app.close()


def _piece(piece: Piece) -> str:
    if isinstance(piece, LiteralPiece):
        return f"‹token of {piece.use.protection.domain}›"
    if isinstance(piece, LookupPiece):
        return f"‹{piece.lookup.answer.value} of {piece.lookup.protection.domain}›"
    return piece.decode()


def explained(rewrite: Rewrite | None) -> Iterator[str]:
    """What a plan says, line by line."""
    if rewrite is None:
        yield "touches nothing protected: forwarded as it is"
        return
    sent = "".join(map(_piece, rewrite.pieces))
    yield f"sent as: {' '.join(sent.split())}"
    for statement in rewrite.statements:
        for i, parameter in enumerate(statement.parameters or (), 1):
            if parameter.use is not None:
                yield f"${parameter.source} → ${i}: {parameter.use.use.value} as token of {parameter.use.protection.domain}"
        for i, output in enumerate(statement.outputs, 1):
            if output is not None:
                yield f"column {i} reveals: {', '.join(sorted({p.protection.domain for p in output.lineages}))}"
        for verb in ("reads", "compares", "writes"):
            columns = sorted(getattr(statement, verb))
            if columns:
                yield f"{verb}: {', '.join(columns)}"
